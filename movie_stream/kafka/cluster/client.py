"""Connections to the broker: options that every client shares, and aiokafka's errors turned into ours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from time import monotonic
from typing import Any, Final, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    GroupLoadInProgressError,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    NotCoordinatorForGroupError,
    TopicAuthorizationFailedError,
    UnknownError,
)

from movie_stream.console.logs import unlogged
from movie_stream.errors import BrokerForbids, BrokerRefused, BrokerUnreachable, ClockWrong, MovieStreamError
from movie_stream.kafka.batches import headers, inflate
from movie_stream.kafka.batches.holes import wait_for_missing_batches
from movie_stream.kafka.cluster.access import access_options, user_of
from movie_stream.kafka.cluster.admin import Admin
from movie_stream.kafka.cluster.diagnosis import why_closed
from movie_stream.settings import Settings

MAX_REQUEST_BYTES: Final = 64 << 20
"""Above anything that a record of ours, or the original in a dead letter, can need; the broker's own limits decide."""


CLIENT_ID: Final = "movie-stream"
"""The `client.id` of all our clients; workers append to it."""

T = TypeVar("T")

inflate.limit_decompression()
headers.accept_any_header_names()

_FETCH_BYTES: Final = 8 << 20
_COORDINATED_WITHIN_S: Final = 15.0
_ASK_AGAIN_S: Final = 0.2
_SENT_WITHIN_S: Final = 0.5
_FORBIDDEN: Final = {
    TopicAuthorizationFailedError: "the topic",
    GroupAuthorizationFailedError: "the group",
    ClusterAuthorizationFailedError: "the cluster",
}


def options(settings: Settings) -> dict[str, Any]:
    """The options of every aiokafka client; also sets the bounds of decompression from the settings.

    Raises SettingMissing and SettingsError.
    """
    inflate.set_limits(inflate.Limits(settings.max_record_bytes, settings.max_batch_bytes))
    return {
        "bootstrap_servers": settings.require_broker(),
        "client_id": CLIENT_ID,
        **access_options(settings),
    }


@contextmanager
def explained(settings: Settings, doing: str) -> Iterator[None]:
    """Turns aiokafka's errors into BrokerUnreachable, BrokerForbids, ClockWrong or BrokerRefused; `doing` completes
    "while ...".
    """
    try:
        yield
    except MovieStreamError:
        raise
    except (KafkaConnectionError, KafkaTimeoutError, NodeNotReadyError, OSError) as error:
        raise BrokerUnreachable(servers=settings.require_broker(), cause=f"while {doing}: {error}") from error
    except tuple(_FORBIDDEN) as error:
        raise forbidden(settings, error, doing) from error
    except InvalidTimestampError as error:
        raise ClockWrong(doing=doing, now=f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}") from error
    except KafkaError as error:
        raise BrokerRefused(doing=doing, cause=error) from error


def forbidden(settings: Settings, error: KafkaError, doing: str) -> BrokerForbids:
    """The error for an authorization that failed."""
    kind = next(words for kind, words in _FORBIDDEN.items() if isinstance(error, kind))
    resource = ", ".join(map(str, error.args))
    return BrokerForbids(user=user_of(settings), what=[f"some on {kind} {resource}".rstrip()], doing=doing)


@asynccontextmanager
async def connecting(settings: Settings) -> AsyncIterator[None]:
    """For a client's start: diagnoses why it cannot connect to a broker.

    Raises BrokerClosed, BrokerUnreachable, BrokerForbids, BrokerRefused.
    """
    try:
        with explained(settings, "connecting"):
            yield
    except BrokerUnreachable as error:
        raise await why_closed(settings) from error


@asynccontextmanager
async def admin(settings: Settings) -> AsyncIterator[Admin]:
    """An admin client for the duration of the block."""
    client = Admin(**options(settings))
    try:
        async with connecting(settings):
            await client.start()
        await _reach_advertised(settings, client)
        yield client
    finally:
        await client.close()


async def coordinated(ask: Callable[[], Awaitable[T]]) -> T:
    """The answer of a group's coordinator, retried for a bounded time: a new cluster appoints one only on request.
    Raises the errors of `ask`.
    """
    deadline_s = monotonic() + _COORDINATED_WITHIN_S
    while True:
        try:
            return await ask()
        except (GroupCoordinatorNotAvailableError, NotCoordinatorForGroupError, GroupLoadInProgressError):
            if monotonic() > deadline_s:
                raise
            await asyncio.sleep(_ASK_AGAIN_S)


async def _reach_advertised(settings: Settings, client: AIOKafkaAdminClient) -> None:
    """Checks that a broker accepts us at its advertised address, which may differ from the bootstrap server's."""
    node = client._client.get_random_node()
    if node is None or await client._client.ready(node):
        return
    broker = client._client.cluster.broker_metadata(node)
    host = f"[{broker.host}]" if ":" in broker.host else broker.host
    raise await why_closed(settings, f"{host}:{broker.port}")


@asynccontextmanager
async def reader(
    settings: Settings, *, committed: bool = True, fetch_bytes: int = _FETCH_BYTES
) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer without a group, for the duration of the block: for offsets and whole partitions.

    Without `committed` it reads uncommitted records, too, so that no open transaction hides the records behind it.
    `fetch_bytes` is the most that a fetch returns of a partition, but at least a batch.
    """
    consumer = AIOKafkaConsumer(
        **options(settings),
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed" if committed else "read_uncommitted",
        fetch_max_wait_ms=10,  # nobody waits for records to come, but the next request for the last fetch
        max_partition_fetch_bytes=fetch_bytes,
    )
    try:
        async with connecting(settings):
            await consumer.start()
        await asyncio.sleep(0)  # a task of aiokafka's that has not begun would turn an error into a CancelledError
        yield consumer
    finally:
        await consumer.stop()


async def start_producer(settings: Settings, *, idempotent: bool = True, **tuning: Any) -> AIOKafkaProducer:
    """A started producer that waits for all in-sync replicas; idempotent, if requested and the broker supports it.

    Tansu 0.6 does not. Nor has it transactions or compaction: so from then on this process takes any hole in a
    partition for one that may be filled, see holes.py.
    """
    shared = {**options(settings), "acks": "all", "max_request_size": MAX_REQUEST_BYTES, **tuning}
    async with connecting(settings):
        if not idempotent:
            return await _started(AIOKafkaProducer(**shared))
        try:
            with unlogged("aiokafka.producer.sender", "InitProducerIdRequest"):
                return await _started(AIOKafkaProducer(**shared, enable_idempotence=True))
        except UnknownError:
            wait_for_missing_batches()
            return await _started(AIOKafkaProducer(**shared))


async def _started(producer: AIOKafkaProducer) -> AIOKafkaProducer:
    try:
        await producer.start()
    except BaseException:
        await producer.stop()
        raise
    return producer


async def stop_producer(producer: AIOKafkaProducer) -> None:
    """Flushes for a bounded time and disconnects; aiokafka would wait forever for a broker that is gone."""
    stopping = asyncio.ensure_future(producer.stop())
    await asyncio.wait([stopping], timeout=_SENT_WITHIN_S)
    if not stopping.done():
        stopping.cancel()
        await asyncio.wait([stopping])
        await producer._sender.close()
        await producer.client.close()
