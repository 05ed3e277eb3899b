"""The progress of the tables: what is counted and published, and what is left.

The committed offsets of the group are not used: any member of the group can commit anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from time import monotonic
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics, describe
from movie_stream.kafka.offsets import OpenTransaction
from movie_stream.mongo import runs
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.failures import MongoAway
from movie_stream.runs.counted import Checkpoints
from movie_stream.settings import Settings

ASK_EVERY_S: Final = 0.2
LOOK_AGAIN_AFTER_S: Final = 2.0
"""A transaction that is still open after this time is reported; most are short."""
OPEN_AT_MOST_S: Final = 5.0
"""The longest wait for the end of a transaction; its producer may take a quarter of an hour."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress in one topic, over all its partitions."""

    end: int
    """The sum of the end offsets when they were asked for."""
    done: int
    """The number of these that are finished."""

    @property
    def lag(self) -> int:
        """The number that is left."""
        return self.end - self.done


async def _a_while() -> None:
    await asyncio.sleep(ASK_EVERY_S)


def _nothing() -> Mapping[TopicPartition, int]:
    return {}


async def wait_until_counted(
    settings: Settings,
    seen: Callable[[Progress, bool], None] | None = None,
    pause: Callable[[], Awaitable[None]] = _a_while,
    finished: Callable[[], Mapping[TopicPartition, int]] = _nothing,
) -> list[OpenTransaction]:
    """Waits until everything that is in the topic now is in MongoDB; returns the records that cannot be read yet.

    First the checkpoints must reach the ends of the events in all partitions, then those of the partials; then every
    document is written. Positions are compared, not records: control records have offsets too. With an open transaction
    it waits for everything before it, then up to OPEN_AT_MOST_S for its end. `seen` is called with the progress and
    whether it is that of the partials, `pause` before each retry. `finished` returns the caller's own positions, which
    then need not be looked up.
    """
    topics = Topics.of(settings)
    counts = (await describe(settings)).partitions
    left = list[OpenTransaction]()
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(client.reader(settings))
        db = await stack.enter_async_context(opened(settings))
        for topic in topics.sources:
            tps = [TopicPartition(topic, partition) for partition in range(counts[topic])]
            with client.explained(settings, f"asking how far {topic} is counted"):
                goal = _Goal(reader, await offsets.both_ends(reader, tps))
            tables = TableProgress(settings, reader, topic, counts[topic])
            while True:
                progress = await _progress(settings.kafka_group, tables, db, goal.now, finished)
                if not progress.lag and await goal.settled(settings):
                    break
                if seen is not None:
                    seen(progress, topic == topics.partials)
                await pause()
            left += goal.left
    return left


class _Goal:
    """The end offsets to reach: the present ones, as far as records can be read."""

    def __init__(self, reader: AIOKafkaConsumer, found: Mapping[TopicPartition, offsets.Ends]) -> None:
        self._reader = reader
        self.now: offsets.Offsets = {tp: end.stable for tp, end in found.items()}
        self._written: offsets.Offsets = {tp: end.written for tp, end in found.items()}
        self._waits_until_s: float | None = None

    @property
    def left(self) -> list[OpenTransaction]:
        """The records that cannot be read yet."""
        return offsets.open_transactions_between(self.now, self._written)

    async def settled(self, settings: Settings) -> bool:
        """Whether no transaction is waited for. To be called when `now` is reached; advances `now`."""
        if not self.left:
            return True
        with client.explained(settings, "asking how far transactions are"):
            stable = await offsets.ends(self._reader, list(self.now))
        now = {tp: min(end, self._written[tp]) for tp, end in stable.items()}
        if now != self.now or self._waits_until_s is None:
            self.now, self._waits_until_s = now, monotonic() + OPEN_AT_MOST_S
            return False
        return monotonic() > self._waits_until_s


async def _progress(
    group: str,
    tables: TableProgress,
    db: Database,
    ends: Mapping[TopicPartition, int],
    finished: Callable[[], Mapping[TopicPartition, int]],
) -> Progress:
    """The progress by the caller's own positions, and if others have some of the partitions, by the checkpoints, which
    takes longer to read.
    """
    own = finished()
    if all(tp in own for tp in ends):
        return _progress_between(ends, own)
    try:
        run = await runs.current(db, group)
    except MongoAway:  # it may come back; workers wait for it too
        return _progress_between(ends, own)
    written = await tables.positions(run)
    return _progress_between(ends, {tp: max(own.get(tp, 0), written[tp]) for tp in ends})


class TableProgress:
    """The progress in one topic, by the checkpoints of its tables."""

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, topic: str, partitions: int) -> None:
        self._settings, self._reader = settings, reader
        self._topic_partitions = [TopicPartition(topic, partition) for partition in range(partitions)]
        changelog = Topics.of(settings).changelogs[topic]
        self._checkpoints = Checkpoints(settings, reader, changelog, partitions)

    async def positions(self, run: runs.Run | None) -> dict[TopicPartition, int]:
        """The position of a run by partition. Changes the reader's assignment."""
        if run is None:
            return dict.fromkeys(self._topic_partitions, 0)
        found = await self._checkpoints.positions(run.number)
        return {tp: found[tp.partition] for tp in self._topic_partitions}

    async def progress(self, run: runs.Run | None) -> Progress:
        """The progress of a run in the topic, up to its present end."""
        with client.explained(self._settings, f"asking how far {self._topic_partitions[0].topic} is counted"):
            ends = await offsets.ends(self._reader, self._topic_partitions)
        return _progress_between(ends, await self.positions(run))


def _progress_between(ends: Mapping[TopicPartition, int], done: Mapping[TopicPartition, int]) -> Progress:
    return Progress(sum(ends.values()), sum(min(done.get(tp, 0), end) for tp, end in ends.items()))


async def record_count(settings: Settings, topic: str) -> int:
    """The number of records that the topic still holds, by offsets. Raises TopicMissing."""
    partitions = (await describe(settings)).partitions[topic]
    async with client.reader(settings) as reader:
        oldest, ends = await span(settings, reader, topic, partitions)
    return ends - oldest


async def span(settings: Settings, reader: AIOKafkaConsumer, topic: str, partitions: int) -> tuple[int, int]:
    """The first and the end offset of a topic, summed over its partitions."""
    tps = [TopicPartition(topic, partition) for partition in range(partitions)]
    with client.explained(settings, f"asking how many records {topic} holds"):
        oldest, ends = await offsets.beginnings(reader, tps), await offsets.ends(reader, tps)
    return sum(oldest.values()), sum(ends.values())


async def long_open_transactions(
    settings: Settings, reader: AIOKafkaConsumer, partitions: Mapping[str, int]
) -> list[OpenTransaction]:
    """The records in these topics that are held up by transactions which stay open for LOOK_AGAIN_AFTER_S.

    `partitions` has the number of partitions by topic.
    """
    tps = [TopicPartition(topic, partition) for topic, count in partitions.items() for partition in range(count)]
    with client.explained(settings, "asking which transactions are open"):
        before = {(each.topic_partition, each.offset) for each in await offsets.open_transactions(reader, tps)}
        if not before:
            return []
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)
        return [
            each
            for each in await offsets.open_transactions(reader, tps)
            if (each.topic_partition, each.offset) in before
        ]
