"""Backups of the broker's and the mongod's folders, and of one of them alone put back: right documents, or one line
that says what to run, and the documents are right after that.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from movie_stream.mongo.workers import WORKERS
from tests.chaos.scenario import TIMEOUT_S, on_kafka_when_asked
from tests.chaos.stage import Kind, Stage
from tests.support.whole_path import database

pytestmark = pytest.mark.timeout(TIMEOUT_S)

EVENTS = 60_000


class Folders:
    """The data of the broker and of the mongod, and backups of both."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage, self._folder = stage, folder
        self._live = {"kafka": folder / "kafka" / "data", "mongo": folder / "mongo"}

    def back_up(self, name: str) -> None:
        """Of both, while neither runs."""
        self._stop("kafka", "mongo")
        for of, live in self._live.items():
            shutil.copytree(live, self._folder / f"{name}-{of}")
        self._start("kafka", "mongo")

    def restore(self, name: str, *which: str) -> None:
        """Restores the named parts of a backup."""
        self._stage.fault(f"restored: {' and '.join(which)}, {name}")
        self._stop(*which)
        for of in which:
            shutil.rmtree(self._live[of])
            shutil.copytree(self._folder / f"{name}-{of}", self._live[of])
        self._start(*which)

    def _stop(self, *which: str) -> None:
        for of in which:
            (self._stage.kafka if of == "kafka" else self._stage.mongod).process.stop()

    def _start(self, *which: str) -> None:
        for of in which:
            server = self._stage.kafka if of == "kafka" else self._stage.mongod
            server.start()
            server.wait_until_ready()


def count_more(stage: Stage, part: int) -> None:
    """Views of their own are produced, and counted by a worker that has left when this returns."""
    with stage.producing(stage.stream(EVENTS, begin_ms=stage.stream().begin_ms + part * 12 * 3_600_000), 0) as producer:
        stage.fleet.fill(1)
        producer.wait()
    stage.recover()
    stage.leave()


def goes_on(stage: Stage) -> None:
    count_more(stage, 5)
    stage.verdict()


def refused_until_rebuilt(stage: Stage, *words: str) -> None:
    """A worker names the problem, changes nothing, and a rebuild repairs it."""
    with database(stage.settings) as db:
        lasting = set(db.list_collection_names()) - {WORKERS}  # of these MongoDB deletes who is silent
        before = {name: db[name].count_documents({}) for name in lasting}
        line = stage.refused()
        assert stage.refused() == line
        assert all(word in line for word in words), line
        assert line.endswith("movie-stream rebuild")
        assert {name: db[name].count_documents({}) for name in before} == before
    stage.command("init")
    stage.command("rebuild", "--yes")
    goes_on(stage)


@on_kafka_when_asked
def test_both_are_restored(kind: Kind, tmp_path: Path) -> None:
    with Stage("both restored from one backup", kind, tmp_path) as stage:
        folders = Folders(stage, tmp_path)
        count_more(stage, 0)
        folders.back_up("first")
        count_more(stage, 1)
        folders.restore("first", "kafka", "mongo")
        goes_on(stage)


@on_kafka_when_asked
def test_mongodb_alone_is_restored(kind: Kind, tmp_path: Path) -> None:
    """Its documents are older than what the checkpoints in Kafka say that it has."""
    with Stage("MongoDB restored alone", kind, tmp_path) as stage:
        folders = Folders(stage, tmp_path)
        count_more(stage, 0)
        folders.back_up("first")
        count_more(stage, 1)
        folders.restore("first", "mongo")
        refused_until_rebuilt(stage, "is older than the checkpoints in Kafka", "only up to")
        folders.restore("first", "mongo")  # of before the rebuild
        refused_until_rebuilt(stage, "is older than the checkpoints in Kafka", "the topics are those of run")


@on_kafka_when_asked
def test_kafka_alone_is_restored(kind: Kind, tmp_path: Path) -> None:
    """New views have the offsets of others that MongoDB has counted."""
    with Stage("Kafka restored alone", kind, tmp_path) as stage:
        folders = Folders(stage, tmp_path)
        count_more(stage, 0)
        folders.back_up("first")
        count_more(stage, 1)
        folders.restore("first", "kafka")
        refused_until_rebuilt(stage, stage.settings.kafka_partials_topic, "ends at offset", "older backup")


@on_kafka_when_asked
def test_a_backup_of_one_time_resumes_whatever_happened_since(kind: Kind, tmp_path: Path) -> None:
    """A rebuild after the backup; then both are put back."""
    with Stage("both restored, of before a rebuild", kind, tmp_path) as stage:
        folders = Folders(stage, tmp_path)
        count_more(stage, 0)
        folders.back_up("first")
        stage.command("rebuild", "--yes")
        count_more(stage, 1)
        folders.restore("first", "kafka", "mongo")
        goes_on(stage)


@on_kafka_when_asked
def test_mongodb_is_restored_under_a_worker_that_runs(kind: Kind, tmp_path: Path) -> None:
    with Stage("MongoDB restored under a worker", kind, tmp_path) as stage:
        folders = Folders(stage, tmp_path)
        count_more(stage, 0)
        folders.back_up("first")
        count_more(stage, 1)
        worker = stage.fleet.start()
        worker.wait_for("goes on at offset")
        folders.restore("first", "mongo")
        with stage.producing(stage.stream(2_000, begin_ms=stage.stream().begin_ms + 24 * 3_600_000), 0) as producer:
            producer.wait()
            assert worker.process.wait(120) == 1
        assert "it was set back" in worker.text
        worker.killed = True
        refused_until_rebuilt(stage, "is older than the checkpoints in Kafka", "only up to")


@on_kafka_when_asked
def test_kafka_is_restored_under_a_worker_that_runs(kind: Kind, tmp_path: Path) -> None:
    """The group's next rebalance finds that less is there than was published."""
    with Stage("Kafka restored under a worker", kind, tmp_path) as stage:
        folders = Folders(stage, tmp_path)
        count_more(stage, 0)
        folders.back_up("first")
        worker = stage.fleet.start()
        worker.wait_for("goes on at offset")
        later = stage.stream(2_000, begin_ms=stage.stream().begin_ms + 12 * 3_600_000)
        with stage.producing(later, 0) as producer:
            producer.wait()
        stage.recover()
        folders.restore("first", "kafka")
        assert worker.process.wait(120) == 1
        worker.killed = True
        assert "older backup of it was restored" in worker.text
        refused_until_rebuilt(stage, stage.settings.kafka_partials_topic, "ends at offset", "older backup")
