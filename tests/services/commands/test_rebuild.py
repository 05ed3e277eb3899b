"""`movie-stream rebuild`: after a setting that changes figures was changed, a new run counts the topic afresh."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.services.replay.test_send import START_MS, csv_file, view
from tests.support.in_process import initialize
from tests.support.waiting import until
from tests.support.whole_path import COMMAND, command, database, environment, started, succeed

VIEWS = 300
HOUR_MS = 3_600_000


@pytest.fixture
def counted(settings: Settings, tmp_path: Path) -> Settings:
    """Settings of a topic that is counted: views over ten hours."""
    rows = [view(number, START_MS + number * 10 * HOUR_MS // VIEWS) for number in range(VIEWS)]
    csv_file(tmp_path, *rows)
    initialize(settings)
    succeed(settings, "produce", "--file", str(tmp_path / "views.csv"))
    succeed(settings, "worker", "--until-end")
    return settings


def test_a_changed_setting_needs_a_rebuild_which_counts_everything_anew(counted: Settings) -> None:
    changed = {"ALLOWED_LATENESS": "1h"}
    refused = command(counted, "worker", "--until-end", **changed)
    assert refused.returncode == 1
    [line] = [line for line in refused.stderr.splitlines() if line.startswith("error: ")]
    assert "allowed_lateness_ms was 86400000, is 3600000" in line.lower()
    assert line.endswith("movie-stream rebuild")
    with database(counted) as db:
        before = {document["_id"]: document["total_views"] for document in db["category_stats"].find()}
        db["category_stats"].insert_one({**db["category_stats"].find_one(), "_id": "genre_stats_gone"})

        said = succeed(counted, "rebuild", "--yes", **changed)
        run = db["_runs"].find_one()["number"]
        assert f"Run {run} has begun" in said
        assert f"{VIEWS} records" in said
        assert db["category_stats"].count_documents({}) == 0
        assert db["movies_aggregates"].count_documents({}) == 0

        succeed(counted, "worker", "--until-end", **changed)
        after = {document["_id"]: document["total_views"] for document in db["category_stats"].find()}
        assert after == before
        assert sum(after.values()) == VIEWS
        assert db["movies_aggregates"].distinct("_run") == db["hourly_metrics"].distinct("_run") == [run]


@pytest.mark.long
def test_what_a_rebuild_that_was_killed_has_left_is_deleted_by_the_first_worker(counted: Settings) -> None:
    with database(counted) as db:
        stale = {**db["category_stats"].find_one(), "_id": "genre_stats_gone"}
        db["category_stats"].insert_one(stale)
        # As it stands where the process dies right after the new run has begun.
        db["_runs"].update_one({}, {"$inc": {"number": 1}, "$set": {"cleared": False}})
        succeed(counted, "worker", "--until-end")
        assert db["category_stats"].count_documents({"_id": "genre_stats_gone"}) == 0
        assert sum(document["total_views"] for document in db["category_stats"].find()) == VIEWS
        assert db["_runs"].find_one()["cleared"] is True


def test_it_refuses_while_a_worker_runs(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "log"
    initialize(settings)
    with started(settings, "worker", log=log) as worker:
        until(lambda: "goes on at offset" in log.read_text(encoding="utf-8"), log, worker)
        refused = command(settings, "rebuild", "--yes")
        assert (refused.returncode, refused.stdout, refused.stderr.count("\n")) == (1, "", 1), "nothing is announced"
        assert f"workers of the group {settings.kafka_group} are running; stop them all" in refused.stderr
    with database(settings) as db:
        assert f"run {db['_runs'].find_one()['number']} of" in log.read_text(encoding="utf-8")


def test_nobody_is_there_to_ask(settings: Settings) -> None:
    refused = subprocess.run(
        [COMMAND, "rebuild"],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 2
    assert refused.stderr == "error: rebuild: expected --yes, since there is no terminal to ask at\n"
