"""Record batches as columns against aiokafka, record by record: all that the format allows, and damage."""

from __future__ import annotations

import struct
from collections.abc import Sequence

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.columnar.spans import PAD, joined
from movie_stream.events.chunk import REPLAY_OF
from movie_stream.kafka.batches.record_batch import Malformed, RawBatch, records_of, whole_records
from tests.support.examples import examples

_HEADER = ">qiibIhiqqqhii"
_HEADER_SIZE = struct.calcsize(_HEADER)
_LOG_APPEND_TIME = 8

Header = tuple[bytes, bytes | None]
Record = tuple[int, int, bytes | None, bytes | None, list[Header]]
"""Offset and time from those of the batch, key, value, headers."""
Found = list[tuple[int, int, bytes | None, bytes | None, bytes | None]]


def varint(number: int) -> bytes:
    raw, out = (number << 1) ^ (number >> 63), bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


def text(value: bytes | None) -> bytes:
    return varint(-1) if value is None else varint(len(value)) + value


def body_of(records: Sequence[Record]) -> bytes:
    out = b""
    for offset, time_ms, key, value, headers in records:
        inner = b"\0" + varint(time_ms) + varint(offset) + text(key) + text(value) + varint(len(headers))
        inner += b"".join(text(name) + text(held) for name, held in headers)
        out += varint(len(inner)) + inner
    return out


def batch_of(body: bytes, count: int, base: int = 0, first_ms: int = 0, last_ms: int = 0, attributes: int = 0) -> bytes:
    size = _HEADER_SIZE - 12 + len(body)
    return struct.pack(_HEADER, base, size, 0, 2, 0, attributes, 0, first_ms, last_ms, -1, -1, -1, count) + body


def by_aiokafka(data: bytes) -> Found:
    records = list(DefaultRecordBatch(bytearray(data)))
    marked = {record.offset: value or b"" for record in records for name, value in record.headers if name == REPLAY_OF}
    return [(r.offset, r.timestamp, r.key, r.value, marked.get(r.offset)) for r in records]


def by_columns(*data: bytes) -> Found:
    records, by_row = records_of([RawBatch.of(memoryview(one), [lambda body: body]) for one in data], REPLAY_OF)
    offsets = records.offsets.tolist()
    marked = [by_row.get(row) for row in range(len(offsets))]
    return list(
        zip(offsets, records.times_ms.tolist(), records.keys.tolist(), records.values.tolist(), marked, strict=True)
    )


views = st.integers(0, 300).map(lambda size: b'{"n":"' + b"x" * size + b'"}')
tricky = st.sampled_from([b"}\0", b"}\0}\0}\0", b"\0", b"}", b"", b"\x80" * 20, b'{"a":1}\0', b"}\0" + b"\x0c" * 9])
values = st.none() | views | views | tricky | st.binary(max_size=30)
names = st.sampled_from([REPLAY_OF.encode(), b"trace", b"", "\u00e9".encode()])
headers = st.lists(st.tuples(names, st.none() | st.binary(max_size=9) | st.just(REPLAY_OF.encode())), max_size=3)
deltas = st.integers(0, 100) | st.sampled_from([-1, -(2**31), 2**31 - 1, 2**20, 2**40, -(2**40), 2**54, -(2**54)])
offset_deltas = st.just(0) | st.sampled_from([-1, -(2**30), 2**30, 2**20])
records = st.lists(st.tuples(offset_deltas, deltas, values, values, st.just([]) | headers), max_size=12).map(
    lambda some: [(first - at if first < 0 else first + at, *rest) for at, (first, *rest) in enumerate(some)]
)
bases = st.integers(0, 1000) | st.sampled_from([2**40, 2**62])
batches = st.builds(
    lambda some, base, first_ms, append: batch_of(
        body_of(some), len(some), base, first_ms, first_ms + 5, _LOG_APPEND_TIME if append else 0
    ),
    records,
    bases,
    st.sampled_from([0, 1_730_383_200_000, 2**60, -1]),
    st.booleans(),
)


@given(st.lists(batches, min_size=1, max_size=4))
def test_columns_are_what_aiokafka_reads(data: list[bytes]) -> None:
    wanted = [by_aiokafka(one) for one in data]
    for one, found in zip(data, wanted, strict=True):
        assert by_columns(one) == found
    offsets = [record[0] for found in wanted for record in found]
    if len(set(offsets)) == len(offsets):  # as in any log
        assert by_columns(*data) == [record for found in wanted for record in found]


@given(st.lists(st.integers(-(2**55), 2**55 - 1) | st.integers(-200, 200), min_size=1, max_size=20))
def test_varints_of_up_to_eight_bytes(numbers: list[int]) -> None:
    body = body_of([(at, number, None, None, []) for at, number in enumerate(numbers)])
    assert [time_ms for _, time_ms, *_ in by_columns(batch_of(body, len(numbers)))] == numbers


@pytest.mark.parametrize("number", [2**55, -(2**55) - 1, 2**63 - 1])
def test_longer_varints_are_left_to_others(number: int) -> None:
    with pytest.raises(Malformed, match="more than eight bytes"):
        by_columns(batch_of(body_of([(0, number, None, None, [])]), 1))
    with pytest.raises(Malformed, match="more than eight bytes"):
        by_columns(batch_of(varint(number) + bytes(40), 2))


def both(data: bytes) -> None:
    """What columns say of a damaged batch is what aiokafka says, if they say anything."""
    try:
        found = by_columns(data)
    except Malformed:
        return
    try:
        wanted = by_aiokafka(data)
    except UnicodeDecodeError:  # the name of a header, at which they do not look so closely
        return
    assert [record[:4] for record in found] == [record[:4] for record in wanted]
    if len({record[0] for record in found}) == len(found):
        assert found == wanted


@settings(max_examples=examples(100))
@given(batches, st.data())
def test_damage_is_noticed_or_read_as_aiokafka_reads_it(good: bytes, data: st.DataObject) -> None:
    spoilt = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3), "damages")):
        at = data.draw(st.integers(_HEADER_SIZE - 4, len(spoilt)), "at")
        how = data.draw(st.sampled_from(["flip", "set", "cut", "insert", "drop"]), "how")
        some = data.draw(st.binary(max_size=9) | tricky | deltas.map(varint), "bytes")
        if how == "flip" and at < len(spoilt):
            spoilt[at] ^= 1 << data.draw(st.integers(0, 7), "bit")
        elif how == "set":
            spoilt[at : at + len(some)] = some
        elif how == "cut":
            del spoilt[at:]
        elif how == "insert":
            spoilt[at:at] = some
        else:
            del spoilt[at : at + len(some)]
    if len(spoilt) < _HEADER_SIZE:
        spoilt += bytes(_HEADER_SIZE - len(spoilt))
    struct.pack_into(">i", spoilt, 8, len(spoilt) - 12)
    both(bytes(spoilt))


@pytest.mark.parametrize("attributes", [0x01, 0x7F])
def test_attributes_of_a_record_are_passed_over(attributes: int) -> None:
    body = bytearray(body_of(SOME))
    body[1] = attributes
    both(batch_of(bytes(body), len(SOME)))
    assert len(by_columns(batch_of(bytes(body), len(SOME)))) == len(SOME)


@pytest.mark.parametrize("attributes", [0x80, 0xFF])
def test_attributes_that_aiokafka_takes_for_a_varint_are_left_to_it(attributes: int) -> None:
    body = bytearray(body_of(SOME))
    body[1] = attributes
    with pytest.raises(Malformed, match="attributes"):
        by_columns(batch_of(bytes(body), len(SOME)))


SOME: list[Record] = [(at, at, b"k", b'{"n":%d}' % at, []) for at in range(5)]
MARKED: list[Record] = [(at, at, b"k", b'{"n":%d}' % at, [(REPLAY_OF.encode(), b"t 0 1")]) for at in range(5)]


@pytest.mark.parametrize("count", [-(2**31), -1, 0, 1, 4, 6, 1_000, 2**31 - 1])
@pytest.mark.parametrize("some", [SOME, MARKED])
def test_a_batch_that_lies_about_its_count(count: int, some: list[Record]) -> None:
    lie = batch_of(body_of(some), count)
    with pytest.raises(Malformed):
        by_columns(lie)
    truth = batch_of(body_of(some), len(some))
    for together in ([truth, lie], [lie, truth], [lie, lie]):
        with pytest.raises(Malformed):
            by_columns(*together)


def test_counts_that_are_wrong_but_together_right() -> None:
    body = body_of(SOME)
    for counts in ((4, 6), (6, 4), (0, 10), (10, 0), (-1, 11), (11, -1)):
        with pytest.raises(Malformed):
            by_columns(*(batch_of(body, count) for count in counts))


@pytest.mark.parametrize("length", [0, 1, 5, -1, -2, -5, -20, -300, -(2**31), -(2**40), -(2**55), 2**31, 2**40, 2**54])
@pytest.mark.parametrize("at", range(3))
def test_a_length_that_lies(length: int, at: int) -> None:
    """Of the first, a middle and the last record, and of a key and of a value."""
    lines = [body_of([record]) for record in SOME]
    place = (0, 2, 4)[at]
    lines[place] = varint(length) + lines[place][1:]
    both(batch_of(b"".join(lines), len(lines)))
    lines = [body_of([record]) for record in SOME]
    for before in (text(b"k"), text(SOME[place][3])):
        spoilt = lines[place].replace(before, varint(length) + before[1:])
        spoilt = varint(len(spoilt) - 1) + spoilt[1:]
        both(batch_of(b"".join([*lines[:place], spoilt, *lines[place + 1 :]]), len(lines)))


@pytest.mark.parametrize("count", [-1, 1, 2, 3, 2**31 - 1, -(2**31), 2**40])
@pytest.mark.parametrize("headers", [[], [(REPLAY_OF.encode(), b"t 0 1")], [(b"other", b"x")]])
def test_a_number_of_headers_that_lies(count: int, headers: list[Header]) -> None:
    body = b"\0\0\0" + text(b"k") + text(b"v") + varint(count) + b"".join(text(n) + text(v) for n, v in headers)
    both(batch_of(varint(len(body)) + body, 1))


def test_every_truncation() -> None:
    for some in (SOME, MARKED):
        body = body_of(some)
        for size in range(len(body)):
            both(batch_of(body[:size], len(some)))
            with pytest.raises(Malformed):
                by_columns(batch_of(body[:size], len(some)), batch_of(body, len(some)))


@given(records, st.data())
def test_records_that_lie_wholly_in_a_text_that_is_cut_off(some: list[Record], data: st.DataObject) -> None:
    sizes = [len(body_of([record])) for record in some]
    cut = data.draw(st.integers(0, sum(sizes)))
    ends = [len(PAD) + sum(sizes[:count]) for count in range(len(some) + 1)]
    assert whole_records(joined([body_of(some)[:cut]])).tolist() == [end for end in ends if end <= len(PAD) + cut]
