"""Resets the committed offsets of the group to the beginning, while no worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError
from aiokafka.structs import OffsetAndMetadata

from movie_stream.errors import BrokerRefused, MovieStreamError
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics, describe
from movie_stream.kafka.fetch.transport import SESSION_TIMEOUT_MS
from movie_stream.kafka.group import members
from movie_stream.kafka.group.group_state import REMEDY, describe_group
from movie_stream.kafka.group.leaving import leave_group
from movie_stream.kafka.group.membership import Membership
from movie_stream.settings import Settings

JOINED_WITHIN_S: Final = 30.0
"""Longer than the sessions of killed members, and of a leader that Tansu remembers."""
_COMMITTED_WITHIN_S: Final = 15.0


class WorkersRunning(MovieStreamError):
    """The group has members but must have none; `others` is a sentence about those that are not workers.

    What to do: stop all workers of the group first.

    >>> print(WorkersRunning(group="movie-stream"))
    workers of the group movie-stream are running; stop them all, then do this again
    """

    def __init__(self, *, group: str, others: str = "") -> None:
        what = others or f"workers of the group {group} are running; stop them all"
        super().__init__(f"{what}, then do this again")


async def require_no_workers(settings: Settings) -> None:
    """Raises WorkersRunning if the group has live members, BrokerRefused if that is unknown."""
    async with client.admin(settings) as admin:
        group = await describe_group(settings, admin)
    if group.members:
        async with _sole_member(settings):
            return  # the listed members were killed


async def rewind(settings: Settings) -> None:
    """Commits offset 0 for every partition. Raises WorkersRunning, BrokerRefused, TopicMissing.

    It joins the group for that: not every broker accepts a commit from outside (Tansu 0.6 does not). All its waits are
    bounded.
    """
    async with _sole_member(settings) as (consumer, tps):
        try:
            async with asyncio.timeout(_COMMITTED_WITHIN_S):
                await consumer.commit({tp: OffsetAndMetadata(0, "") for tp in tps})
        except (KafkaError, TimeoutError) as error:
            raise _refused(settings.kafka_group, error, "stop all workers, then do this again") from error


@asynccontextmanager
async def _sole_member(settings: Settings) -> AsyncIterator[tuple[AIOKafkaConsumer, set[TopicPartition]]]:
    """A consumer that is the only member of the group, and all partitions, for the duration of the block.

    A member that gets all partitions is the only one; a list of members would include killed ones (Tansu keeps them
    until another joins). Running workers continue undisturbed after two rebalances.
    """
    names, counts = Topics.of(settings), (await describe(settings)).partitions
    tps = {TopicPartition(topic, p) for topic in names.sources for p in range(counts[topic])}
    consumer = AIOKafkaConsumer(
        **client.options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=SESSION_TIMEOUT_MS // 5,
    )
    try:
        async with client.connecting(settings):
            await consumer.start()  # after subscribing, this would wait for partitions without a limit
        membership = Membership(consumer)
        consumer.subscribe(names.sources)
        try:
            if await _share(settings, consumer) != tps:
                raise await _workers_running(settings)
            yield consumer, tps
        finally:
            await leave_group(membership)
    finally:
        await consumer.stop()


async def _workers_running(settings: Settings) -> WorkersRunning:
    """The error that reports the other members of the group."""
    async with client.admin(settings) as admin:
        found = members.strangers(Topics.of(settings), await members.members_of(settings, admin))
    others = f"{members.complaint(settings, found)}; {members.REMEDY}" if found else ""
    return WorkersRunning(group=settings.kafka_group, others=others)


async def _share(settings: Settings, consumer: AIOKafkaConsumer) -> set[TopicPartition]:
    """The partitions that the first rebalance assigns to us. Raises BrokerRefused if it takes too long."""
    try:
        async with asyncio.timeout(JOINED_WITHIN_S):
            with client.explained(settings, f"joining the group {settings.kafka_group}"):
                await consumer._subscription.wait_for_assignment()
    except TimeoutError as error:
        async with client.admin(settings) as admin:
            group = await describe_group(settings, admin)
        cause = f"no partitions within {JOINED_WITHIN_S:.0f} s; {group}; likely, {group.stuck_rebalance_cause}"
        raise _refused(settings.kafka_group, cause, REMEDY) from error
    assigned: set[TopicPartition] = consumer.assignment()
    return assigned


def _refused(group: str, cause: object, remedy: str) -> BrokerRefused:
    return BrokerRefused(doing=f"setting the group {group} back", cause=cause, remedy=remedy)
