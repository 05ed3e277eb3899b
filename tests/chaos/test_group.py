"""Workers are replaced again and again without any load, which leaves a group time to form in every odd order; and what
both brokers make of a join in the name of a member that is gone.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from aiokafka.errors import UnknownMemberIdError

from movie_stream.kafka.cluster import topics
from movie_stream.settings import Settings
from tests.chaos.fleet import until
from tests.chaos.scenario import KAFKA, LONG, NEEDS_KAFKA, TANSU
from tests.chaos.stage import Kind, Stage
from tests.chaos.stream import BEGIN_MS, Producer, Stream
from tests.support.kafka.group_member import GroupMember, connected
from tests.support.kafka_server import KafkaServer

SESSION_S = 6.0
COUNTED_WITHIN_S = 120.0
"""A death costs a session and a rebalance, some 15 s, and a leader that Tansu waits for as much again; on a busy
machine all of it takes longer. Where nobody gives that leader up, it takes for ever.
"""
VIEWS = 90


@pytest.mark.timeout(3_600)
@pytest.mark.parametrize(
    ("kind", "replacements"),
    [pytest.param(TANSU, 100, marks=LONG), pytest.param(KAFKA, 12, marks=[LONG, NEEDS_KAFKA])],
)
def test_workers_are_replaced_again_and_again(kind: Kind, replacements: int, tmp_path: Path) -> None:
    """One is paused beyond its session, another joins, the first resumes, and one leaves: then a few views are to be
    counted soon, in all partitions.
    """
    with Stage("workers replaced, without load", kind, tmp_path) as stage:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        with stage.fleet.kept(2):
            for nth in range(replacements):
                replace(stage)
                few = Stream(
                    stage.seed + nth,
                    VIEWS,
                    span=timedelta(minutes=1),
                    latest=timedelta(minutes=5),
                    begin_ms=BEGIN_MS + 60_000 * nth,
                )
                with Producer(stage.settings, few, 0).running() as views:
                    views.wait()
                took_s = stage.recover()
                assert took_s < COUNTED_WITHIN_S, f"after replacement {nth} some partition had no owner"
        stage.leave()
        stage.verdict()
        stage.say(f"of {replacements} replacements the longest took {stage.recovery_s:.1f} s")


def replace(stage: Stage) -> None:
    """Two of three times a zombie takes part; else a worker is replaced immediately, sometimes by kill -9."""
    chance = stage.rng.random()
    worker = stage.rng.choice(stage.fleet.alive)
    if chance < 0.67:
        stage.fault(f"SIGSTOP of {worker.name}")
        worker.pause()
        stage.fleet.start()
        stage.pause(SESSION_S + 0.2, SESSION_S + 3)
        stage.fault(f"SIGCONT of {worker.name}")
        worker.go_on()
        stage.pause(0, 0.5)
        worker = stage.rng.choice(stage.fleet.alive)
    if chance < 0.85:
        stage.fault(f"SIGTERM to {worker.name}")
        stage.leave_one(worker, overtaken=True)
    else:
        stage.fault(f"kill -9 of {worker.name}")
        worker.kill()
    for idle in stage.fleet.alive[2:]:
        stage.leave_one(idle, overtaken=True)


@LONG
@NEEDS_KAFKA
async def test_apache_kafka_takes_no_join_of_who_is_gone(settings: Settings, tmp_path: Path) -> None:
    """So that a join in the name of a leader that has left does nothing there; and its states are others."""
    with KafkaServer(tmp_path) as kafka:
        settings = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(settings)
        async with connected(settings) as connection:
            leader = await GroupMember(settings, connection).lead()
            await leader.share_out()
            await leader.leave()
            assert await leader.join() == UnknownMemberIdError.errno
