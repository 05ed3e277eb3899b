"""The arrived rows are the longest prefix that is in the partition in order."""

from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from movie_stream.replay.resume.arrivals import Arrivals

Rows = Sequence[tuple[bytes, bytes]]

rows = st.lists(st.tuples(st.sampled_from([b"a", b"b"]), st.sampled_from([b"1", b"2", b"3"])), max_size=12)
cuts = st.lists(st.integers(0, 12), max_size=6)


def longest_beginning(written: Rows, standing: Rows) -> int:
    """The same, as one would say it: try all beginnings, the longest first."""

    def stands(beginning: Rows) -> bool:
        rest = iter(standing)
        return all(row in rest for row in beginning)

    return next(length for length in range(len(written), -1, -1) if stands(written[:length]))


def pieces(items: Rows, at: list[int]) -> list[Rows]:
    places = [0, *sorted(min(cut, len(items)) for cut in at), len(items)]
    return [items[start:end] for start, end in pairwise(places)]


def found_in(written: Rows, standing: Rows, cuts_of_rows: list[int], cuts_of_records: list[int]) -> tuple[int, int]:
    """How many rows are found, and the offset after the last; both arrive in pieces, as from a file and a fetch."""
    arrivals = Arrivals(next_offset=100)
    offsets = iter(range(100, 1_000))
    fetches = iter(pieces(standing, cuts_of_records))
    found = 0
    for chunk in pieces(written, cuts_of_rows):
        here = 0
        while here < len(chunk):
            here += arrivals.match([key for key, _ in chunk[here:]], [value for _, value in chunk[here:]])
            if here < len(chunk):
                fetched = next(fetches, None)
                if fetched is None:
                    return found + here, arrivals.next_offset
                arrivals.add((next(offsets), key, value) for key, value in fetched)
        found += here
    return found, arrivals.next_offset


@given(rows, rows, cuts, cuts)
def test_it_is_that_of_the_reference(written: Rows, standing: Rows, of_rows: list[int], of_records: list[int]) -> None:
    found, next_offset = found_in(written, standing, of_rows, of_records)
    assert found == longest_beginning(written, standing)
    before = next_offset - 100
    assert longest_beginning(written[:found], standing[:before]) == found  # all of them stand before it
    assert found == 0 or longest_beginning(written[:found], standing[: before - 1]) < found  # and no fewer would do


@given(rows, st.integers(0, 12), st.lists(st.tuples(st.integers(0, 12), st.just((b"other", b"x"))), max_size=6))
def test_what_others_wrote_between_does_not_show(
    written: Rows, arrived: int, others: list[tuple[int, tuple[bytes, bytes]]]
) -> None:
    standing = list(written[:arrived])
    for place, record in others:
        standing.insert(place, record)
    assert found_in(written, standing, [], [])[0] == len(written[:arrived])
