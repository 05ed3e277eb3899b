"""Compressed batches: what is honest comes out as aiokafka has it, what is a bomb is refused before it goes off."""

from __future__ import annotations

import gzip as standard
import struct
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random
from typing import Any

import cramjam
import pytest
from aiokafka import codec
from aiokafka.record import default_records
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.kafka.batches import inflate
from movie_stream.kafka.batches.inflate import AT_ONCE_BYTES, DAMAGE, BatchTooLarge, Limits, TooLargeAtOnce
from movie_stream.kafka.cluster import client
from movie_stream.settings import Settings
from tests.support.whole_path import command, succeed

Unpack = Callable[[bytes | memoryview], bytes | memoryview]
CODECS: dict[str, tuple[int, Callable[[bytes], bytes], Unpack, Unpack]] = {
    "gzip": (1, codec.gzip_encode, codec.gzip_decode, inflate.gzip),
    "snappy": (2, codec.snappy_encode, codec.snappy_decode, inflate.snappy),
    "snappy without frames": (
        2,
        lambda data: bytes(codec.snappy_encode(data, xerial_compatible=False)),
        codec.snappy_decode,
        inflate.snappy,
    ),
    "lz4": (3, codec.lz4_encode, codec.lz4_decode, inflate.lz4),
    "zstd": (4, codec.zstd_encode, codec.zstd_decode, inflate.zstd),
}
BOMBS = ("gzip", "lz4", "zstd")
SMALL = Limits(record=16 << 20, batch=32 << 20)


def lz4_framed(data: bytes, **options: Any) -> bytes:
    compressor = cramjam.lz4.Compressor(**options)
    compressor.compress(data)
    return bytes(compressor.finish())


@pytest.fixture(autouse=True)
def limits_as_they_were() -> Iterator[None]:
    before = inflate.limits()
    yield
    inflate.set_limits(before)


@pytest.mark.parametrize("name", CODECS)
@given(parts=st.lists(st.binary(max_size=2_000), max_size=20), piece=st.integers(1, 3_000))
def test_it_unpacks_as_aiokafka_does_at_once_and_in_pieces(name: str, parts: list[bytes], piece: int) -> None:
    number, pack, theirs, ours = CODECS[name]
    data = b"".join(parts)
    packed = pack(data)
    assert ours(packed) == ours(memoryview(packed)) == data
    assert not data or theirs(packed) == data, "of nothing it makes what it cannot read"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inflate, "PIECE_BYTES", piece)
        found = list(inflate.pieces(number, memoryview(packed)))
    assert b"".join(found) == data
    if name != "lz4":  # which has blocks of its own
        assert max(map(len, found), default=0) <= piece


@pytest.mark.parametrize(
    ("number", "packed"),
    [
        (1, standard.compress(b"a" * 9_000) + standard.compress(b"b" * 9_000)),
        (3, lz4_framed(b"a" * 9_000) + lz4_framed(b"b" * 9_000)),
        (4, codec.zstd_encode(b"a" * 9_000) + codec.zstd_encode(b"b" * 9_000)),
    ],
    ids=["gzip", "lz4", "zstd"],
)
def test_one_file_after_another(number: int, packed: bytes) -> None:
    assert b"".join(inflate.pieces(number, packed)) == b"a" * 9_000 + b"b" * 9_000
    if number == 1:
        assert inflate.gzip(packed) == b"a" * 9_000 + b"b" * 9_000


def xerial(*parts: bytes) -> bytes:
    blocks = (bytes(cramjam.snappy.compress_raw(part)) for part in parts)
    return b"\x82SNAPPY\0" + struct.pack(">ii", 1, 1) + b"".join(struct.pack(">i", len(one)) + one for one in blocks)


TAILS = {
    "zeros behind gzip": (1, standard.compress(b"a" * 9_000) + bytes(3)),
    "a block of zeros behind gzip": (1, standard.compress(b"a" * 9_000) + bytes(100_000)),
    "anything behind gzip": (
        1,
        standard.compress(b"a" * 4_000) + standard.compress(b"a" * 5_000) + b"garbage, \x1f\x8b\x08",
    ),
    "bytes behind snappy": (2, xerial(b"a" * 9_000) + bytes(2)),
    "snappy behind snappy": (2, xerial(b"a" * 4_000, b"a" * 3_000) + xerial(b"a" * 2_000)),
}


@pytest.mark.parametrize(("number", "packed"), TAILS.values(), ids=TAILS)
@pytest.mark.parametrize("fed", [1, 7, 64 << 10])
def test_what_java_passes_over_behind_the_end(
    number: int, packed: bytes, fed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inflate, "_FED_BYTES", fed)
    assert b"".join(inflate.pieces(number, packed)) == inflate.AT_ONCE[number](packed) == b"a" * 9_000


@pytest.mark.parametrize(
    "tail", [b"\x1f\x8b\x08", standard.compress(b"b" * 900)[:-9]], ids=["its beginning", "all but its end"]
)
def test_a_further_member_of_gzip_has_to_be_whole(tail: bytes) -> None:
    packed = standard.compress(b"a" * 900) + tail
    with pytest.raises(DAMAGE):
        inflate.gzip(packed)
    with pytest.raises(DAMAGE):
        list(inflate.pieces(1, packed))


@pytest.mark.parametrize("linked", [True, False])
@pytest.mark.parametrize("sums", [True, False])
@pytest.mark.parametrize("random", [True, False], ids=["as it is", "packed"])
def test_all_that_a_frame_of_lz4_may_say(linked: bool, sums: bool, random: bool) -> None:
    data = (Random(4).randbytes(700_000) if random else b"views, and more views; " * 30_000) + b"end"
    packed = lz4_framed(data, content_checksum=sums, block_linked=linked)
    assert b"".join(inflate.pieces(3, packed)) == data


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_within_the_bound(name: str) -> None:
    number, pack, _, ours = CODECS[name]
    assert len(ours(pack(bytes(AT_ONCE_BYTES)))) == AT_ONCE_BYTES
    bomb = pack(bytes(4 * AT_ONCE_BYTES))
    inflate.set_limits(SMALL)
    tracemalloc.start()
    try:
        with pytest.raises(TooLargeAtOnce):
            ours(bomb)
        with pytest.raises(BatchTooLarge, match=r"more than MAX_BATCH_BYTES \(33,554,432\); .* raise MAX_BATCH_BYTES"):
            for _ in inflate.pieces(number, bomb):
                pass
        assert tracemalloc.get_traced_memory()[1] < 2.5 * AT_ONCE_BYTES
    finally:
        tracemalloc.stop()


def test_a_block_of_snappy_that_says_too_much_gets_no_memory() -> None:
    for said in (b"\xff\xff\xff\xff\x07", b"\x80\x80\x80\x08"):
        with pytest.raises((BatchTooLarge, *DAMAGE)):
            list(inflate.pieces(2, said + b"abc"))
    with pytest.raises(DAMAGE):
        inflate.snappy(codec.snappy_encode(b"x" * 9_000)[:16] + b"\xff\xff\xff\xfc" + bytes(20))


@pytest.mark.parametrize("name", CODECS)
def test_what_is_damaged_is_no_bomb(name: str) -> None:
    number, pack, _, ours = CODECS[name]
    damaged = b"damaged!" + pack(b"x" * 1_000)[8:]
    with pytest.raises(DAMAGE):
        ours(damaged)
    with pytest.raises(DAMAGE):
        list(inflate.pieces(number, damaged))


@pytest.mark.parametrize("name", CODECS)
def test_what_is_cut_off_is_damaged_or_short(name: str) -> None:
    number, pack, _, _ = CODECS[name]
    data = Random(5).randbytes(300_000)
    packed = pack(data)
    for size in (len(packed) - 1, len(packed) // 2, 30):
        with suppress(*DAMAGE):
            assert sum(map(len, inflate.pieces(number, packed[:size]))) < len(data)


def test_aiokafka_still_unpacks_with_these() -> None:
    """Its batches look the functions up where `bound` puts them; a new version may look elsewhere."""
    for number, name in ((1, "gzip"), (2, "snappy"), (3, "lz4"), (4, "zstd")):
        builder = default_records.DefaultRecordBatchBuilder(2, number, False, -1, -1, -1, 1 << 30)
        builder.append(0, 0, None, bytes(2 * AT_ONCE_BYTES), [])
        data = bytes(builder.build())
        inflate.set_limits(Limits())
        [batch] = batches(data)
        [record] = list(batch)
        assert len(record.value) == 2 * AT_ONCE_BYTES, "what is honest is read"
        inflate.set_limits(SMALL)
        [batch] = batches(data)
        with pytest.raises(BatchTooLarge):
            list(batch)
        assert name in CODECS


def batches(data: bytes) -> list[Any]:
    from aiokafka.record.memory_records import MemoryRecords

    records, found = MemoryRecords(data), []
    while records.has_next():
        found.append(records.next_batch())
    return found


async def send_bomb(settings: Settings, size: int) -> None:
    producer = await client.start_producer(
        settings, compression_type="gzip", max_batch_size=2 * size, max_request_size=2 * size
    )
    try:
        await producer.send_and_wait(settings.kafka_topic, bytes(size), partition=0)
    finally:
        await producer.stop()


async def test_a_worker_ends_with_one_line_that_names_the_setting(settings: Settings) -> None:
    succeed(settings, "init")
    await send_bomb(settings, 20 << 20)
    bounded = settings.model_copy(update={"max_record_bytes": 16 << 20})
    done = command(bounded, "worker", "--until-end")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {settings.kafka_topic}, partition 0, before offset 1: a record batch unpacks to")
    assert "MAX_RECORD_BYTES (16,777,216); if its producer is honest, raise MAX_RECORD_BYTES; else" in line
