"""How far the tables are: what is counted and published, and what is left.

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
from movie_stream.kafka.offsets import Held
from movie_stream.mongo import runs
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.failures import MongoAway
from movie_stream.runs.counted import Checkpoints
from movie_stream.settings import Settings

ASK_EVERY_S: Final = 0.2
LOOK_AGAIN_AFTER_S: Final = 2.0
"""A transaction that is still open after this time is reported; most last a moment."""
OPEN_AT_MOST_S: Final = 5.0
"""The longest wait for the end of a transaction; its producer may take a quarter of an hour."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress in one topic, over all its partitions."""

    end: int
    """Records at the time of asking, by offset."""
    done: int
    """How many of these are finished."""

    @property
    def lag(self) -> int:
        """How many are left."""
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
) -> list[Held]:
    """Waits until everything that is in the topic now is in MongoDB; returns what is not, since it cannot be read yet.

    First the checkpoints must reach the ends of the events in all partitions, then those of the partials; then every
    document is written. Positions are compared, not records: control records have offsets too. With an open transaction
    it waits for everything before it, then up to OPEN_AT_MOST_S for its end. `seen` is called with the progress and
    whether it is that of the partials, `pause` before asking again. `finished` returns the caller's own positions,
    which then need not be looked up.
    """
    topics = Topics.of(settings)
    counts = (await describe(settings)).partitions
    left = list[Held]()
    async with AsyncExitStack() as stack:
        reader = await stack.enter_async_context(client.reader(settings))
        db = await stack.enter_async_context(opened(settings))
        for topic in topics.sources:
            places = [TopicPartition(topic, partition) for partition in range(counts[topic])]
            with client.explained(settings, f"asking how far {topic} is counted"):
                goal = _Goal(reader, await offsets.both_ends(reader, places))
            tables = Tables(settings, reader, topic, counts[topic])
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
    """The ends to reach: the present ones, as far as they can be read."""

    def __init__(self, reader: AIOKafkaConsumer, found: Mapping[TopicPartition, offsets.Ends]) -> None:
        self._reader = reader
        self.now: offsets.Offsets = {place: end.stable for place, end in found.items()}
        self._written: offsets.Offsets = {place: end.written for place, end in found.items()}
        self._waits_until_s: float | None = None

    @property
    def left(self) -> list[Held]:
        """What cannot be read yet."""
        return offsets.held_between(self.now, self._written)

    async def settled(self, settings: Settings) -> bool:
        """Whether no transaction is waited for. To be called when `now` is reached; moves `now` on."""
        if not self.left:
            return True
        with client.explained(settings, "asking how far transactions are"):
            stable = await offsets.ends(self._reader, list(self.now))
        now = {place: min(end, self._written[place]) for place, end in stable.items()}
        if now != self.now or self._waits_until_s is None:
            self.now, self._waits_until_s = now, monotonic() + OPEN_AT_MOST_S
            return False
        return monotonic() > self._waits_until_s


async def _progress(
    group: str,
    tables: Tables,
    db: Database,
    ends: Mapping[TopicPartition, int],
    finished: Callable[[], Mapping[TopicPartition, int]],
) -> Progress:
    """The progress by the caller's own positions, and if they do not suffice, by the checkpoints."""
    own = finished()
    if all(own.get(place, 0) >= end for place, end in ends.items()):
        return _of(ends, own)
    try:
        run = await runs.current(db, group)
    except MongoAway:  # it may come back; workers wait for it too
        return _of(ends, own)
    written = await tables.positions(run)
    return _of(ends, {place: max(own.get(place, 0), written[place]) for place in ends})


class Tables:
    """How far a topic is counted, by the checkpoints of its tables."""

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, topic: str, partitions: int) -> None:
        self._settings, self._reader = settings, reader
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        changelog = Topics.of(settings).changelogs[topic]
        self._checkpoints = Checkpoints(settings, reader, changelog, partitions)

    async def positions(self, run: runs.Run | None) -> dict[TopicPartition, int]:
        """The position of a run in each partition. Changes the reader's assignment."""
        if run is None:
            return dict.fromkeys(self._places, 0)
        found = await self._checkpoints.positions(run.number)
        return {place: found[place.partition] for place in self._places}

    async def progress(self, run: runs.Run | None) -> Progress:
        """How far a run is in the topic as it is now."""
        with client.explained(self._settings, f"asking how far {self._places[0].topic} is counted"):
            ends = await offsets.ends(self._reader, self._places)
        return _of(ends, await self.positions(run))


def _of(ends: Mapping[TopicPartition, int], done: Mapping[TopicPartition, int]) -> Progress:
    return Progress(sum(ends.values()), sum(min(done.get(place, 0), end) for place, end in ends.items()))


async def records_held(settings: Settings, topic: str) -> int:
    """How many records the topic still holds, by offset. Raises TopicMissing."""
    partitions = (await describe(settings)).partitions[topic]
    async with client.reader(settings) as reader:
        oldest, ends = await span(settings, reader, topic, partitions)
    return ends - oldest


async def span(settings: Settings, reader: AIOKafkaConsumer, topic: str, partitions: int) -> tuple[int, int]:
    """The first and the end offset of a topic, summed over its partitions."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    with client.explained(settings, f"asking how many records {topic} holds"):
        oldest, ends = await offsets.beginnings(reader, places), await offsets.ends(reader, places)
    return sum(oldest.values()), sum(ends.values())


async def held_for_long(settings: Settings, reader: AIOKafkaConsumer, partitions: Mapping[str, int]) -> list[Held]:
    """What transactions that stay open for LOOK_AGAIN_AFTER_S hide in these topics.

    `partitions` has the number of partitions by topic.
    """
    places = [TopicPartition(topic, partition) for topic, count in partitions.items() for partition in range(count)]
    with client.explained(settings, "asking which transactions are open"):
        before = {(of.place, of.offset) for of in await offsets.held(reader, places)}
        if not before:
            return []
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)
        return [of for of in await offsets.held(reader, places) if (of.place, of.offset) in before]
