"""Columns of byte strings against lists of bytes: any bytes, any neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.spans import PAD, Spans, joined, put

alike = st.sampled_from([b"", b"\x00", b"\x00" * 8, b"\x00" * 9, b"a" * 7, b"a" * 8, b"a" * 9, b"a" * 16, b"a" * 17])
strings = st.binary(max_size=40) | alike | st.tuples(alike, st.binary(max_size=2)).map(b"".join)
columns = st.lists(st.none() | strings, max_size=20)


def elsewhere(values: Sequence[bytes | None], between: bytes) -> Spans:
    """The same strings, with something else around them: whatever looks beyond its string sees it."""
    text, begins = bytearray(PAD), []
    for value in values:
        text += between
        begins.append(len(text))
        text += value or b""
    lengths = [-1 if value is None else len(value) for value in values]
    buffer = np.frombuffer(bytes(text) + between + PAD, np.uint8)
    return Spans(buffer, np.array(begins, np.int64), np.array(lengths, np.int64))


@given(columns, st.data())
def test_strings_come_back_and_parts_share_the_buffer(values: list[bytes | None], data: st.DataObject) -> None:
    spans = Spans.of(values)
    assert (len(spans), list(spans), spans.tolist()) == (len(values), values, values)
    assert spans.tobytes() == b"".join(value or b"" for value in values)
    begin, end = (data.draw(st.integers(0, len(values))) for _ in range(2))
    rows = data.draw(st.lists(st.sampled_from(range(len(values))), max_size=8)) if values else []
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=len(values), max_size=len(values))), np.bool_)
    if data.draw(st.booleans(), "hashed before"):
        spans.hashes()
    parts = {
        "slice": (spans[begin:end], values[begin:end]),
        "rows": (spans.take(np.array(rows, np.int64)), [values[row] for row in rows]),
        "mask": (spans.take(mask), [value for value, kept in zip(values, mask, strict=True) if kept]),
        "taken slice": (spans.take(slice(begin, end)), values[begin:end]),
        "every other": (spans.take(slice(begin, end, 2)), values[begin:end:2]),
        "backwards": (spans[::-1], values[::-1]),
    }
    for part, wanted in parts.values():
        assert part.tolist() == wanted
        assert part.text is spans.text
        assert part.hashes().tolist() == Spans.of(wanted).hashes().tolist()


@given(columns)
def test_a_few_strings_of_a_large_buffer_come_back(values: list[bytes | None]) -> None:
    assert elsewhere(values, bytes(10_000)).tolist() == values


pairs = st.tuples(st.none() | strings, st.none() | strings)


@given(st.lists(pairs, max_size=8), st.dictionaries(st.integers(0, 7), pairs), st.booleans())
def test_strings_are_put_into_rows(
    rows: list[tuple[bytes | None, ...]], new: dict[int, tuple[bytes | None, ...]], hashed: bool
) -> None:
    new = {row: pair for row, pair in new.items() if row < len(rows)}
    mine, others = two_columns(rows), two_columns([*new.values()])
    if hashed:
        for column in mine:
            column.hashes()
    made = put(mine, np.array([*new], np.int64), others)
    wanted = [new.get(row, pair) for row, pair in enumerate(rows)]
    assert [column.tolist() for column in made] == [[pair[nth] for pair in wanted] for nth in (0, 1)]
    assert [c.hashes().tolist() for c in made] == [c.hashes().tolist() for c in two_columns(wanted)]
    assert [column.tolist() for column in mine] == [[pair[nth] for pair in rows] for nth in (0, 1)]
    assert made[0].text is made[1].text


def test_a_row_without_a_place_in_the_buffer_is_empty() -> None:
    spans = Spans.of([b"one", b"two", b"three"])
    nowhere = Spans(spans.text, np.array([0, *spans.begins[1:]]), np.array([0, *spans.lengths[1:]]))
    [column] = put([nowhere], np.array([1]), [Spans.of([b"2"])])
    assert column.tolist() == [b"", b"2", b"three"]


def two_columns(pairs: Sequence[tuple[bytes | None, ...]]) -> list[Spans]:
    """A column of the first and one of the second of each pair, in one buffer with something before and after it."""
    both = elsewhere([b"before", *(text for pair in pairs for text in pair), b"after"], b"#")[1:-1]
    return [both[::2], both[1::2]]


@given(columns, st.sampled_from([b"", b"\x00", b"\xff" * 9, b'"']), st.sampled_from([b"a", b"\xff" * 16]))
def test_what_lies_around_a_string_is_no_part_of_it(values: list[bytes | None], one: bytes, other: bytes) -> None:
    here, there = elsewhere(values, one), elsewhere(values, other)
    assert here.tolist() == there.tolist() == values
    assert here.hashes().tolist() == there.hashes().tolist() == Spans.of(values).hashes().tolist()
    assert here.stable_hashes().tolist() == there.stable_hashes().tolist() == Spans.of(values).stable_hashes().tolist()


@given(st.lists(st.tuples(strings, strings) | strings.map(lambda string: (string, string)), max_size=20))
def test_equal_strings_have_equal_hashes(pairs: list[tuple[bytes, bytes]]) -> None:
    ones, others = (Spans.of([pair[half] for pair in pairs]) for half in (0, 1))
    wanted = [one == other for one, other in pairs]
    assert (ones.hashes() == others.hashes()).tolist() == wanted
    assert (ones.stable_hashes() == others.stable_hashes()).tolist() == wanted


@given(st.lists(st.binary(max_size=40).map(lambda part: memoryview(part)) | st.binary(max_size=40), max_size=5))
def test_parts_are_joined_with_room_on_both_sides(parts: list[bytes | memoryview]) -> None:
    assert joined(parts).tobytes() == PAD + b"".join(parts) + PAD
