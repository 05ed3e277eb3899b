"""Alerts with real processes: each is stored once in the collection, as the reference finds it, whatever happens."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.support.alerts.stage import HOUR_MS, RULES, START_MS, View, difference, expected, send, stored, views
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, database, started, succeed


@pytest.fixture
def ruled(settings: Settings, tmp_path: Path) -> Settings:
    """Settings with rules."""
    file = tmp_path / "alerts.toml"
    file.write_text(RULES)
    return settings.model_copy(update={"alerts_file": file})


@pytest.mark.long
@pytest.mark.timeout(300)
def test_once_again_corrected_and_counted_afresh(ruled: Settings, tmp_path: Path) -> None:
    rng = random.Random(5)
    counted = views(rng, 40, 40)
    later = [View(START_MS + 20 * HOUR_MS + n, "Drama", f"film{n % 3}", f"late{n}", 1.0) for n in range(60)]
    week = views(rng, 8, 120, START_MS + 168 * HOUR_MS)
    initialize(ruled)
    partitions = ruled.kafka_partitions
    send(ruled, counted, partitions)
    succeed(ruled, "worker", "--until-end")
    with database(ruled) as db:
        wanted = expected(counted)
        assert {name for name, *_ in wanted} == {"busy", "few dramas", "worse", "trend", "silent"}
        assert difference(stored(db), wanted) == {}

        send(ruled, later, partitions)
        succeed(ruled, "worker", "--until-end")
        counted += later
        assert difference(stored(db), expected(counted)) == {}
        assert db["_alerting"].count_documents({"kind": "marker"}) == 0
        assert stored(db) != sorted(wanted), "late views change what was"

        send(ruled, week, partitions)
        with started(ruled, "worker", log=tmp_path / "log", ALERTS_IDLE="1s") as worker:
            counted += week
            wanted = expected(counted)
            deadline = time.monotonic() + PATIENCE_S
            while difference(stored(db), wanted) and time.monotonic() < deadline:
                time.sleep(0.2)
            assert difference(stored(db), wanted) == {}
            worker.terminate()
            assert worker.wait(30) == 0, (tmp_path / "log").read_text()[-3000:]
        assert "unusual" in {name for name, *_ in wanted}

        succeed(ruled, "rebuild", "--yes")
        assert db["alerts"].count_documents({}) == 0
        succeed(ruled, "worker", "--until-end")
        assert difference(stored(db), wanted) == {}
        assert db["alerts"].count_documents({"state": "withdrawn"}) == 0, "it counted all of it at once"


@pytest.mark.chaos
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_killed_again_and_again_while_views_come(ruled: Settings, tmp_path: Path, seed: int) -> None:
    """Two workers, of which one or both are killed, at any step, while old and new views arrive."""
    rng = random.Random(seed)
    counted = views(rng, 48, 60)
    at = {view: view.at_ms + (rng.randrange(12 * HOUR_MS) if rng.random() < 0.02 else 0) for view in counted}
    initialize(ruled)
    with database(ruled) as db, ExitStack() as stack:
        producing = stack.enter_context(
            background(lambda: send(ruled, sorted(counted, key=lambda v: at[v]), ruled.kafka_partitions, 40))
        )
        fleet, number = list[subprocess.Popen[bytes]](), 0
        while producing.is_alive() or number < 8:
            while len(fleet) < 2:
                number += 1
                log = tmp_path / f"{number}.log"
                fleet.append(stack.enter_context(started(ruled, "worker", log=log, ALERTS_IDLE="2s")))
            time.sleep(rng.uniform(1.0, 9.0))
            for worker in rng.sample(fleet, rng.choice([1, 1, 2])):
                assert worker.poll() is None, "only we end it"
                worker.kill()
                worker.wait()
                fleet.remove(worker)
        for worker in fleet:
            worker.kill()
            worker.wait()
        succeed(ruled, "worker", "--until-end")
        assert difference(stored(db), expected(counted)) == {}
        assert db["_alerting"].count_documents({"kind": "marker"}) == 0


@contextmanager
def background(do: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=do)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()
