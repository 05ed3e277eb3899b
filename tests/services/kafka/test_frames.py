"""Responses received in place are what the broker has sent, however they are cut, and however the connection ends."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any

import pytest
from aiokafka import TopicPartition, conn
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.fetch import frames
from movie_stream.kafka.fetch.frames import IN_PLACE_FROM_BYTES, FrameProtocol, FrameReader
from movie_stream.settings import Settings
from tests.support.examples import examples

LARGE = 3 * IN_PLACE_FROM_BYTES
sizes = st.lists(
    st.sampled_from([0, 1, 4, 100, IN_PLACE_FROM_BYTES, IN_PLACE_FROM_BYTES + 1, LARGE]), min_size=1, max_size=6
)
cuts = st.lists(st.sampled_from([1, 3, 1_000, IN_PLACE_FROM_BYTES, LARGE]), min_size=1, max_size=20)


class Wire:
    """A protocol and its reader, fed as a transport does it."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.reader: Any = asyncio.StreamReader(loop=loop)
        self.closed: asyncio.Future[None] = loop.create_future()
        self.protocol = FrameProtocol(self.closed, self.reader, loop=loop)

    async def feed(self, data: bytes | memoryview, cuts: Sequence[int]) -> None:
        """All of it, in pieces of these lengths at most, one after the other and then again."""
        turn = 0
        while data:
            room = self.protocol.get_buffer(-1)
            count = min(len(room), len(data), cuts[turn % len(cuts)])
            room[:count] = data[:count]
            self.protocol.buffer_updated(count)
            data, turn = data[count:], turn + 1
            if turn % 3:
                await asyncio.sleep(0)


def filled(sizes: Sequence[int]) -> list[bytes]:
    """Frames that differ everywhere."""
    return [bytes((7 * number + at) % 251 for at in range(size)) for number, size in enumerate(sizes)]


@settings(max_examples=examples(25), deadline=None)
@given(sizes, cuts)
def test_the_bytes_read_are_those_sent(sizes: list[int], cuts: list[int]) -> None:
    async def read_all() -> list[bytes]:
        wire = Wire()
        feeding = asyncio.create_task(wire.feed(b"".join(sent), cuts))
        found = [bytes(await wire.reader.readexactly(size)) for size in sizes]
        await feeding
        return found

    sent = filled(sizes)
    assert asyncio.run(read_all()) == sent


async def test_a_length_below_0_is_refused() -> None:
    wire = Wire()
    await wire.feed(b"abcdefgh", [8])
    with pytest.raises(ValueError, match="expected a length of 0 or more, got -3"):
        await wire.reader.readexactly(-3)
    assert await wire.reader.readexactly(8) == b"abcdefgh"


async def test_a_large_frame_is_in_memory_once() -> None:
    wire, [sent] = Wire(), filled([16 * LARGE])
    reading = asyncio.create_task(wire.reader.readexactly(len(sent)))
    tracemalloc.start()
    try:
        await wire.feed(memoryview(sent), [10_000])
        frame = BytesIO(await reading)  # as aiokafka does
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert frame.getvalue() == sent
    assert len(sent) < peak_bytes < 1.5 * len(sent)


@pytest.mark.parametrize("said", [0x48545450, 0x15030300])  # "HTTP", and an alert of TLS
async def test_an_announced_huge_frame_takes_the_memory_of_the_bytes_received(said: int) -> None:
    wire = Wire()
    tracemalloc.start()
    try:
        reading = asyncio.create_task(wire.reader.readexactly(said))
        await wire.feed(b"/1.1 400 Bad Request", [20])
        wire.protocol.eof_received()
        with pytest.raises(asyncio.IncompleteReadError) as caught:
            await reading
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert caught.value.partial == b"/1.1 400 Bad Request"
    assert peak_bytes < 1 << 20


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_connection_that_ends_within_a_frame(size: int) -> None:
    wire = Wire()
    reading = asyncio.create_task(wire.reader.readexactly(size))
    await wire.feed(b"abc", [3])
    assert not wire.reader.at_eof()
    wire.protocol.eof_received()
    with pytest.raises(asyncio.IncompleteReadError) as caught:
        await reading
    assert (caught.value.partial, caught.value.expected) == (b"abc", size)
    assert wire.reader.at_eof()
    with pytest.raises(asyncio.IncompleteReadError):
        await wire.reader.readexactly(size)


@pytest.mark.parametrize("size", [10, LARGE])
async def test_a_connection_that_is_lost_within_a_frame(size: int) -> None:
    wire = Wire()
    reading = asyncio.create_task(wire.reader.readexactly(size))
    await wire.feed(b"abc", [3])
    wire.protocol.connection_lost(ConnectionResetError("gone"))
    with pytest.raises(ConnectionResetError, match="gone"):
        await reading
    assert isinstance(wire.reader.exception(), ConnectionResetError)
    with pytest.raises(ConnectionResetError, match="gone"):
        await wire.reader.readexactly(size)
    assert wire.closed.done()


async def test_a_read_that_is_cancelled_within_a_frame_leaves_nothing_to_write_to() -> None:
    wire = Wire()
    reading = asyncio.create_task(wire.reader.readexactly(LARGE))
    await wire.feed(b"abc", [3])
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    assert not len(wire.reader.room)


@asynccontextmanager
async def in_place(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Connections made within receive in place."""
    with monkeypatch.context() as patch:
        patch.setattr(conn, "AIOKafkaProtocol", conn.AIOKafkaProtocol)
        frames.receive_in_place()
        yield


async def test_large_fetches_of_a_broker(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    await topics.ensure(settings)
    values = filled([200_000] * 10)
    async with in_place(monkeypatch):
        producer = await client.start_producer(settings)
        try:
            for value in values:
                await producer.send_and_wait(settings.kafka_topic, value, partition=0)
        finally:
            await producer.stop()
        async with client.reader(settings) as reader:
            place = TopicPartition(settings.kafka_topic, 0)
            reader.assign([place])
            reader.seek(place, 0)
            found = list[bytes]()
            while len(found) < len(values):
                found += [record.value for record in (await reader.getmany(timeout_ms=500)).get(place, [])]
            assert {type(connection._reader) for connection in reader._client._conns.values()} == {FrameReader}
    assert found == values
