"""A large backlog with many users: bounded memory, one assignment, quick recovery."""

from __future__ import annotations

import threading
import time
from datetime import timedelta
from pathlib import Path

import psutil
import pytest

from tests.chaos.fleet import until
from tests.chaos.scenario import TIMEOUT_S, on_kafka_when_asked
from tests.chaos.stage import Kind, Stage

pytestmark = pytest.mark.timeout(TIMEOUT_S)

PLACES = 6
MOST_MB = 600
"""Of a state like that: a million users, and a day of views that later ones can still change."""


class Memory:
    """Watches how much memory a process has, in MB, until it ends."""

    def __init__(self, pid: int) -> None:
        self.seen: list[int] = []
        self._process = psutil.Process(pid)
        self._thread = threading.Thread(target=self._watch, name="memory")
        self._thread.start()

    def _watch(self) -> None:
        try:
            while self._process.is_running() and self._process.status() != psutil.STATUS_ZOMBIE:
                self.seen.append(self._process.memory_info().rss >> 20)
                time.sleep(0.1)
        except psutil.NoSuchProcess:
            return

    def end(self) -> None:
        self._thread.join()


@on_kafka_when_asked
def test_five_million_events_of_a_million_users(kind: Kind, tmp_path: Path) -> None:
    with Stage("a backlog of 5,000,000 events", kind, tmp_path, allowed_lateness="24h") as stage:
        stream = stage.stream(5_000_000, users=1_000_000, span=timedelta(hours=48), bad=0.001)
        with stage.producing(stream, 0) as views:
            views.wait()
        worker = stage.fleet.start()
        memory = Memory(worker.process.pid)
        stage.recover()
        lines = [line for line in worker.text.splitlines() if "goes on at offset" in line]
        assert len(lines) == PLACES, "the group was shared out more than once"
        stage.fault("kill -9")
        worker.kill()
        memory.end()
        quarters = [max(memory.seen[len(memory.seen) * n // 4 : len(memory.seen) * (n + 1) // 4]) for n in range(4)]
        stage.say(f"memory, the most in each quarter of the time: {quarters} MB")

        began = time.monotonic()
        again = stage.fleet.start()
        until(lambda: len(again.positions) == PLACES, "it goes on")
        stage.say(f"a restarted worker goes on after {time.monotonic() - began:.1f} s")

        second = stage.fleet.start()
        until(lambda: len(second.positions) == PLACES / 2, "a second one has its share")
        began = time.monotonic()
        stage.fault("kill -9 of one of two")
        again.kill()
        until(lambda: len(second.positions) == PLACES, "the survivor has all")
        stage.say(f"a survivor goes on after {time.monotonic() - began:.1f} s")
        stage.recover()
        stage.leave()
        stage.verdict()
        assert max(quarters) < MOST_MB
        assert quarters[-1] < 1.1 * quarters[-2], "it grows with what has been counted"
