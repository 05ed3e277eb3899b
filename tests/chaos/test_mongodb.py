"""MongoDB that dies, hangs, is read-only or refuses: the workers continue, and every document is right in the end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.fleet import until
from tests.chaos.scenario import TIMEOUT_S, on_both_when_asked
from tests.chaos.stage import Kind, Stage
from tests.support.whole_path import database

pytestmark = pytest.mark.timeout(TIMEOUT_S)

NOT_PRIMARY = 10107


@on_both_when_asked
def test_mongod_is_killed_and_started_again(kind: Kind, tmp_path: Path) -> None:
    """kill -9 in the middle of writes, and workers that are killed meanwhile."""
    with Stage("mongod killed -9", kind, tmp_path) as stage, stage.producing(stage.stream(), 10_000) as views:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        while stage.faults < 5 or not views.done:
            stage.pause(0.5, 4)
            stage.fault("kill -9 of mongod")
            stage.mongod.kill()
            stage.pause(0, 3)
            if stage.rng.random() < 0.3:
                worker = stage.rng.choice(stage.fleet.alive)
                stage.fault(f"kill -9 of {worker.name}")
                worker.kill()
            stage.mongod.start()
            stage.mongod.wait_until_ready()
            stage.fleet.fill(2)
        stage.end(views)


@on_both_when_asked
def test_mongod_hangs_for_a_minute(kind: Kind, tmp_path: Path) -> None:
    """Nothing is answered and no connection closed; views are counted meanwhile, nobody leaves the group."""
    with Stage("mongod stopped for 60 s", kind, tmp_path) as stage, stage.producing(stage.stream(), 10_000) as views:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        views.wait(0.2)
        stage.fault("SIGSTOP of mongod")
        with stage.mongod.paused():
            stage.pause(30, 31)
            stage.fault("SIGTERM to a worker meanwhile")
            stage.leave_one(stage.fleet.all[0])
            stage.fleet.all[0].killed = True
            stage.pause(30, 31)
        stage.fault("SIGCONT of mongod")
        views.wait()
        stage.recover()
        assert stage.fleet.alive == [stage.fleet.all[1]], "a worker ended since MongoDB did not answer"
        stage.leave()
        stage.verdict()


@on_both_when_asked
def test_no_primary_takes_writes(kind: Kind, tmp_path: Path) -> None:
    """Writes are answered with NotWritablePrimary for a while, and acknowledgements with a write concern error."""
    with (
        Stage("primary not writable", kind, tmp_path, replica_set=True) as stage,
        stage.producing(stage.stream(), 10_000) as views,
    ):
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        while not views.done:
            stage.pause(1, 3)
            if stage.rng.random() < 0.5:
                stage.fault("NotWritablePrimary")
                with stage.mongod.failing("insert", "update", errorCode=NOT_PRIMARY):
                    stage.pause(2, 8)
            else:
                stage.fault("no majority has it")
                error = {"code": 64, "codeName": "WriteConcernFailed", "errmsg": "waiting for replication timed out"}
                with stage.mongod.failing("insert", "update", writeConcernError=error):
                    stage.pause(2, 8)
        views.wait()
        stage.recover()
        assert len(stage.fleet.all) == 2, "a worker ended since MongoDB did not take writes"
        stage.leave()
        stage.verdict()


@on_both_when_asked
def test_the_primary_of_three_is_killed(kind: Kind, tmp_path: Path) -> None:
    """kill -9 of the primary, and another is elected; it restarts later, and takes back what it had
    alone.
    """
    with (
        Stage("primary of three killed -9", kind, tmp_path, three_mongods=True) as stage,
        stage.producing(stage.stream(), 10_000) as views,
    ):
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        while stage.faults < 4 or not views.done:
            stage.pause(1, 4)
            stage.fault("kill -9 of the primary")
            primary = stage.replica_set.primary()
            primary.kill()
            stage.pause(0, 6)
            if stage.rng.random() < 0.3:
                worker = stage.rng.choice(stage.fleet.alive)
                stage.fault(f"kill -9 of {worker.name}")
                worker.kill()
            primary.start()
            stage.replica_set.wait_until_ready()
            stage.fleet.fill(2)
        stage.end(views)


@on_both_when_asked
def test_a_validator_refuses_some_documents(kind: Kind, tmp_path: Path) -> None:
    """They are left out, counted and named; the others are written. A rebuild with a repaired validator writes them."""
    with Stage("a validator refuses", kind, tmp_path) as stage, stage.producing(stage.stream(), 20_000) as views:
        with database(stage.settings) as db:
            stage.fault("a validator that takes no genre Horror")
            no_horror = {"validator": {"genre": {"$ne": "Horror"}}}
            db.command("collMod", "category_stats", **no_horror)
            stage.fleet.fill(1)
            views.wait()
            stage.recover()
            assert db["category_stats"].count_documents({"genre": "Horror"}) == 0
        assert "category_stats: genre_stats_horror is left out, MongoDB refuses it" in stage.fleet.all[0].text
        wrong, _ = stage.differences()
        assert wrong == ["category_stats genre_stats_horror: missing"]
        stage.leave()
        stage.command("init")
        stage.command("rebuild", "--yes")
        stage.fleet.fill(1)
        stage.recover()
        stage.leave()
        stage.verdict()
