"""How far the group is: what is counted and published, and what is still to come."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from movie_stream.kafka import client, offsets
from movie_stream.kafka.offsets import Held
from movie_stream.kafka.topics import Topics, describe
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
    """Of these, how many the group has finished."""

    @property
    def lag(self) -> int:
        """How many are left."""
        return self.end - self.done


async def _a_while() -> None:
    await asyncio.sleep(ASK_EVERY_S)


async def wait_until_counted(
    settings: Settings,
    seen: Callable[[Progress, bool], None] | None = None,
    pause: Callable[[], Awaitable[None]] = _a_while,
) -> list[Held]:
    """Returns once all that is in the topic now is in MongoDB; and what is not, since it cannot be read yet.

    First the ends of the events; once the group's commits have reached them in all partitions, the ends of the
    partials; once these are reached too, every document is written. Positions are compared, not records: control
    records have offsets too. Where a transaction is open, all that stands before it is waited for, and then, for
    OPEN_AT_MOST_S, for its end. `seen` is told of the progress, and whether it is that of the partials; `pause` is what
    is done until it is worth while to ask again.
    """
    topics = Topics.of(settings)
    counts = (await describe(settings)).partitions
    left = list[Held]()
    async with client.reader(settings) as reader, client.admin(settings) as admin:
        for topic in (topics.events, topics.partials):
            places = [TopicPartition(topic, partition) for partition in range(counts[topic])]
            with client.explained(settings, f"asking how far {topic} is counted"):
                goal = _Goal(reader, await offsets.both_ends(reader, places))
                group = settings.kafka_group
                while (progress := await _progress(admin, group, goal.now)).lag or not await goal.settled():
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

    async def settled(self) -> bool:
        """Whether no end of a transaction is waited for; to be asked once `now` is reached, which it moves on."""
        if not self.left:
            return True
        stable = await offsets.ends(self._reader, list(self.now))
        now = {place: min(end, self._written[place]) for place, end in stable.items()}
        if now != self.now or self._waits_until_s is None:
            self.now, self._waits_until_s = now, monotonic() + OPEN_AT_MOST_S
            return False
        return monotonic() > self._waits_until_s


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


async def progress_of(
    settings: Settings, reader: AIOKafkaConsumer, admin: AIOKafkaAdminClient, topic: str, partitions: int
) -> Progress:
    """How far the group is in a topic as it is now."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    with client.explained(settings, f"asking how far {topic} is counted"):
        return await _progress(admin, settings.kafka_group, await offsets.ends(reader, places))


async def held_for_long(settings: Settings, reader: AIOKafkaConsumer, topic: str, partitions: int) -> list[Held]:
    """What of a topic cannot be read because of transactions that stay open for LOOK_AGAIN_AFTER_S."""
    places = [TopicPartition(topic, partition) for partition in range(partitions)]
    with client.explained(settings, f"asking which transactions are open in {topic}"):
        before = {(of.place, of.offset) for of in await offsets.held(reader, places)}
        if not before:
            return []
        await asyncio.sleep(LOOK_AGAIN_AFTER_S)
        return [of for of in await offsets.held(reader, places) if (of.place, of.offset) in before]


async def _progress(admin: AIOKafkaAdminClient, group: str, ends: dict[TopicPartition, int]) -> Progress:
    committed = await client.coordinated(partial(admin.list_consumer_group_offsets, group, partitions=list(ends)))
    done = {place: max(committed[place].offset, 0) if place in committed else 0 for place in ends}
    return Progress(sum(ends.values()), sum(min(done[place], end) for place, end in ends.items()))
