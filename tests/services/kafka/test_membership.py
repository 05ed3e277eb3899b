"""What Tansu's coordinator forgets, and what a worker does about it; and a worker to which no partitions are given.

The broker is the embedded one; that the same does no harm with Apache Kafka is shown by `test_chaos_group.py`.
"""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from movie_stream.errors import BrokerRefused
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.group.group_state import GroupState, describe_group
from movie_stream.kafka.group.leaving import leave_group
from movie_stream.mongo import schema
from movie_stream.mongo.client import opened
from movie_stream.runs import rewind
from movie_stream.settings import Settings
from tests.support.kafka.group_member import GroupMember, connected
from tests.support.kafka.worker_member import worker_member
from tests.support.waiting import comes_true
from tests.support.whole_path import environment

PATIENCE_S = 90.0


async def prepare(settings: Settings) -> None:
    await topics.ensure(settings)
    async with opened(settings) as db:
        await schema.ensure(db)


@asynccontextmanager
async def program(settings: Settings, *arguments: str, patched: str = "pass") -> AsyncIterator[Process]:
    """A command, after the statements `patched`, for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", f"{patched}; from movie_stream.cli import main; main()", *arguments),
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


async def printed(process: Process) -> str:
    """All that a process prints until it ends, which it must in time."""
    async with asyncio.timeout(PATIENCE_S):
        output, _ = await process.communicate()
    return output.decode()


async def state_of_group(settings: Settings) -> GroupState:
    async with client.admin(settings) as admin:
        return await describe_group(settings, admin)


@pytest.mark.long
async def test_a_leader_that_is_gone_is_given_up_and_one_that_lives_is_not(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two groups at the same time, since much of it is waiting."""
    starved = settings.model_copy(
        update={
            "kafka_group": f"{settings.kafka_group}-starved",
            "kafka_partials_topic": f"{settings.kafka_partials_topic}-starved",
            "mongodb_database": f"{settings.mongodb_database}_starved",
        }
    )
    await prepare(settings)
    await prepare(starved)
    monkeypatch.setattr(rewind, "JOINED_WITHIN_S", 5.0)
    await asyncio.gather(given_up(settings), left_alone(starved))


async def given_up(settings: Settings) -> None:
    """Nobody else would heal it, and no new member: everybody would wait for ever."""
    async with connected(settings) as connection:
        leader = await GroupMember(settings, connection).lead()
        await leader.share_out()
        other = await GroupMember(settings, connection).ask_for_id()  # the group forms anew
        await leader.leave()
        await other.leave()
    async with program(settings, "worker", "--until-end") as worker:
        text = await printed(worker)
    assert worker.returncode == 0, text
    assert f"waits for a leader that has left, {leader.id}" in text
    assert f"{settings.kafka_topic}, partition 2: goes on at offset 0" in text


async def left_alone(settings: Settings) -> None:
    """It shares out nothing. A worker says so, and ends if it is to end at the end; `doctor` and `rebuild` say so."""
    soon = "from movie_stream.agents import broker_watch, group_watch as g; broker_watch.WATCH_EVERY_S = 0.5"
    soon += "; g.STARVED_AFTER_S, g.STARVED_AT_MOST_S = 1.0, 8.0"
    at_once = "import movie_stream.kafka.group.group_state as g; g.SETTLED_WITHIN_S = 2.0"
    async with connected(settings) as connection:
        leader = await GroupMember(settings, connection).lead()
        alive = asyncio.create_task(leader.stay())
        try:
            async with (
                program(settings, "worker", "--until-end", patched=soon) as worker,
                program(settings, "doctor", patched=at_once) as doctor,
            ):
                with pytest.raises(BrokerRefused, match=r"no partitions within 5 s; members \d, state forming; likely"):
                    await rewind.rewind(settings)
                said, found = await asyncio.gather(printed(worker), printed(doctor))
            assert leader.id in (await state_of_group(settings)).members
        finally:
            alive.cancel()
            await asyncio.wait([alive])
    warning, last = [line for line in said.splitlines() if "has been given no partitions" in line]
    assert worker.returncode == 1
    assert "WARNING" in warning
    assert "the member that leads does not share out the partitions" in warning
    assert last.startswith("error: the worker stops: it has been given no partitions for ")
    assert last.endswith("; stop all workers, wait 10 s, start them again; nobody else may be a member of KAFKA_GROUP")
    assert "a leader that has left" not in said
    found = " ".join(found.split())
    assert "workers warn" in found
    assert "a rebalance does not come to its end" in found


async def test_a_leader_does_not_tell_that_it_leaves_while_the_group_forms(settings: Settings) -> None:
    await topics.ensure(settings)
    async with worker_member(settings) as (consumer, membership), connected(settings) as connection:
        await comes_true(lambda: bool(consumer.assignment()))
        leader = consumer._coordinator.member_id
        await GroupMember(settings, connection).ask_for_id()
        await leave_group(membership)
        group = await state_of_group(settings)
    assert group.forming_under_a_leader
    assert leader in group.members, "its session runs out, and it is forgotten as it should be"


async def test_a_worker_that_is_given_nothing_does_not_starve(settings: Settings) -> None:
    """More workers than partitions are as it should be."""
    await topics.ensure(settings.model_copy(update={"kafka_partitions": 1}))
    async with worker_member(settings) as (one, of_one), worker_member(settings) as (other, of_other):
        assert of_one.waiting_s > 0
        await comes_true(lambda: not of_one.waiting_s and not of_other.waiting_s)
        assert sorted([len(one.assignment()), len(other.assignment())]) == [0, 1]
