"""Sets the group's committed offsets back to the beginning, which is done only while no worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import partial
from typing import Final

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from movie_stream.errors import BrokerRefused, MovieStreamError
from movie_stream.kafka import client
from movie_stream.kafka.topics import Topics, describe
from movie_stream.kafka.transport import SESSION_TIMEOUT_MS
from movie_stream.settings import Settings

_MEMBERS: Final = 5
"""Place of the members in a group's description, whichever version of it the broker speaks."""
_JOINED_WITHIN_S: Final = 30.0


class WorkersRunning(MovieStreamError):
    """The group has members where it must have none."""

    def __init__(self, *, group: str) -> None:
        super().__init__(f"workers of the group {group} are running; stop them all, then do this again")


async def members(settings: Settings) -> int:
    """How many workers the group has, as far as the broker knows; Tansu 0.6 also counts one that has ended."""
    async with client.admin(settings) as admin:
        with client.explained(settings, f"looking at the group {settings.kafka_group}"):
            [answer] = await client.coordinated(partial(admin.describe_consumer_groups, [settings.kafka_group]))
    return sum(len(group[_MEMBERS]) for group in answer.groups)


async def rewind(settings: Settings) -> None:
    """Commits offset 0 for every partition. Raises WorkersRunning, BrokerRefused, TopicMissing.

    By joining the group: not every broker takes a commit from outside (Tansu 0.6 does not). Who gets all partitions is
    alone; a list of members would also have those that were killed (Tansu keeps them until another joins). Workers that
    do run go on undisturbed after two rebalances.
    """
    names, counts = Topics.of(settings), (await describe(settings)).partitions
    places = {TopicPartition(topic, p) for topic in (names.events, names.partials) for p in range(counts[topic])}
    consumer = AIOKafkaConsumer(
        **client.options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=SESSION_TIMEOUT_MS // 5,
    )
    doing, share = f"setting the group {settings.kafka_group} back", _Share()
    consumer.subscribe([names.events, names.partials], listener=share)
    try:
        async with client.connecting(settings):
            await consumer.start()
        try:
            async with asyncio.timeout(_JOINED_WITHIN_S):
                assigned = await share.assigned
        except TimeoutError as error:
            raise WorkersRunning(group=settings.kafka_group) from error
        if assigned != places:
            raise WorkersRunning(group=settings.kafka_group)
        try:
            await consumer.commit({place: OffsetAndMetadata(0, "") for place in places})
        except KafkaError as error:
            raise BrokerRefused(doing=doing, cause=error, remedy="stop all workers, then do this again") from error
    finally:
        await consumer.stop()


class _Share(ConsumerRebalanceListener):
    """The partitions that the first rebalance gives us."""

    def __init__(self) -> None:
        self.assigned: asyncio.Future[set[TopicPartition]] = asyncio.get_running_loop().create_future()

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Nothing is kept of them."""

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        if not self.assigned.done():
            self.assigned.set_result(set(assigned))
