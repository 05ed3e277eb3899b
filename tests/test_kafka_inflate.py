"""Compressed batches: what is honest comes out as aiokafka has it, what is a bomb is refused before it goes off."""

from __future__ import annotations

import gzip as standard
import tracemalloc
import zlib
from collections.abc import Callable
from typing import Any

import cramjam
import pytest
from aiokafka import codec
from aiokafka.record import default_records
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.kafka import client, inflate
from movie_stream.kafka.inflate import LARGEST_BYTES, BatchTooLarge
from movie_stream.settings import Settings
from tests.whole_path import command, succeed

Unpack = Callable[[bytes | memoryview], bytes]
CODECS: dict[str, tuple[Callable[[bytes], bytes], Unpack, Unpack]] = {
    "gzip": (codec.gzip_encode, codec.gzip_decode, inflate.gzip),
    "lz4": (codec.lz4_encode, codec.lz4_decode, inflate.lz4),
    "zstd": (codec.zstd_encode, codec.zstd_decode, inflate.zstd),
}


@pytest.mark.parametrize("name", CODECS)
@given(parts=st.lists(st.binary(max_size=2_000), max_size=20))
def test_it_unpacks_as_aiokafka_does(name: str, parts: list[bytes]) -> None:
    pack, theirs, ours = CODECS[name]
    packed = pack(b"".join(parts))
    assert ours(packed) == ours(memoryview(packed)) == theirs(packed) == b"".join(parts)


def test_a_gzip_file_of_several_members() -> None:
    assert inflate.gzip(standard.compress(b"a") + standard.compress(b"b")) == b"ab"


@pytest.mark.parametrize("name", CODECS)
def test_a_bomb_is_refused_within_the_bound(name: str) -> None:
    pack, _, ours = CODECS[name]
    assert len(ours(pack(bytes(LARGEST_BYTES)))) == LARGEST_BYTES
    bomb = pack(bytes(4 * LARGEST_BYTES))
    tracemalloc.start()
    try:
        with pytest.raises(BatchTooLarge, match=f"more than {inflate.LARGEST_BYTES:,} bytes"):
            ours(bomb)
        assert tracemalloc.get_traced_memory()[1] < 2.5 * LARGEST_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", CODECS)
def test_what_is_damaged_is_no_bomb(name: str) -> None:
    pack, _, ours = CODECS[name]
    with pytest.raises((EOFError, OSError, cramjam.DecompressionError, zlib.error)):
        ours(b"damaged!" + pack(b"x" * 1_000)[8:])


def test_aiokafka_still_unpacks_with_these() -> None:
    """Its batches look the functions up where `bound` puts them; a new version may look elsewhere."""
    for number, name in ((1, "gzip"), (3, "lz4"), (4, "zstd")):
        builder = default_records.DefaultRecordBatchBuilder(2, number, False, -1, -1, -1, 1 << 30)
        builder.append(0, 0, None, bytes(LARGEST_BYTES), [])
        [batch] = batches(bytes(builder.build()))
        with pytest.raises(BatchTooLarge):
            list(batch)
        assert name in CODECS


def batches(data: bytes) -> list[Any]:
    from aiokafka.record.memory_records import MemoryRecords

    records, found = MemoryRecords(data), []
    while records.has_next():
        found.append(records.next_batch())
    return found


async def send_bomb(settings: Settings) -> None:
    size = 4 * LARGEST_BYTES
    producer = await client.start_producer(
        settings, compression_type="gzip", max_batch_size=size, max_request_size=size
    )
    try:
        await producer.send_and_wait(settings.kafka_topic, bytes(2 * LARGEST_BYTES), partition=0)
    finally:
        await producer.stop()


async def test_a_worker_ends_with_one_line(settings: Settings) -> None:
    succeed(settings, "init")
    await send_bomb(settings)
    done = command(settings, "worker", "--until-end")
    assert done.returncode == 1
    [line] = done.stderr.splitlines()
    assert line.startswith(f"error: {settings.kafka_topic}, partition 0, before offset 1: a record batch unpacks to")
