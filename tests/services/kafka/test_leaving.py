"""Leaving the group while the others are waited for: aiokafka's own way waits along, ours does not."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Callable

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaConnectionError

from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.group.group_state import describe_group
from movie_stream.kafka.group.leaving import leave_group, stop_consumer
from movie_stream.kafka.group.membership import Membership
from movie_stream.settings import Settings
from tests.support.waiting import comes_true

SESSION_MS = 8_000
PATIENCE_S = 40.0


async def member(settings: Settings) -> tuple[AIOKafkaConsumer, Membership]:
    """A consumer that begins to join the group, and its membership."""
    consumer = AIOKafkaConsumer(
        **client.options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        session_timeout_ms=SESSION_MS,
        heartbeat_interval_ms=300,
    )
    await consumer.start()
    membership = Membership(consumer)
    consumer.subscribe([settings.kafka_topic])
    return consumer, membership


def joined(*members: AIOKafkaConsumer) -> Callable[[], bool]:
    """Whether the topic's three partitions are shared out among them."""
    return lambda: all(m.assignment() for m in members) and sum(len(m.assignment()) for m in members) == 3


async def fall_silent(dead: AIOKafkaConsumer) -> None:
    """No more heartbeats, and no good-bye."""
    dead._coordinator._closing.set_result(None)
    await dead._coordinator._stop_heartbeat_task()
    await dead._coordinator._stop_commit_offsets_refresh_task()


@pytest.mark.long
async def test_a_member_leaves_in_the_middle_of_a_rebalance(settings: Settings) -> None:
    await topics.ensure(settings)
    (dead, _), (leaver, membership) = await member(settings), await member(settings)
    await comes_true(joined(dead, leaver))
    await fall_silent(dead)
    third, _ = await member(settings)
    await comes_true(lambda: bool(leaver._coordinator._performed_join_prepare))
    began = time.monotonic()
    await leave_group(membership)
    await leaver.stop()
    left_after_s = time.monotonic() - began
    await comes_true(joined(third))
    await asyncio.gather(dead.stop(), third.stop())
    assert left_after_s < SESSION_MS / 1000 / 2, "it has waited for the dead member"


async def test_a_member_at_rest_sends_a_leave_request(settings: Settings) -> None:
    await topics.ensure(settings)
    consumer, membership = await member(settings)
    await comes_true(joined(consumer))
    assert membership.waiting_s == 0
    await leave_group(membership)
    await consumer.stop()
    async with client.admin(settings) as admin:
        assert not (await describe_group(settings, admin)).members, "it has said good-bye"


async def test_a_commit_that_is_not_answered_is_given_up_without_a_complaint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topics.ensure(settings)
    consumer, membership = await member(settings)
    await comes_true(joined(consumer))
    complaints = list[dict[str, object]]()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    answer: asyncio.Future[object] = asyncio.get_running_loop().create_future()
    monkeypatch.setattr(consumer._coordinator, "_send_req", lambda _: answer)
    place = TopicPartition(settings.kafka_topic, 0)
    committing = asyncio.create_task(consumer.commit({place: 0}))
    await comes_true(lambda: consumer._coordinator._commit_lock.locked())
    committing.cancel()
    await asyncio.wait([committing])
    monkeypatch.undo()
    await leave_group(membership)
    await stop_consumer(consumer)
    if not answer.done():
        answer.set_exception(KafkaConnectionError("closed"))
        answer.exception()
    await asyncio.sleep(0)
    gc.collect()
    assert complaints == []
