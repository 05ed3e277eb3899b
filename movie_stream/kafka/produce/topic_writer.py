"""Writes records to one topic: to the partition of their key, in order, with acknowledgements.

Records are batched here instead of being passed to the client one by one, which is several times faster. A partition
gets its next batch when the last one is acknowledged: so the records that arrive are a prefix of those written, without
a gap, whatever interrupts it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import chain, repeat
from typing import Any, Final

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    GroupAuthorizationFailedError,
    IncompatibleBrokerVersion,
    KafkaConnectionError,
    KafkaError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    TopicAuthorizationFailedError,
    UnknownError,
    UnknownTopicOrPartitionError,
    UnsupportedVersionError,
)
from numpy.typing import NDArray

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.console.logs import unlogged
from movie_stream.errors import BrokerUnreachable, MovieStreamError, TopicMissing
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.diagnosis import why_closed
from movie_stream.kafka.cluster.permissions import require_permissions
from movie_stream.settings import Settings

log = logging.getLogger(__name__)

BATCH_BYTES: Final = 1 << 19
"""Half of a broker's default limit."""
HEADER_BYTES: Final = 61
RECORD_BYTES: Final = 21
"""Bytes of a batch, and at most of a record, besides keys and values; there are no headers."""
ACK_TIMEOUT: Final = timedelta(seconds=30)
CLOSE_SECONDS: Final = 0.5
TURNS: Final = 5
"""Iterations of the event loop that the client gets to send batches before the caller continues."""

BROKER_AWAY: Final = (
    KafkaConnectionError,
    KafkaTimeoutError,
    NodeNotReadyError,
    RequestTimedOutError,
    TimeoutError,
    OSError,
)
NOT_IDEMPOTENT: Final = (
    UnknownError,
    UnsupportedVersionError,
    IncompatibleBrokerVersion,
    ClusterAuthorizationFailedError,
)
"""Errors of brokers that do not support, or do not allow, idempotent producers."""
FORBIDDEN: Final = (TopicAuthorizationFailedError, GroupAuthorizationFailedError, ClusterAuthorizationFailedError)


class WriteRefused(MovieStreamError):
    """The broker answers, but refuses the records.

    What to do: look the cause up in the broker's log; `movie-stream doctor` looks at the topic.

    >>> print(WriteRefused(topic="movie-events", servers="kafka:9092", cause=RuntimeError("NotEnoughReplicas")))
    the broker at kafka:9092 does not take records for the topic movie-events: NotEnoughReplicas
    """

    def __init__(self, *, topic: str, servers: str, cause: Exception) -> None:
        super().__init__(f"the broker at {servers} does not take records for the topic {topic}: {cause}")


@dataclass(frozen=True, slots=True)
class Written:
    """The acknowledged records of a writer in one partition."""

    records: int = 0
    next_offset: int | None = None
    """The offset after the last of them; None if there are none, or the broker did not say."""

    def plus(self, records: int, base_offset: int) -> Written:
        """The sum with one more batch at `base_offset`, which is negative if the broker no longer knows it.

        >>> Written(3, 7).plus(2, 9), Written(3, 7).plus(2, -1)
        (Written(records=5, next_offset=11), Written(records=5, next_offset=None))
        """
        return Written(self.records + records, base_offset + records if base_offset >= 0 else None)


class TopicWriter:
    """Writes to an existing topic; made by `open_topic`.

    Any method raises BrokerUnreachable, BrokerForbids, TopicMissing or WriteRefused if a record was not acknowledged.
    """

    def __init__(
        self,
        producer: AIOKafkaProducer,
        settings: Settings,
        topic: str,
        partition_count: int,
        ack_timeout: timedelta,
    ) -> None:
        self.partition_count = partition_count
        self._producer = producer
        self._settings = settings
        self._topic = topic
        self._ack_timeout = ack_timeout.total_seconds()
        self._in_flight: dict[int, _Sent] = {}
        self._written = [Written()] * partition_count

    @property
    def written(self) -> Sequence[Written]:
        """The acknowledged records by partition: a prefix of the records written to each."""
        return self._written

    async def write(self, keys: Sequence[bytes], values: Sequence[bytes]) -> None:
        """Sends records with the present time as timestamp; waits for the acknowledgement of earlier ones."""
        partitions = partitions_of(keys, self.partition_count)
        sizes = np.fromiter(map(len, keys), np.int64, len(keys)) + np.fromiter(map(len, values), np.int64, len(keys))
        now_ms = time.time_ns() // 1_000_000
        for partition in np.unique(partitions).tolist():
            rows = np.flatnonzero(partitions == partition)
            for part in _batches(sizes[rows] + RECORD_BYTES, BATCH_BYTES - HEADER_BYTES):
                picked = rows[part].tolist()
                batch = self._producer.create_batch()
                _fill(batch, [keys[row] for row in picked], [values[row] for row in picked], now_ms)
                await self._send(batch, partition)
        for _ in range(TURNS):
            await asyncio.sleep(0)

    async def finish(self) -> None:
        """Waits until everything is acknowledged."""
        await self._wait_for(range(self.partition_count))

    def abandon(self) -> None:
        """Gives up the unacknowledged records."""
        for sent in self._in_flight.values():
            sent.future.cancel()
        self._in_flight.clear()

    async def _send(self, batch: Any, partition: int) -> None:
        await self._wait_for([partition])
        records = batch.record_count()
        with self._worded_errors():
            async with asyncio.timeout(self._ack_timeout):
                future = await self._producer.send_batch(batch, self._topic, partition=partition)
        self._in_flight[partition] = _Sent(future, records, time.monotonic() + self._ack_timeout)

    async def _wait_for(self, partitions: Collection[int]) -> None:
        """Waits until nothing is in flight to these partitions; also checks the others."""
        while True:
            self._check()
            waiting = [sent for partition, sent in self._in_flight.items() if partition in partitions]
            if not waiting:
                return
            rest = min(sent.deadline for sent in waiting) - time.monotonic()
            await asyncio.wait([sent.future for sent in waiting], timeout=rest, return_when=asyncio.FIRST_COMPLETED)

    def _check(self) -> None:
        """Counts the acknowledged records. Raises the errors of batches that failed or are overdue."""
        for partition, sent in list(self._in_flight.items()):
            with self._worded_errors():
                if sent.future.done():
                    base_offset = sent.future.result().offset
                    self._written[partition] = self._written[partition].plus(sent.records, base_offset)
                    del self._in_flight[partition]
                elif sent.deadline <= time.monotonic():
                    raise TimeoutError

    def _worded_errors(self) -> AbstractContextManager[None]:
        return worded_errors(self._settings, self._topic, sum(written.records for written in self._written))


def _batches(sizes: NDArray[np.int64], room: int) -> Iterator[slice]:
    """The ranges of records of these sizes that share a batch: as many as fit, at least one.

    >>> list(_batches(np.array([3, 3, 9, 1]), 6))
    [slice(0, 2, None), slice(2, 3, None), slice(3, 4, None)]
    """
    ends = np.cumsum(sizes)
    start = sent = 0
    while start < len(ends):
        end = max(start + 1, int(np.searchsorted(ends, sent + room, "right")))
        yield slice(start, end)
        start, sent = end, int(ends[end - 1])


def _fill(batch: Any, keys: Sequence[bytes], values: Sequence[bytes], now_ms: int) -> None:
    """Puts records into an empty batch that has room for all of them.

    It replaces `BatchBuilder.append`, which takes twice as long as the builder that it calls.
    """
    metadata = list(map(batch._builder.append, range(len(keys)), repeat(now_ms), keys, values, repeat([])))
    if None in metadata:
        raise AssertionError(f"a batch has no room for record {metadata.index(None)} of {len(keys)}")
    batch._relative_offset = len(keys)


@dataclass(frozen=True, slots=True)
class _Sent:
    """A batch in flight."""

    future: asyncio.Future[Any]
    records: int
    deadline: float
    """When it counts as lost, in seconds of the monotonic clock."""


@asynccontextmanager
async def open_topic(
    settings: Settings, topic: str, ack_timeout: timedelta = ACK_TIMEOUT
) -> AsyncIterator[TopicWriter]:
    """A writer to a topic; unacknowledged records are given up when the `with` ends.

    Raises BrokerUnreachable if no broker answers, BrokerClosed if none lets us in, BrokerForbids if the topic is not
    allowed, TopicMissing if it does not exist: it is never created here.
    """
    producer = await _start(settings, topic, ack_timeout)
    try:
        with worded_errors(settings, topic):
            partitions = (await producer.client.fetch_all_metadata()).partitions_for_topic(topic)
        if not partitions:
            async with client.admin(settings) as admin:
                await require_permissions(settings, admin, {topic: ["Write"]})
            raise TopicMissing(topic=topic, servers=settings.require_broker())
        writer = TopicWriter(producer, settings, topic, len(partitions), ack_timeout)
        try:
            yield writer
        finally:
            writer.abandon()
    finally:
        await _stop(producer)


@contextmanager
def worded_errors(settings: Settings, topic: str, acknowledged: int = 0) -> Iterator[None]:
    """Turns the client's errors into ours; `acknowledged` events were written before."""
    servers = settings.require_broker()
    try:
        yield
    except UnknownTopicOrPartitionError as error:
        raise TopicMissing(topic=topic, servers=servers) from error
    except BROKER_AWAY as error:
        late = isinstance(error, (TimeoutError, KafkaTimeoutError, RequestTimedOutError))
        what = "it does not answer in time" if late else "no connection"
        so_far = f"; {acknowledged} events were acknowledged until then" if acknowledged else ""
        raise BrokerUnreachable(servers=servers, cause=what + so_far) from error
    except FORBIDDEN as error:
        raise client.forbidden(settings, error, f"writing to {topic}") from error
    except KafkaError as error:
        raise WriteRefused(topic=topic, servers=servers, cause=error) from error


async def _start(settings: Settings, topic: str, ack_timeout: timedelta) -> AIOKafkaProducer:
    """A started producer, idempotent if the broker supports that."""
    try:
        with worded_errors(settings, topic):
            return await _idempotent_if_possible(settings, ack_timeout)
    except BrokerUnreachable as error:
        raise await why_closed(settings) from error


async def _idempotent_if_possible(settings: Settings, ack_timeout: timedelta) -> AIOKafkaProducer:
    try:
        with unlogged("aiokafka.producer.sender", "InitProducerIdRequest"):
            return await _started(settings, ack_timeout, idempotent=True)
    except NOT_IDEMPOTENT:
        log.info(
            "the broker at %s has no idempotent producers: a lost acknowledgement is final",
            settings.require_broker(),
        )
        producer = await _started(settings, ack_timeout, idempotent=False)
        # The client would resend a batch whose acknowledgement was lost, and so duplicate it.
        producer._message_accumulator._batch_ttl = -1
        return producer


async def _started(settings: Settings, ack_timeout: timedelta, *, idempotent: bool) -> AIOKafkaProducer:
    producer = AIOKafkaProducer(
        **client.options(settings),
        acks="all",
        enable_idempotence=idempotent,
        max_batch_size=BATCH_BYTES,
        request_timeout_ms=ack_timeout // timedelta(milliseconds=1),
    )
    try:
        async with asyncio.timeout(ack_timeout.total_seconds()):
            await producer.start()
    except BaseException:
        await _stop(producer)
        raise
    return producer


async def _stop(producer: AIOKafkaProducer) -> None:
    """Closes a producer without delay, whatever the state of the broker; unacknowledged batches are given up.

    Its own `stop` waits until every batch is delivered, which takes forever if the broker is gone.
    """
    producer._closed = True
    waiting = producer._message_accumulator
    for batch in [*waiting._pending_batches, *chain.from_iterable(waiting._batches.values())]:
        # Not cancelled: the sender would log a traceback for a batch that it retries.
        batch.future.add_done_callback(_retrieve_error)
    waiting._batches.clear()
    sender = producer._sender.sender_task
    while sender is not None and not sender.done():
        sender.cancel()  # the first turn waits for the pending answer
        await asyncio.wait([sender], timeout=CLOSE_SECONDS)
    await producer.client.close()


def _retrieve_error(future: asyncio.Future[Any]) -> None:
    """Retrieves the error, so that asyncio does not log it; the first one was raised to the caller."""
    if not future.cancelled():
        future.exception()
