"""Sets the group's committed offsets back to the beginning, which is possible only while no worker runs."""

from __future__ import annotations

import asyncio
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from movie_stream.errors import BrokerRefused, MovieStreamError
from movie_stream.kafka import client
from movie_stream.kafka.topics import Topics, describe
from movie_stream.kafka.transport import SESSION_TIMEOUT_MS
from movie_stream.settings import Settings

_MEMBERS: Final = 5
"""Place of the members in a group's description, whichever version of it the broker speaks."""
_GONE_WITHIN_S: Final = SESSION_TIMEOUT_MS / 1000 + 2
"""A worker that was killed, or whose farewell the broker did not take, is a member for this long."""
_JOINED_WITHIN_S: Final = 30.0
_ASK_EVERY_S: Final = 0.25


class WorkersRunning(MovieStreamError):
    """The group has members where it must have none."""

    def __init__(self, *, group: str) -> None:
        super().__init__(f"workers of the group {group} are running; stop them all, then do this again")


async def members(settings: Settings) -> int:
    """How many workers the group has now, by the broker."""
    async with client.admin(settings) as admin:
        with client.explained(settings, f"looking at the group {settings.kafka_group}"):
            [answer] = await admin.describe_consumer_groups([settings.kafka_group])
    return sum(len(group[_MEMBERS]) for group in answer.groups)


async def wait_until_alone(settings: Settings) -> None:
    """Returns once the group has no members. Raises WorkersRunning if they do not go within a few seconds."""
    try:
        async with asyncio.timeout(_GONE_WITHIN_S):
            while await members(settings):
                await asyncio.sleep(_ASK_EVERY_S)
    except TimeoutError as error:
        raise WorkersRunning(group=settings.kafka_group) from error


async def rewind(settings: Settings) -> None:
    """Commits offset 0 for every partition. Raises WorkersRunning, BrokerRefused, TopicMissing.

    By joining the group as its only member: a commit from outside is what not every broker takes (Tansu 0.6 does not).
    """
    names, counts = Topics.of(settings), (await describe(settings)).partitions
    places = {TopicPartition(topic, p) for topic in (names.events, names.partials) for p in range(counts[topic])}
    consumer = AIOKafkaConsumer(
        names.events,
        names.partials,
        **client.options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=SESSION_TIMEOUT_MS // 5,
    )
    doing = f"setting the group {settings.kafka_group} back"
    try:
        with client.explained(settings, doing):
            await consumer.start()
        await _assigned(settings, consumer, places)
        try:
            await consumer.commit({place: OffsetAndMetadata(0, "") for place in places})
        except KafkaError as error:
            raise BrokerRefused(doing=doing, cause=error, remedy="stop all workers, then do this again") from error
    finally:
        await consumer.stop()


async def _assigned(settings: Settings, consumer: AIOKafkaConsumer, places: set[TopicPartition]) -> None:
    """Waits until the consumer has all partitions, which it gets only if it is alone."""
    try:
        async with asyncio.timeout(_JOINED_WITHIN_S):
            while not consumer.assignment():
                await asyncio.sleep(_ASK_EVERY_S)
    except TimeoutError as error:
        raise WorkersRunning(group=settings.kafka_group) from error
    if consumer.assignment() != places:
        raise WorkersRunning(group=settings.kafka_group)
