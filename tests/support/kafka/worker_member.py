"""A member of a group that joins as a worker does, without the worker around it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaConsumer

from movie_stream.kafka.cluster import client
from movie_stream.kafka.fetch.transport import HEARTBEAT_MS, SESSION_TIMEOUT_MS
from movie_stream.kafka.group.assignor import StickyAssignor
from movie_stream.kafka.group.membership import Membership
from movie_stream.settings import Settings


@asynccontextmanager
async def worker_member(
    settings: Settings,
    session_timeout_ms: int = SESSION_TIMEOUT_MS,
    prepare: Callable[[AIOKafkaConsumer], None] = lambda consumer: None,
) -> AsyncIterator[tuple[AIOKafkaConsumer, Membership]]:
    """A consumer of the events alone, and its membership; `prepare` is called with it before it joins."""
    consumer = AIOKafkaConsumer(
        **client.options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        session_timeout_ms=session_timeout_ms,
        heartbeat_interval_ms=HEARTBEAT_MS,
        partition_assignment_strategy=[StickyAssignor()],
    )
    await consumer.start()
    try:
        prepare(consumer)
        membership = Membership(consumer)
        consumer.subscribe([settings.kafka_topic])
        yield consumer, membership
    finally:
        await consumer.stop()
