"""Columns of byte strings against lists of bytes: any bytes, any neighbours."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.spans import PAD, Spans, all_in, equal, joined

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
    }
    for part, wanted in parts.values():
        assert part.tolist() == wanted
        assert part.text is spans.text
        assert part.hashes().tolist() == Spans.of(wanted).hashes().tolist()


@given(columns)
def test_a_few_strings_of_a_large_buffer_come_back(values: list[bytes | None]) -> None:
    assert elsewhere(values, bytes(10_000)).tolist() == values


@given(columns, columns, st.booleans())
def test_one_after_the_other(values: list[bytes | None], others: list[bytes | None], same_buffer: bool) -> None:
    both = Spans.of([*values, *others])
    first, second = (both[: len(values)], both[len(values) :]) if same_buffer else map(Spans.of, (values, others))
    first.hashes()
    together = first.concat(second)
    assert together.tolist() == [*values, *others]
    assert together.hashes().tolist() == both.hashes().tolist()


@given(columns, st.sampled_from([b"", b"\x00", b"\xff" * 9, b'"']), st.sampled_from([b"a", b"\xff" * 16]))
def test_what_lies_around_a_string_is_no_part_of_it(values: list[bytes | None], one: bytes, other: bytes) -> None:
    here, there = elsewhere(values, one), elsewhere(values, other)
    assert here.tolist() == there.tolist() == values
    assert here.hashes().tolist() == there.hashes().tolist() == Spans.of(values).hashes().tolist()
    assert here.stable_hashes().tolist() == there.stable_hashes().tolist() == Spans.of(values).stable_hashes().tolist()
    assert equal(here.text, here.begins, here.lengths, there).all()
    assert all_in(here, 0x20, 0x7E, but=0x5C).tolist() == all_in(there, 0x20, 0x7E, but=0x5C).tolist()


@given(st.lists(st.tuples(strings, strings) | strings.map(lambda string: (string, string)), max_size=20))
def test_equal_strings_are_equal(pairs: list[tuple[bytes, bytes]]) -> None:
    ones, others = (Spans.of([pair[half] for pair in pairs]) for half in (0, 1))
    wanted = [one == other for one, other in pairs]
    assert equal(ones.text, ones.begins, ones.lengths, others).tolist() == wanted
    assert (ones.hashes() == others.hashes()).tolist() == wanted
    assert (ones.stable_hashes() == others.stable_hashes()).tolist() == wanted


@given(columns, st.integers(0, 127), st.integers(0, 127), st.integers(0, 127))
def test_all_bytes_within_bounds(values: list[bytes | None], one: int, other: int, but: int) -> None:
    low, high = sorted((one, other))
    wanted = [value is not None and all(low <= byte <= high and byte != but for byte in value) for value in values]
    if low != but:
        assert all_in(Spans.of(values), low, high, but).tolist() == wanted


def test_each_byte_at_each_place_counts() -> None:
    """In a word, and behind a word; whatever the bytes around it are."""
    for around in (0x20, 0x5B, 0x5D, 0x7E):
        good = [byte for byte in range(256) if 0x20 <= byte <= 0x7E and byte != 0x5C]
        for size in (1, 7, 8, 9, 17):
            for at in range(size):
                values = [bytes([around] * at + [byte] + [around] * (size - at - 1)) for byte in range(256)]
                assert np.flatnonzero(all_in(Spans.of(values), 0x20, 0x7E, but=0x5C)).tolist() == good


@given(st.lists(st.binary(max_size=40).map(lambda part: memoryview(part)) | st.binary(max_size=40), max_size=5))
def test_parts_are_joined_with_room_on_both_sides(parts: list[bytes | memoryview]) -> None:
    assert joined(parts).tobytes() == PAD + b"".join(parts) + PAD
