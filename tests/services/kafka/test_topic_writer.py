"""Records reach the partition of their key in order, and a broker that goes away is one clear line."""

import asyncio
import os
import signal
from collections.abc import Callable
from datetime import timedelta

import numpy as np
import pytest
from aiokafka.errors import KafkaError
from aiokafka.producer.message_accumulator import BatchBuilder
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.columnar.spans import Spans
from movie_stream.embedded.launch import free_port
from movie_stream.embedded.process import GuardedProcess
from movie_stream.errors import BrokerUnreachable, MovieStreamError, TopicMissing
from movie_stream.kafka.produce import topic_writer
from movie_stream.kafka.produce.encoded_batch import HEADER_BYTES
from movie_stream.kafka.produce.topic_writer import (
    RECORD_BYTES,
    WriteRefused,
    _batches,
    batch_of,
    open_topic,
    worded_errors,
)
from movie_stream.settings import Settings
from tests.support.kafka.topics import PARTITIONS, create_topic, read_topic
from tests.support.server_process import pause

SOON = timedelta(seconds=2)


def at(servers: str) -> Settings:
    """Settings of a broker that lets anyone in."""
    return Settings(kafka_bootstrap_servers=servers)


async def test_each_record_is_in_its_keys_partition_and_in_order(settings: Settings) -> None:
    servers = settings.require_broker()
    await create_topic(servers, settings.kafka_topic)
    keys = [b"user_%d" % (number % 37) for number in range(5_000)]
    values = [b"%d" % number + b"x" * (number % 700) for number in range(5_000)]
    async with open_topic(settings, settings.kafka_topic) as writer:
        for start in range(0, 5_000, 500):
            await writer.write(keys[start : start + 500], values[start : start + 500])
        await writer.finish()
    partitions = partitions_of(keys, PARTITIONS).tolist()
    found = await read_topic(servers, settings.kafka_topic)
    for partition in range(PARTITIONS):
        expected = [(k, v) for k, v, p in zip(keys, values, partitions, strict=True) if p == partition]
        assert [(key, value) for key, value, _ in found[partition]] == expected


async def test_more_than_a_batch_holds_and_a_record_larger_than_one(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(topic_writer, "BATCH_BYTES", 10_000)
    servers = settings.require_broker()
    await create_topic(servers, settings.kafka_topic)
    values = [b"a" * 9_000, b"b" * 9_000, b"c" * 50_000, b"d", b"e" * 100_000]
    async with open_topic(settings, settings.kafka_topic) as writer:
        await writer.write([b"u1"] * len(values), values)
        await writer.finish()
    found = await read_topic(servers, settings.kafka_topic)
    assert [[value for _, value, _ in found[n]] for n in range(PARTITIONS) if found[n]] == [values]


@given(st.lists(st.integers(0, 300), min_size=1, max_size=150), st.integers(0, 500), st.integers(-1, 1 << 40))
def test_a_batch_is_what_the_client_would_make(sizes: list[int], room: int, producer: int) -> None:
    keys, values = [b"k" * (size % 7) for size in sizes], [b"v" * size for size in sizes]
    lengths = np.array([len(key) + len(value) + RECORD_BYTES for key, value in zip(keys, values, strict=True)])
    parts = list(_batches(lengths, room))
    assert [size for part in parts for size in sizes[part]] == sizes
    for part in parts:
        ours = batch_of(Spans.of(keys), Spans.of(values), np.arange(len(sizes))[part], 1_730_383_200_000)
        theirs = BatchBuilder(1 << 20, 0)
        for key, value in zip(keys[part], values[part], strict=True):
            assert theirs.append(timestamp=1_730_383_200_000, key=key, value=value)
        for batch in (ours, theirs):
            batch._set_producer_state(producer, 7, 12)
        assert (ours.record_count(), ours.size()) == (theirs.record_count(), theirs.size())
        assert ours._build() == theirs._build()
        assert ours._build() == theirs._build()  # when it is sent once more
        assert ours.size() <= room + HEADER_BYTES or ours.record_count() == 1


async def test_a_topic_that_does_not_exist_is_not_created(settings: Settings) -> None:
    for _ in range(2):
        with pytest.raises(TopicMissing, match="create it with: movie-stream init"):
            async with open_topic(settings, settings.kafka_topic):
                pass


async def test_no_broker() -> None:
    with pytest.raises(BrokerUnreachable, match="no connection"):
        async with open_topic(at(f"127.0.0.1:{free_port()}"), "views"):
            pass


async def write_without_end(servers: str, then: Callable[[], None]) -> None:
    """Writes, calls `then` once it is acknowledged, and continues writing."""
    async with open_topic(at(servers), "views", SOON) as writer:
        await writer.write([b"u1"] * 300, [b"x"] * 300)
        await writer.finish()
        then()
        while True:
            await writer.write([b"u1", b"u2", b"u3"] * 100, [b"x" * 1_000] * 300)


async def test_a_broker_that_is_killed_midway(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker
    with pytest.raises(BrokerUnreachable, match="no connection; 300 events were acknowledged until then"):
        await write_without_end(servers, lambda: os.kill(process.pid, signal.SIGKILL))


async def test_a_broker_that_hangs(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker
    try:
        with pytest.raises(BrokerUnreachable, match="does not answer in time; 300 events"):
            await write_without_end(servers, lambda: pause(process.pid))
        with pytest.raises(BrokerUnreachable, match=r"does not answer in time|no connection"):
            await write_without_end(servers, lambda: None)
    finally:
        os.kill(process.pid, signal.SIGCONT)


async def test_leaving_with_records_in_flight_ends_immediately(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker
    async with open_topic(at(servers), "views") as writer:
        pause(process.pid)
        await writer.write([b"u1"], [b"x"])
    os.kill(process.pid, signal.SIGCONT)


async def test_cancelled_while_it_waits(own_broker: tuple[GuardedProcess, str]) -> None:
    process, servers = own_broker
    waiting = asyncio.Event()

    async def write() -> None:
        async with open_topic(at(servers), "views") as writer:
            pause(process.pid)
            await writer.write([b"u1"], [b"x"])
            waiting.set()
            await writer.finish()

    task = asyncio.create_task(write())
    await waiting.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    os.kill(process.pid, signal.SIGCONT)


@pytest.mark.parametrize(
    ("cause", "error"),
    [
        (TimeoutError(), BrokerUnreachable),
        (OSError("reset"), BrokerUnreachable),
        (KafkaError("no"), WriteRefused),
    ],
)
def test_errors_are_worded(cause: Exception, error: type[MovieStreamError]) -> None:
    with pytest.raises(error, match="localhost:9092"), worded_errors(at("localhost:9092"), "views"):
        raise cause
