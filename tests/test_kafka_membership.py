"""What Tansu's coordinator forgets, and what a worker does about it; and a worker to which no partitions are given.

The broker is the embedded one; that the same does no harm with Apache Kafka is shown by `test_chaos_group.py`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer

from movie_stream.errors import BrokerRefused
from movie_stream.kafka import client, rewind, topics
from movie_stream.kafka.group_state import describe_group
from movie_stream.kafka.leaving import leave_group
from movie_stream.kafka.membership import Membership
from movie_stream.mongo import schema
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from tests.group_member import GroupMember, connected
from tests.whole_path import command, environment

HEALED_WITHIN_S = 45.0
"""Without the cure it takes for ever; with it a little over the session timeout and two of Tansu's pauses, 12 s."""


async def prepare(settings: Settings) -> None:
    await topics.ensure(settings)
    async with opened(settings) as db:
        await schema.ensure(db)


@asynccontextmanager
async def worker(settings: Settings, *arguments: str, patched: str = "pass") -> AsyncIterator[asyncio.subprocess.Process]:
    """A worker with other limits, as `name=value; ...` of its module."""
    code = f"import movie_stream.worker as worker; {patched}; from movie_stream.cli import main; main()"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", code, "worker", *arguments),
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def printed(process: asyncio.subprocess.Process, within_s: float) -> str:
    """All that a process prints until it ends."""
    async with asyncio.timeout(within_s):
        output, _ = await process.communicate()
    return output.decode()


async def test_a_leader_that_left_while_the_group_formed_is_given_up(settings: Settings) -> None:
    await prepare(settings)
    async with connected(settings) as connection:
        leader = await GroupMember(settings, connection).lead()
        await leader.share_out()
        other = await GroupMember(settings, connection).ask_for_id()  # the group forms anew
        await leader.leave()
        await other.leave()
        began = time.monotonic()
        async with worker(settings, "--until-end") as process:
            text = await printed(process, HEALED_WITHIN_S)
    assert process.returncode == 0, text
    assert f"{settings.kafka_topic}, partition 2: goes on at offset 0" in text
    assert f"waits for a leader that has left, {leader.id}" in text
    assert time.monotonic() - began < HEALED_WITHIN_S


@asynccontextmanager
async def member(settings: Settings) -> AsyncIterator[tuple[AIOKafkaConsumer, Membership]]:
    """A consumer that joins as a worker does, and its membership."""
    consumer = AIOKafkaConsumer(
        **client.options(settings),
        group_id=settings.kafka_group,
        enable_auto_commit=False,
        session_timeout_ms=6_000,
        heartbeat_interval_ms=1_200,
    )
    await consumer.start()
    try:
        membership = Membership(consumer)
        consumer.subscribe([settings.kafka_topic, settings.kafka_partials_topic])
        yield consumer, membership
    finally:
        await consumer.stop()


async def test_a_leader_does_not_tell_that_it_leaves_while_the_group_forms(settings: Settings) -> None:
    await topics.ensure(settings)
    async with member(settings) as (consumer, membership), connected(settings) as connection:
        while not consumer.assignment():
            await asyncio.sleep(0.02)
        assert membership.waiting_s == 0
        leader = consumer._coordinator.member_id
        await GroupMember(settings, connection).ask_for_id()
        await leave_group(membership)
        async with client.admin(settings) as admin:
            group = await describe_group(settings, admin)
    assert group.forming_under_a_leader
    assert leader in group.members, "its session runs out, and it is forgotten as it should be"


async def test_what_a_leader_that_shares_out_nothing_leads_to(
    settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker says so, and ends if it is to end at the end; `doctor` and `rebuild` say so; nothing is deleted. And
    nobody joins in the name of a leader that lives.
    """
    await prepare(settings)
    monkeypatch.setattr(rewind, "JOINED_WITHIN_S", 8.0)
    async with connected(settings) as connection:
        leader = await GroupMember(settings, connection).lead()
        alive = asyncio.create_task(leader.stay())
        limits = "worker.STARVED_AFTER_S = 2.0; worker.STARVED_AT_MOST_S = 9.0"
        try:
            async with worker(settings, "--until-end", patched=limits) as process:
                doctor = asyncio.create_task(asyncio.to_thread(command, settings, "doctor"))
                with pytest.raises(BrokerRefused, match=r"no partitions within 8 s; members \d, state forming; likely"):
                    await rewind.rewind(settings)
                text, checked = await printed(process, HEALED_WITHIN_S), await doctor
            async with client.admin(settings) as admin:
                assert leader.id in (await describe_group(settings, admin)).members
        finally:
            alive.cancel()
            await asyncio.wait([alive])
    *_, warning, last = [line for line in text.splitlines() if "has been given no partitions" in line]
    assert process.returncode == 1, text
    assert "WARNING" in warning
    assert "the member that leads does not share out the partitions" in warning
    assert last.startswith("error: the worker stops: it has been given no partitions for ")
    assert last.endswith("; stop all workers, wait 10 s, start them again; nobody else may be a member of KAFKA_GROUP")
    assert "a leader that has left" not in text + caplog.text
    words = " ".join(checked.stdout.split())
    assert "workers warn" in words
    assert "a rebalance does not come to its end" in words


async def test_a_worker_that_is_given_nothing_does_not_starve(settings: Settings) -> None:
    """More workers than partitions are as it should be."""
    await topics.ensure(settings.model_copy(update={"kafka_partitions": 1}))
    async with member(settings) as (first, _), member(settings) as (second, membership):
        while membership.waiting_s or len(first.assignment()) + len(second.assignment()) != 2:
            await asyncio.sleep(0.02)
        assert membership.waiting_s == 0
