"""Backups of the broker's and the mongod's folders, and of one of them alone put back: right documents, or one line
that says what to run, and the documents are right after that.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

from movie_stream.mongo.workers import WORKERS
from tests.chaos.fleet import WorkerUnderTest
from tests.chaos.scenario import TIMEOUT_S, on_kafka_when_asked
from tests.chaos.stage import Kind, Stage
from tests.support.whole_path import database

pytestmark = pytest.mark.timeout(TIMEOUT_S)

EVENTS: Final = 60_000
FEW: Final = 2_000
HALF_DAY_MS: Final = 12 * 3_600_000
MONGODB_IS_OLDER: Final = "is older than the checkpoints in Kafka"
KAFKA_IS_OLDER: Final = ("movie-partials", "ends at offset", "older backup")


class Backup:
    """The data of the broker and of the mongod, and a copy of both as they are when it is made."""

    def __init__(self, stage: Stage, folder: Path) -> None:
        self._stage, self._folder = stage, folder
        self._live = {"kafka": folder / "kafka" / "data", "mongo": folder / "mongo"}
        self._stop("kafka", "mongo")
        for of, live in self._live.items():
            shutil.copytree(live, self._copy(of))
        self._start("kafka", "mongo")

    def restore(self, *which: str) -> None:
        """Restores what is named."""
        self._stage.fault(f"restored: {' and '.join(which)}")
        self._stop(*which)
        for of in which:
            shutil.rmtree(self._live[of])
            shutil.copytree(self._copy(of), self._live[of])
        self._start(*which)

    def _copy(self, of: str) -> Path:
        return self._folder / f"backup-{of}"

    def _stop(self, *which: str) -> None:
        for of in which:
            (self._stage.kafka if of == "kafka" else self._stage.mongod).process.stop()

    def _start(self, *which: str) -> None:
        for of in which:
            server = self._stage.kafka if of == "kafka" else self._stage.mongod
            server.start()
            server.wait_until_ready()


@contextmanager
def backed_up(scenario: str, kind: Kind, folder: Path) -> Iterator[tuple[Stage, Backup]]:
    """A stage on which the first views are counted, and a backup of that."""
    with Stage(scenario, kind, folder) as stage:
        count_more(stage, 0)
        yield stage, Backup(stage, folder)


def send(stage: Stage, part: int, count: int) -> None:
    """Sends so many views, which begin so many half days after the first."""
    with stage.producing(stage.stream(count, begin_ms=stage.stream().begin_ms + part * HALF_DAY_MS), 0) as producer:
        producer.wait()


def count_more(stage: Stage, part: int) -> None:
    """Views of their own are counted by a worker that has left when this returns."""
    stage.fleet.fill(1)
    send(stage, part, EVENTS)
    stage.recover()
    stage.leave()


def running(stage: Stage) -> WorkerUnderTest:
    """A worker that has taken over its partitions."""
    worker = stage.fleet.start()
    worker.wait_for("goes on at offset")
    return worker


def fails_because(worker: WorkerUnderTest, words: str) -> None:
    """The worker fails by itself, and says why."""
    assert worker.process.wait(120) == 1
    worker.killed = True
    assert words in worker.text


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
    with backed_up("both restored from one backup", kind, tmp_path) as (stage, backup):
        count_more(stage, 1)
        backup.restore("kafka", "mongo")
        goes_on(stage)


@on_kafka_when_asked
def test_mongodb_alone_is_restored(kind: Kind, tmp_path: Path) -> None:
    """Its documents are older than what the checkpoints in Kafka say that it has."""
    with backed_up("MongoDB restored alone", kind, tmp_path) as (stage, backup):
        count_more(stage, 1)
        backup.restore("mongo")
        refused_until_rebuilt(stage, MONGODB_IS_OLDER, "only up to")
        backup.restore("mongo")  # of before the rebuild
        refused_until_rebuilt(stage, MONGODB_IS_OLDER, "the topics are those of run")


@on_kafka_when_asked
def test_kafka_alone_is_restored(kind: Kind, tmp_path: Path) -> None:
    """New views have the offsets of others that MongoDB has counted."""
    with backed_up("Kafka restored alone", kind, tmp_path) as (stage, backup):
        count_more(stage, 1)
        backup.restore("kafka")
        refused_until_rebuilt(stage, *KAFKA_IS_OLDER)


@on_kafka_when_asked
def test_a_backup_of_one_time_resumes_whatever_happened_since(kind: Kind, tmp_path: Path) -> None:
    """A rebuild after the backup; then both are put back."""
    with backed_up("both restored, of before a rebuild", kind, tmp_path) as (stage, backup):
        stage.command("rebuild", "--yes")
        count_more(stage, 1)
        backup.restore("kafka", "mongo")
        goes_on(stage)


@on_kafka_when_asked
def test_mongodb_is_restored_under_a_worker_that_runs(kind: Kind, tmp_path: Path) -> None:
    with backed_up("MongoDB restored under a worker", kind, tmp_path) as (stage, backup):
        count_more(stage, 1)
        worker = running(stage)
        backup.restore("mongo")
        send(stage, 2, FEW)
        fails_because(worker, "it was set back")
        refused_until_rebuilt(stage, MONGODB_IS_OLDER, "only up to")


@on_kafka_when_asked
def test_kafka_is_restored_under_a_worker_that_runs(kind: Kind, tmp_path: Path) -> None:
    """The group's next rebalance finds that less is there than was published."""
    with backed_up("Kafka restored under a worker", kind, tmp_path) as (stage, backup):
        worker = running(stage)
        send(stage, 1, FEW)
        stage.recover()
        backup.restore("kafka")
        fails_because(worker, "older backup of it was restored")
        refused_until_rebuilt(stage, *KAFKA_IS_OLDER)
