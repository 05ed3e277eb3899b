"""Records whose headers have any name, wherever they are read."""

from __future__ import annotations

import struct
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka import codec as codecs
from aiokafka.consumer import fetcher
from aiokafka.consumer.fetcher import READ_COMMITTED, PartitionRecords
from aiokafka.errors import CorruptRecordException
from aiokafka.record.default_records import DefaultRecordBatchBuilder
from aiokafka.record.memory_records import MemoryRecords
from aiokafka.record.util import calc_crc32c, encode_varint
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.events.chunk import REPLAY_OF
from movie_stream.kafka.batches import headers, record_batch, unpack
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.scan import newest_first, oldest_first
from movie_stream.settings import Settings

PLACE = TopicPartition("whatever", 0)
_CRC_AT, _ATTRIBUTES_AT, _BODY_AT = 17, 21, 61
_LOG_APPEND_TIME = 8
CODECS = [0, 1, 2, 3, 4]

Headers = Sequence[tuple[bytes, bytes | None]]
Record = tuple[bytes | None, bytes | None, Headers]
"""Key, value, headers."""


def varint(number: int) -> bytes:
    written = bytearray()
    encode_varint(number, written.append)
    return bytes(written)


def string(text: bytes | None) -> bytes:
    return varint(-1) if text is None else varint(len(text)) + text


def batch(
    records: Sequence[Record], offset: int = 0, codec: int = 0, log_append_time: bool = False, made_ms: int = 1_000
) -> bytes:
    """A batch of the present format; its first record was made at that time, each further one a millisecond later."""
    body = b""
    for n, (key, value, named) in enumerate(records):
        written = b"".join(string(name) + string(content) for name, content in named)
        record = b"\0" + varint(n) + varint(n) + string(key) + string(value) + varint(len(named)) + written
        body += varint(len(record)) + record
    builder = DefaultRecordBatchBuilder(2, codec, False, -1, -1, -1, 16 << 20)
    for n, _ in enumerate(records):
        builder.append(n, made_ms + n, b"", b"", [])
    data = bytearray(builder.build()[:_BODY_AT] + compressed(body, codec))
    struct.pack_into(">qi", data, 0, offset, len(data) - 12)
    struct.pack_into(">h", data, _ATTRIBUTES_AT, codec | (_LOG_APPEND_TIME if log_append_time else 0))
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))
    return bytes(data)


def compressed(body: bytes, codec: int) -> bytes:
    return (
        body,
        *(encode(body) for encode in (codecs.gzip_encode, codecs.snappy_encode, codecs.lz4_encode, codecs.zstd_encode)),
    )[codec]


def read(data: bytes, at: int = 0) -> list[Any]:
    """What aiokafka's consumer is given, in a process of ours."""
    records = PartitionRecords(PLACE, fetcher.MemoryRecords(data), [], at, None, None, True, READ_COMMITTED)
    return list(records)


ODD: Record = (b"k", b"odd", [(b"\xff\xfe", b"x"), (b"kind", None), (b"kind", b"bad"), (b"\xc3", b"\xff")])
USUAL: Record = (None, b"usual", [(b"kind", b"late"), ("\N{CLAPPER BOARD}".encode(), b"")])


@pytest.mark.parametrize("codec", CODECS)
def test_a_record_with_such_headers_is_one_like_any_other(codec: int) -> None:
    first = batch([USUAL, ODD, USUAL, ODD], 10, codec)
    data = first + batch([USUAL], 14) + batch([ODD], 20, codec) + batch([USUAL], 21)
    found = read(data)
    assert [record.offset for record in found] == [10, 11, 12, 13, 14, 20, 21]
    assert [record.value for record in found] == [b"usual", b"odd", b"usual", b"odd", b"usual", b"odd", b"usual"]
    assert [record.timestamp for record in found[:4]] == [1_000, 1_001, 1_002, 1_003]
    assert found[1].headers == (("\\xff\\xfe", b"x"), ("kind", None), ("kind", b"bad"), ("\\xc3", b"\xff"))
    assert found[2].headers == found[0].headers == (("kind", b"late"), ("\N{CLAPPER BOARD}", b""))
    assert (found[1].key, found[1].serialized_value_size, found[1].timestamp_type) == (b"k", 3, 0)
    assert [record.offset for record in read(data, 13)] == [13, 14, 20, 21], "from the middle of a batch on"


names = st.sampled_from([b"kind", b"\xff", b"\xc3\xa9", b"", b"x" * 300, REPLAY_OF.encode()]) | st.binary(max_size=3)
contents = st.none() | st.binary(max_size=5)
some_records = st.lists(
    st.tuples(contents, contents, st.lists(st.tuples(names, contents), max_size=4)), min_size=1, max_size=5
)


@given(some_records, st.sampled_from(CODECS), st.booleans())
def test_what_aiokafka_reads_is_read_alike(some: list[Record], codec: int, log_append_time: bool) -> None:
    data = batch(some, 7, codec, log_append_time)
    ours = list(headers.records_in(memoryview(data)))
    spelt = [[(str(name, "utf-8", "backslashreplace"), content) for name, content in named] for _, _, named in some]
    assert [record.headers for record in ours] == spelt
    assert [(record.key, record.value) for record in ours] == [(key, value) for key, value, _ in some]
    try:
        theirs = list(MemoryRecords(data).next_batch())
    except UnicodeDecodeError:
        theirs = ours
    for wanted, found in zip(theirs, ours, strict=True):
        for field in headers.Record._fields:
            assert getattr(found, field) == getattr(wanted, field), field
    assert [tuple(record.headers) for record in read(data)] == [tuple(named) for named in spelt]


@given(some_records, st.data())
def test_a_damaged_batch_raises(some: list[Record], data: st.DataObject) -> None:
    """Or is still one; nothing is read from outside of it."""
    whole = bytearray(batch([*some, ODD]))
    whole[data.draw(st.integers(_BODY_AT, len(whole) - 1))] ^= data.draw(st.integers(1, 255))
    with suppress(CorruptRecordException):
        for record in headers.records_in(memoryview(bytes(whole))):
            assert len(record.value or b"") <= len(whole)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "outside of its batch"),
        (b"\x80", "outside of its batch"),
        (b"\xff" * 12, "more than 64 bits"),
        (varint(6) + b"\0\0\0\1\1" + varint(-1), "-1 headers"),
        (varint(8) + b"\0\0\0\1\1" + varint(1) + varint(-1) + varint(-1), "no name"),
        (varint(7) + b"\0\0\0\1\1\0", "ends at byte"),
        (varint(40) + b"\0\0\0" + varint(30) + b"x", "outside of its batch"),
    ],
)
def test_what_is_no_record(body: bytes, why: str) -> None:
    data = batch([(None, None, [])])[:_BODY_AT] + body
    with pytest.raises(CorruptRecordException, match=why):
        list(headers.records_in(memoryview(data)))


@pytest.mark.parametrize("number", [b"\x80" * 9 + b"\x02", b"\xff" * 9 + b"\x7f", b"\x80" * 10 + b"\0"])
def test_a_number_of_more_than_64_bits_is_damage(number: bytes) -> None:
    body = b"\0" + number + b"\0" + string(b"k") + string(b"v") + varint(0)
    data = batch([(None, None, [])])[:_BODY_AT] + varint(len(body)) + body
    with pytest.raises(CorruptRecordException, match="more than 64 bits"):
        list(headers.records_in(memoryview(data)))


MANY = record_batch.MOST_HEADERS + 1


@pytest.mark.parametrize("named", [b"\xff\xfe", b"name", REPLAY_OF.encode()])
def test_the_plain_path_and_the_fast_one_read_alike(named: bytes) -> None:
    """The first for a record with very many headers, the other for one with fewer."""
    for count in (1, MANY - 2, MANY, 2 * MANY):
        odd = (b"k", b"{}", [(named, b"%d" % n) for n in range(count)] + [(b"\xc3", None)])
        data = batch([USUAL, odd, (None, None, [(REPLAY_OF.encode(), None)])], 5)
        fetched = unpack.FetchedBatch(memoryview(data), 6, 6, "whatever", 2, 3, set())
        plain = unpack.plain_run([fetched])
        [fast] = unpack.take_runs(deque([fetched]))
        for run in (plain, fast):
            assert run.offsets.tolist() == [6, 7]
            assert run.times_ms.tolist() == [1_001, 1_002]
            assert (list(run.keys), list(run.values)) == ([b"k", None], [b"{}", None])
            marked = {6: b"%d" % (count - 1)} if named == REPLAY_OF.encode() else {}
            assert run.replays == {**marked, 7: b""}


@pytest.mark.parametrize("named", [b"\xff\xfe", b"name"])
@pytest.mark.parametrize("count", [1, MANY])
@pytest.mark.parametrize(
    ("made_ms", "later_ms"), [(2**63 - 5, 10), (2**62, 2**62), (-(2**63), -1), (-(2**62), -(2**63))]
)
def test_times_are_added_as_64_bits_hold_them(named: bytes, count: int, made_ms: int, later_ms: int) -> None:
    body = (
        b"\0" + varint64(later_ms) + b"\0" + string(None) * 2 + varint(count) + (string(named) + string(b"x")) * count
    )
    data = bytearray(batch([(None, None, [])], 5)[:_BODY_AT] + varint(len(body)) + body)
    struct.pack_into(">i", data, 8, len(data) - 12)
    struct.pack_into(">q", data, 27, made_ms)
    struct.pack_into(">I", data, _CRC_AT, calc_crc32c(bytes(data[_ATTRIBUTES_AT:])))
    wanted = (made_ms + later_ms + 2**63) % 2**64 - 2**63
    fetched = unpack.FetchedBatch(memoryview(bytes(data)), 5, 5, "whatever", 2, 1, set())
    [run] = unpack.take_runs(deque([fetched]))
    assert run.times_ms.tolist() == unpack.plain_run([fetched]).times_ms.tolist() == [wanted]
    assert [record.timestamp for record in read(bytes(data), 5)] == [wanted]


def varint64(number: int) -> bytes:
    raw, out = ((number << 1) ^ (number >> 63)) & (2**64 - 1), bytearray()
    while raw > 0x7F:
        out.append(raw & 0x7F | 0x80)
        raw >>= 7
    return bytes([*out, raw])


async def test_whole_topics_are_read_with_such_records_in_them(settings: Settings) -> None:
    await topics.ensure(settings)
    await send(settings, settings.kafka_topic, [USUAL, ODD, (b"k", b"v", [(b"\xff", b"x" * 100_000)] * 3), ODD])
    place = TopicPartition(settings.kafka_topic, 0)
    async with client.reader(settings) as reader:
        forwards = [record.value async for some in oldest_first(reader, place, 0, 4) for record in some]
        backwards = [record.value async for some in newest_first(reader, place, 0, 4, block=1) for record in some]
    assert forwards == backwards[::-1] == [b"usual", b"odd", b"v", b"odd"]


async def send(settings: Settings, topic: str, records: Sequence[Record], partition: int = 0) -> None:
    """Sends these records as they are: aiokafka would not name a header so."""
    producer = await client.start_producer(settings)
    try:
        made: Any = producer.create_batch()
        for key, value, _ in records:
            made.append(key=key, value=value, timestamp=None)
        made._build = lambda: batch(records, made_ms=time.time_ns() // 1_000_000)
        await (await producer.send_batch(made, topic, partition=partition))
    finally:
        await producer.stop()
