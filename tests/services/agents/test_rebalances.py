"""Workers that come and go: what a worker keeps goes on with the state that it had, and every figure is right."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.support import reference
from tests.support.in_process import initialize
from tests.support.waiting import until
from tests.support.whole_path import PATIENCE_S, database, documents, environment, log_of, started, succeed

GOES_ON = re.compile(r"(\S+, partition \d+): goes on at offset \d+(, with the state that it had)?")
OLD = """
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from movie_stream.kafka.fetch import transport
from movie_stream.cli import main
transport.StickyAssignor = RoundRobinPartitionAssignor
main()
"""
"""Makes a worker one that knows only Kafka's round robin."""
PARTITIONS = 6
"""Of both topics."""


def taken(log: Path) -> list[tuple[str, bool]]:
    """The partitions that a worker took over, in this order, and whether it had their states."""
    return [(place, bool(kept)) for place, kept in GOES_ON.findall(log.read_text())]


@contextmanager
def views(settings: Settings, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A stream of views for the time of the block, the first of which are counted already."""
    first, path = folder / "first.csv", folder / "views.csv"
    initialize(settings)
    succeed(settings, "generate", "--output", str(first), "--count", "5000", "--seed", "4")
    succeed(settings, "generate", "--output", str(path), "--count", "36000", "--seed", "5")
    succeed(settings, "produce", "--file", str(first))
    succeed(settings, "worker", "--until-end")
    log = folder / "produce.log"
    with started(settings, "produce", "--file", str(path), "--rate", "2000", "--late-anyway", log=log) as producer:
        yield producer


def assert_counted(settings: Settings, producer: subprocess.Popen[bytes]) -> None:
    """Once all is sent and counted, every document is as the reference has it."""
    assert producer.wait(PATIENCE_S) == 0
    succeed(settings, "worker", "--until-end")
    with database(settings) as db:
        assert reference.same(documents(db), reference.expected(log_of(settings)).documents) == []


@pytest.mark.timeout(300)
def test_what_a_worker_keeps_goes_on_with_its_state(settings: Settings, tmp_path: Path) -> None:
    stays, goes = tmp_path / "stays.log", tmp_path / "goes.log"
    with views(settings, tmp_path) as producer, started(settings, "worker", log=stays) as worker:
        until(lambda: len(taken(stays)) == PARTITIONS, stays, worker)
        with started(settings, "worker", log=goes) as other:
            until(lambda: len(taken(goes)) + len(taken(stays)) == 2 * PARTITIONS, goes, other)
            kept, others = taken(stays)[PARTITIONS:], taken(goes)
            assert len(kept) == len(others) == PARTITIONS // 2
            assert any(had for _, had in kept), "all but those whose flush was cut off"
            assert not any(had for _, had in others)
            assert {place for place, _ in kept}.isdisjoint(place for place, _ in others)
            other.kill()
            other.wait()
            until(lambda: len(taken(stays)) == 2 * PARTITIONS + len(kept), stays, worker)
        after = taken(stays)[PARTITIONS + len(kept) :]
        had = {place for place, had in after if had}
        assert had, "all but those whose flush was cut off"
        assert had <= {place for place, _ in kept}
        worker.terminate()
        assert worker.wait(PATIENCE_S) == 0, stays.read_text()[-2000:]
        assert_counted(settings, producer)


@pytest.mark.timeout(300)
@pytest.mark.long
def test_a_worker_that_knows_only_the_round_robin_shares_with_another(settings: Settings, tmp_path: Path) -> None:
    new, old = tmp_path / "new.log", tmp_path / "old.log"
    program = [sys.executable, "-c", OLD, "worker"]
    with views(settings, tmp_path) as producer, started(settings, "worker", log=new) as worker:
        until(lambda: len(taken(new)) == PARTITIONS, new, worker)
        with old.open("wb") as output:
            older = subprocess.Popen(program, env=environment(settings), stdout=output, stderr=output)
        try:
            until(lambda: len(taken(old)) + len(taken(new)) == 2 * PARTITIONS, old, older)
            assert len(taken(old)) == PARTITIONS // 2
            older.terminate()
            assert older.wait(PATIENCE_S) == 0, old.read_text()[-2000:]
            until(lambda: len(taken(new)) == 2 * PARTITIONS + PARTITIONS // 2, new, worker)
        finally:
            older.kill()
            older.wait()
        worker.terminate()
        assert worker.wait(PATIENCE_S) == 0, new.read_text()[-2000:]
        assert_counted(settings, producer)
