"""How far the tables are: what is counted and published, and what is still to come.

The group's commits are not asked: whoever joins the group commits what he likes.
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
"""A transaction that is still open then is worth a word; most last a moment."""
OPEN_AT_MOST_S: Final = 5.0
"""The longest that the end of a transaction is waited for; its producer may take a quarter of an hour, or die of it."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Records of one topic, over all its partitions."""

    end: int
    """All that were there when the end was asked for, by offset."""
    done: int
    """Of these, how many are finished."""

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
    """Returns once all that is in the topic now is in MongoDB; and what is not, since it cannot be read yet.

    First the ends of the events; once the checkpoints have reached them in all partitions, the ends of the partials;
    once these are reached too, every document is written. Positions are compared, not records: control records have
    offsets too. Where a transaction is open, all that stands before it is waited for, and then, for OPEN_AT_MOST_S, for
    its end. `seen` is told of the progress, and whether it is that of the partials; `pause` is what is done until it is
    worth while to ask again. What the caller has `finished` himself need not be looked up.
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
            while (progress := await _progress(settings, tables, db, goal.now, finished)).lag or not await goal.settled(
                settings
            ):
                if seen is not None:
                    seen(progress, topic == topics.partials)
                await pause()
            left += goal.left
    return left


class _Goal:
    """The ends that are to be reached; those of now as far as they can be read."""

    def __init__(self, reader: AIOKafkaConsumer, found: Mapping[TopicPartition, offsets.Ends]) -> None:
        self._reader = reader
        self.now: offsets.Offsets = {place: end.stable for place, end in found.items()}
        self._written: offsets.Offsets = {place: end.written for place, end in found.items()}
        self._waits_until_s: float | None = None

    @property
    def left(self) -> list[Held]:
        """What of the partitions cannot be read yet."""
        return offsets.held_between(self.now, self._written)

    async def settled(self, settings: Settings) -> bool:
        """Whether no end of a transaction is waited for; to be asked once `now` is reached, which it moves on."""
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
    settings: Settings,
    tables: Tables,
    db: Database,
    ends: Mapping[TopicPartition, int],
    finished: Callable[[], Mapping[TopicPartition, int]],
) -> Progress:
    """The caller's own positions, and only where they do not suffice those that are written."""
    own = finished()
    if all(own.get(place, 0) >= end for place, end in ends.items()):
        return _of(ends, own)
    try:
        run = await runs.current(db, settings.kafka_group)
    except MongoAway:  # it may come back, and whoever counts waits for it too
        return _of(ends, own)
    written = await tables.positions(run)
    return _of(ends, {place: max(own.get(place, 0), written[place]) for place in ends})


class Tables:
    """How far a topic is counted, by what its tables have written."""

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, topic: str, partitions: int) -> None:
        self._settings, self._reader = settings, reader
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        changelog = Topics.of(settings).changelogs[topic]
        self._checkpoints = Checkpoints(settings, reader, changelog, partitions)

    async def positions(self, run: runs.Run | None) -> dict[TopicPartition, int]:
        """Up to which offset a run has counted each partition. Changes what the reader is assigned."""
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
    """The offsets where a topic begins and ends, summed over its partitions."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    with client.explained(settings, f"asking how many records {topic} holds"):
        oldest, ends = await offsets.beginnings(reader, places), await offsets.ends(reader, places)
    return sum(oldest.values()), sum(ends.values())


async def held_for_long(settings: Settings, reader: AIOKafkaConsumer, partitions: Mapping[str, int]) -> list[Held]:
    """What of these topics cannot be read because of transactions that stay open for LOOK_AGAIN_AFTER_S.

    `partitions` is how many each topic has.
    """
    places = [TopicPartition(topic, partition) for topic, count in partitions.items() for partition in range(count)]
    with client.explained(settings, "asking which transactions are open"):
        before = {(of.place, of.offset) for of in await offsets.held(reader, places)}
        if not before:
            return []
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)
        return [of for of in await offsets.held(reader, places) if (of.place, of.offset) in before]
