"""Connections to the broker: options that every client shares, and errors in the words of a user."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaConnectionError, KafkaError, KafkaTimeoutError, NodeNotReadyError, UnknownError

from movie_stream.errors import BrokerRefused, BrokerUnreachable, MovieStreamError
from movie_stream.logs import unlogged
from movie_stream.settings import Settings

MAX_REQUEST_BYTES: Final = 64 << 20
"""Above anything that a record of ours, or the original in a dead letter, can need; the broker's own limits decide."""


def options(settings: Settings) -> dict[str, Any]:
    """What every client of aiokafka is given."""
    return {"bootstrap_servers": settings.require_broker(), "client_id": "movie-stream"}


@contextmanager
def explained(settings: Settings, doing: str) -> Iterator[None]:
    """Turns what aiokafka raises into BrokerUnreachable or BrokerRefused; `doing` completes "while ..."."""
    try:
        yield
    except MovieStreamError:
        raise
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, OSError) as error:
        raise BrokerUnreachable(servers=settings.require_broker(), cause=f"while {doing}: {error}") from error
    except KafkaError as error:
        raise BrokerRefused(doing=doing, cause=error) from error


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client for the time of the block."""
    client = AIOKafkaAdminClient(**options(settings))
    try:
        with explained(settings, "connecting"):
            await client.start()
        yield client
    finally:
        await client.close()


@asynccontextmanager
async def reader(settings: Settings, *, committed: bool = True) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, for the time of the block: for offsets and whole partitions.

    Where it is not to read `committed` records alone, no open transaction of others hides what stands behind it.
    """
    consumer = AIOKafkaConsumer(
        **options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed" if committed else "read_uncommitted",
        fetch_max_wait_ms=100,
        max_partition_fetch_bytes=8 << 20,
    )
    try:
        with explained(settings, "connecting"):
            await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


async def start_producer(settings: Settings, **tuning: Any) -> AIOKafkaProducer:
    """A started producer that waits for all replicas; idempotent where the broker can be (Tansu 0.6 cannot)."""
    shared = {**options(settings), "acks": "all", "max_request_size": MAX_REQUEST_BYTES, **tuning}
    with explained(settings, "connecting"):
        try:
            with unlogged("aiokafka.producer.sender", "InitProducerIdRequest"):
                return await _started(AIOKafkaProducer(**shared, enable_idempotence=True))
        except UnknownError:
            return await _started(AIOKafkaProducer(**shared))


async def _started(producer: AIOKafkaProducer) -> AIOKafkaProducer:
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer
