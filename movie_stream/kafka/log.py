"""A partition of a topic as the log behind a table."""

from __future__ import annotations

import asyncio
import logging
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
from movie_stream.kafka.produce.large_records import LargeRecords
from movie_stream.kafka.produce.one_record import WELL, OneRecord
from movie_stream.settings import Settings
from movie_stream.tables.log import LogTruncated, portions

logger = logging.getLogger(__name__)

SENT_AT_ONCE: Final = 1 << 20
"""Bytes of records, about, that are on their way to a partition at one time: the producer holds two copies of them."""
ALONE_BYTES: Final = 256
"""What a batch of one record has besides its value, at most."""
BESIDES_BYTES: Final = 2_048
"""What a record has besides its block: in which message, of which batch."""
STALL_SAID_AFTER_S: Final = 5.0
STALL_AT_MOST_S: Final = 60.0
"""How long reading may stand still: after the first it is said why, after the second the worker ends."""
DELETION_ATTEMPTS: Final = 3
"""A broker that has deleted nothing by then cannot; one that is only away for a moment can."""


@dataclass
class Broker:
    """The connections that the logs of one worker share."""

    settings: Settings
    producer: AIOKafkaProducer
    admin: AIOKafkaAdminClient
    limits: Mapping[str, int | None] = field(default_factory=dict)
    """The most bytes that a batch may have, by topic, where the broker has said so."""
    large: LargeRecords = field(init=False)
    """Writes the dead letters that may not fit into their topic."""
    deletes: bool = True
    """Whether it is worth while to ask it to delete records."""
    _deleted: bool = field(default=False, init=False)
    """Whether the broker has ever deleted records."""
    _not_deleted: int = field(default=0, init=False)
    """How often it has not, before it ever did: Tansu 0.6 cannot, and closes the connection instead of saying so."""

    def __post_init__(self) -> None:
        letters = self.settings.dead_letters_topic
        self.large = LargeRecords(self.settings, letters, self.limits.get(letters))

    def block_bytes(self, *topics: str) -> int:
        """How large blocks on their way to these topics may be."""
        known = [limit - BESIDES_BYTES for topic in topics if (limit := self.limits.get(topic)) is not None]
        return min([BLOCK_BYTES, *known])

    async def send(self, topic: str, partition: int, values: Sequence[bytes]) -> list[int]:
        """Sends records in this order; returns their offsets when all are acknowledged. A lost one raises.

        Raises RecordTooLarge, and what `explained` makes of the broker's errors.
        """
        found: list[int] = []
        with client.explained(self.settings, f"writing to {topic}"):
            for portion in portions(values, SENT_AT_ONCE):
                try:
                    sent = [await self._send_value(topic, partition, value) for value in portion]
                    found.extend(acknowledged.offset for acknowledged in await asyncio.gather(*sent))
                except MessageSizeTooLargeError as error:
                    size = max(map(len, portion)) + ALONE_BYTES
                    raise RecordTooLarge(topic=topic, size=size, limit=None) from error
        return found

    async def _send_value(self, topic: str, partition: int, value: bytes) -> asyncio.Future[Any]:
        """A value that is too large for its topic goes packed; the others do not, which would take longer."""
        limit = self.limits.get(topic)
        if limit is None or len(value) + ALONE_BYTES <= limit:
            return await self.producer.send(topic, value, partition=partition)
        batch = await asyncio.to_thread(OneRecord(None, value).packed, WELL)
        if batch.size() > limit:
            raise RecordTooLarge(topic=topic, size=batch.size(), limit=limit)
        return await self.producer.send_batch(batch, topic, partition=partition)

    async def send_record(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> asyncio.Future[object]:
        """Sends any record, one with neither key nor value too, which aiokafka's own `send` does not take.

        The future is done when it is acknowledged.
        """
        if key is not None or value is not None:
            return await self.producer.send(topic, value, key=key, partition=partition, headers=headers)
        batch = self.producer.create_batch()
        batch.append(key=None, value=None, timestamp=None, headers=headers)
        return await self.producer.send_batch(batch, topic, partition=partition)

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        """Deletes what is before an offset; without it nothing goes wrong, but the topic grows."""
        if not self.deletes or (not self._deleted and self._not_deleted >= DELETION_ATTEMPTS):
            return
        try:
            await self.admin.delete_records({TopicPartition(topic, partition): RecordsToDelete(before_offset=offset)})
        except KafkaError as error:
            self._not_deleted += 1
            if self._not_deleted == DELETION_ATTEMPTS and not self._deleted:
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
    """Whether reading a partition goes on. Whoever reads committed records waits where a transaction is open."""

    def __init__(self, consumer: AIOKafkaConsumer, place: TopicPartition) -> None:
        self._consumer, self._place = consumer, place
        self._position, self._since_s, self._said = -1, monotonic(), False

    def look(self, position: int) -> None:
        """To be called between any two fetches; says once why `position` is the same, and raises WorkerFailed where it
        stays the same for too long.
        """
        if position != self._position:
            self._position, self._since_s, self._said = position, monotonic(), False
            return
        waited_s = monotonic() - self._since_s
        if waited_s > STALL_AT_MOST_S:
            cause, remedy = self._why()
            raise WorkerFailed(what=f"{self._what} for {waited_s:.0f} s", cause=cause, remedy=remedy)
        if waited_s > STALL_SAID_AFTER_S and not self._said:
            logger.warning(
                "%s, so there is no checkpoint (%s): waits for %.0f s, nothing is lost; %s",
                *(self._what, self._why()[0], STALL_AT_MOST_S, self._why()[1]),
            )
            self._said = True

    @property
    def _what(self) -> str:
        return f"{self._place.topic}, partition {self._place.partition}, cannot be read from offset {self._position} on"

    def _why(self) -> tuple[str, str]:
        """The cause, and the remedy."""
        stable = self._consumer.last_stable_offset(self._place)
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
        place = TopicPartition(self._topic, self._partition)
        with client.explained(self._broker.settings, f"reading {self._topic}"):
            async with client.reader(self._broker.settings) as consumer:
                oldest = (await offsets.beginnings(consumer, [place]))[place]
                end = (await offsets.ends(consumer, [place]))[place] if until is None else until
                consumer.assign([place])
                if start is not None and start < oldest:
                    raise LogTruncated(f"{self._topic}/{self._partition} was cut at {oldest}, asked for {start}")
                consumer.seek(place, oldest if start is None else start)
                stall_watch = _StallWatch(consumer, place)
                while (position := await consumer.position(place)) < end:
                    stall_watch.look(position)
                    try:
                        fetched = await consumer.getmany(timeout_ms=500)
                    except OffsetOutOfRangeError as error:
                        raise LogTruncated(f"{self._topic}/{self._partition} was cut while it was read") from error
                    for record in fetched.get(place, ()):
                        if record.offset < end:
                            yield record.offset, record.value

    async def oldest(self) -> int:
        place = TopicPartition(self._topic, self._partition)
        with client.explained(self._broker.settings, f"asking where {self._topic} begins"):
            async with client.reader(self._broker.settings) as consumer:
                return (await offsets.beginnings(consumer, [place]))[place]

    async def delete_before(self, offset: int) -> None:
        await self._broker.delete_before(self._topic, self._partition, offset)
