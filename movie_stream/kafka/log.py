"""A partition of a topic as the log behind a table."""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import (
    KafkaError,
    MessageSizeTooLargeError,
    OffsetOutOfRangeError,
    TopicAuthorizationFailedError,
)

from movie_stream.aggregates.groups import BLOCK_BYTES
from movie_stream.errors import RecordTooLarge, WorkerFailed
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.produce.encoded_batch import HEADER_BYTES, EncodedBatch
from movie_stream.kafka.produce.large_records import LargeRecords
from movie_stream.kafka.produce.one_record import STRONG, OneRecord
from movie_stream.kafka.produce.values_batch import RECORD_BYTES, batch_of, grouped
from movie_stream.settings import Settings
from movie_stream.tables.log import SENT_AT_ONCE, LogTruncated, portions

logger = logging.getLogger(__name__)

A_TURN_BYTES: Final = 1 << 14
"""Reading a record of more bytes gives other partitions a turn of the event loop, since loading it takes a while."""
BATCH_BYTES: Final = 1 << 20
"""The most bytes of a batch, unless its topic takes less: a partition takes one after the other."""
BATCH_OVERHEAD_BYTES: Final = 256
"""The most bytes of a batch of one record besides the value."""
RECORD_OVERHEAD_BYTES: Final = 2_048
"""The most bytes of a record besides its block: those of its message and its batch."""
STALL_LOGGED_AFTER_S: Final = 5.0
STALL_AT_MOST_S: Final = 60.0
"""How long reading may stall: after the first time the reason is logged, after the second the worker ends."""
DELETION_ATTEMPTS: Final = 3
"""Failures after which a broker that has never deleted records is not asked again; fewer may be a short outage."""


@dataclass
class Broker:
    """The connections that the logs of one worker share."""

    settings: Settings
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient
    limits: Mapping[str, int | None] = field(default_factory=dict)
    """The most bytes of a batch by topic; None if the broker has not reported it."""
    large: LargeRecords = field(init=False)
    """Writes the dead letters that may not fit into their topic."""
    deletes: bool = True
    """Whether the broker supports deleting records."""
    _turns: defaultdict[tuple[str, int], asyncio.Lock] = field(
        default_factory=lambda: defaultdict(asyncio.Lock), init=False
    )
    """One batch for a partition waits for the one before it: each time that aiokafka wakes several, it subtracts the
    time since they began to wait from what is left of theirs, once more.
    """
    _deleted: bool = field(default=False, init=False)
    """Whether the broker has ever deleted records."""
    _failed_deletions: int = field(default=0, init=False)
    """How often deletion failed: Tansu 0.6 does not support it, and closes the connection without an error."""

    def __post_init__(self) -> None:
        letters = self.settings.dead_letters_topic
        self.large = LargeRecords(self.settings, letters, self.limits.get(letters))

    def block_bytes(self, *topics: str) -> int:
        """The most bytes of a block in records of these topics."""
        known = [limit - RECORD_OVERHEAD_BYTES for topic in topics if (limit := self.limits.get(topic)) is not None]
        return min([BLOCK_BYTES, *known])

    def _batch_bytes(self, topic: str) -> int:
        """The most bytes of a batch of several records."""
        limit = self.limits.get(topic)
        return BLOCK_BYTES if limit is None else min(limit, BATCH_BYTES) - HEADER_BYTES

    async def send(self, topic: str, partition: int, values: Sequence[bytes]) -> list[int]:
        """Sends records in this order; returns their offsets when all are acknowledged.

        Raises RecordTooLarge, and the errors of `explained`, also if a record is lost.
        """
        found, most = list[int](), self._batch_bytes(topic)
        with client.explained(self.settings, f"writing to {topic}"):
            for portion in portions(values, SENT_AT_ONCE):
                groups, sent = list(grouped(portion, most)), list[asyncio.Future[Any]]()
                try:
                    for group in groups:
                        sent.append(await self._send_group(topic, partition, group))
                        if self.producer._txn_manager is None:
                            await sent[-1]  # it is not idempotent: a later batch would come though this one is lost
                    for group, first in zip(groups, await asyncio.gather(*sent), strict=True):
                        found.extend(range(first.offset, first.offset + len(group)))
                except MessageSizeTooLargeError as error:
                    size = HEADER_BYTES + max(sum(map(len, group)) + len(group) * RECORD_BYTES for group in groups)
                    raise RecordTooLarge(topic=topic, size=size, limit=None) from error
        return found

    async def _send_group(self, topic: str, partition: int, group: Sequence[bytes]) -> asyncio.Future[Any]:
        """Sends values in a batch, compressed if it is one that is too large for its topic; compressing the others
        would take longer.
        """
        limit = self.limits.get(topic)
        batch: EncodedBatch | OneRecord
        if limit is None or len(group) > 1 or len(group[0]) + BATCH_OVERHEAD_BYTES <= limit:
            batch = batch_of(group)
        else:
            batch = await asyncio.to_thread(OneRecord(None, group[0]).packed, STRONG)
            if batch.size() > limit:
                raise RecordTooLarge(topic=topic, size=batch.size(), limit=limit)
        async with self._turns[topic, partition]:
            return await self.producer.send_batch(batch, topic, partition=partition)

    async def send_record(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> asyncio.Future[object]:
        """Sends any record, even one with neither key nor value, which aiokafka's own `send` refuses.

        The returned future is done when the record is acknowledged.
        """
        if key is not None or value is not None:
            return await self.producer.send(topic, value, key=key, partition=partition, headers=headers)
        batch = self.producer.create_batch()
        batch.append(key=None, value=None, timestamp=None, headers=headers)
        return await self.producer.send_batch(batch, topic, partition=partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Deletes the records before an offset; a failure is only logged: the topic then grows."""
        if not self.deletes or (not self._deleted and self._failed_deletions >= DELETION_ATTEMPTS):
            return
        try:
            await self.admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)})
        except KafkaError as error:
            self._failed_deletions += 1
            if self._failed_deletions == DELETION_ATTEMPTS and not self._deleted:
                refused = isinstance(error, TopicAuthorizationFailedError)
                logger.warning(
                    "the broker does not delete records (%s): the topics of this group only grow%s",
                    *(error, f"; give this worker's user Delete on {topic}" if refused else ""),
                )
            else:
                logger.info("not deleted before %s in %s, the next checkpoint will: %s", offset, topic, error)
        else:
            self._deleted = True


class _StallWatch:
    """Watches whether reading a partition advances: a reader of committed records stalls at an open transaction."""

    def __init__(self, consumer: AIOKafkaConsumer, tp: TopicPartition) -> None:
        self._consumer, self._tp = consumer, tp
        self._position, self._since_s, self._logged = -1, monotonic(), False

    def look(self, position: int) -> None:
        """Checks the position, between any two fetches; logs once why it does not change, and raises WorkerFailed if it
        does not change for too long.
        """
        if position != self._position:
            self._position, self._since_s, self._logged = position, monotonic(), False
            return
        waited_s = monotonic() - self._since_s
        if waited_s > STALL_AT_MOST_S:
            cause, remedy = self._why()
            raise WorkerFailed(what=f"{self._what} for {waited_s:.0f} s", cause=cause, remedy=remedy)
        if waited_s > STALL_LOGGED_AFTER_S and not self._logged:
            logger.warning(
                "%s, so there is no checkpoint (%s): waits for %.0f s, nothing is lost; %s",
                *(self._what, self._why()[0], STALL_AT_MOST_S, self._why()[1]),
            )
            self._logged = True

    @property
    def _what(self) -> str:
        return f"{self._tp.topic}, partition {self._tp.partition}, cannot be read from offset {self._position} on"

    def _why(self) -> tuple[str, str]:
        """The cause, and the remedy."""
        stable = self._consumer.last_stable_offset(self._tp)
        if stable is not None and 0 <= stable <= self._position:
            cause = f"a producer's transaction is open at offset {stable}, though nobody but workers is to write there"
            return cause, offsets.ENDED_BY
        return "its leader does not answer", "see to the brokers that hold it"


class KafkaLog:
    """One partition of a topic; see tables.log.Log."""

    def __init__(self, broker: Broker, topic: str, partition: int) -> None:
        self._broker, self._topic, self._partition = broker, topic, partition

    async def append(self, values: Sequence[bytes]) -> list[int]:
        return await self._broker.send(self._topic, self._partition, values)

    async def read(self, start: int | None, until: int | None) -> AsyncIterator[tuple[int, bytes | None]]:
        tp = TopicPartition(self._topic, self._partition)
        with client.explained(self._broker.settings, f"reading {self._topic}"):
            async with client.reader(self._broker.settings) as consumer:
                oldest = (await offsets.beginnings(consumer, [tp]))[tp]
                end = (await offsets.ends(consumer, [tp]))[tp] if until is None else until
                consumer.assign([tp])
                if start is not None and start < oldest:
                    raise LogTruncated(f"{self._topic}/{self._partition} was cut at {oldest}, asked for {start}")
                consumer.seek(tp, oldest if start is None else start)
                stall_watch = _StallWatch(consumer, tp)
                while (position := await consumer.position(tp)) < end:
                    stall_watch.look(position)
                    try:
                        fetched = await consumer.getmany(timeout_ms=500)
                    except OffsetOutOfRangeError as error:
                        raise LogTruncated(f"{self._topic}/{self._partition} was cut while it was read") from error
                    for record in fetched.get(tp, ()):
                        if record.offset < end:
                            yield record.offset, record.value
                        if len(record.value or b"") > A_TURN_BYTES:
                            await asyncio.sleep(0)

    async def oldest(self) -> int:
        tp = TopicPartition(self._topic, self._partition)
        with client.explained(self._broker.settings, f"asking where {self._topic} begins"):
            async with client.reader(self._broker.settings) as consumer:
                return (await offsets.beginnings(consumer, [tp]))[tp]

    async def delete_before(self, offset: int) -> None:
        await self._broker.delete_before(self._topic, self._partition, offset)
