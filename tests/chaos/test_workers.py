"""Workers that die, hang, leave and join: whatever happens to them, every document is right in the end."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.chaos.crashing import STEPS
from tests.chaos.fleet import WorkerUnderTest, crashing, until
from tests.chaos.scenario import KAFKA, LONG, NEEDS_KAFKA, TANSU, TIMEOUT_S, on_both_when_asked
from tests.chaos.stage import Kind, Stage

pytestmark = pytest.mark.timeout(TIMEOUT_S)

a_few_on_tansu_always = pytest.mark.parametrize(
    ("kind", "kills", "count"),
    [
        pytest.param(TANSU, 2, 40_000),
        pytest.param(TANSU, 15, 300_000, marks=LONG),
        pytest.param(KAFKA, 15, 300_000, marks=[LONG, NEEDS_KAFKA]),
    ],
)

SESSION_S = 6.0


@a_few_on_tansu_always
def test_kill_9_again_and_again(kind: Kind, kills: int, count: int, tmp_path: Path) -> None:
    """At any moment: while starting, restoring, flushing, rebalancing; one of them, or all together."""
    stage = Stage("kill -9, one or all workers", kind, tmp_path)
    with stage, stage.producing(stage.stream(count), 8_000) as views:
        stage.fleet.fill(2)
        while stage.faults < kills or not views.done:
            if stage.rng.random() < 0.6:
                until(stage.owned, "all partitions are owned")
            stage.pause(0, 3)
            if stage.rng.random() < 0.3:
                stage.fault("kill -9 of all workers")
                for worker in stage.fleet.alive:
                    worker.kill()
            else:
                worker = stage.rng.choice(stage.fleet.alive)
                stage.fault(f"kill -9 of {worker.name}")
                worker.kill()
            stage.fleet.fill(stage.rng.randint(1, 3))
        stage.end(views)


@on_both_when_asked
def test_sigterm_leaves_nothing_to_do_again(kind: Kind, tmp_path: Path) -> None:
    """One after the other comes and leaves while views arrive; together they have counted each view once.

    Never two at a time: when one joins, it gets partitions of one that goes on, which does not save what came last.
    """
    with Stage("SIGTERM", kind, tmp_path) as stage, stage.producing(stage.stream(), 8_000) as views:
        while not views.done:
            stage.fleet.fill(1)
            until(stage.owned, "all partitions are owned")
            stage.pause(0, 3)
            [worker] = stage.fleet.alive
            stage.fault(f"SIGTERM to {worker.name}")
            stage.leave_one(worker)
        views.wait()
        stage.fleet.fill(1)
        stage.recover()
        stage.leave()
        counted, events = sum(worker.counted for worker in stage.fleet.all), stage.verdict()
        assert counted == events, "something was counted again after it was left in good order"


@on_both_when_asked
def test_a_zombie_spoils_nothing(kind: Kind, tmp_path: Path) -> None:
    """Paused beyond the session timeout, so that its partitions go to others; then it resumes.

    Of two that think that a partition is theirs, the first to write a checkpoint stays and the other ends: a zombie may
    have the better of the new owner, and whoever runs workers starts another one.
    """
    with Stage("SIGSTOP, SIGCONT", kind, tmp_path) as stage, stage.producing(stage.stream(), 6_000) as views:
        with stage.fleet.kept(2):
            while not views.done:
                until(stage.owned, "all partitions are owned")
                stage.pause(0.5, 3)
                if alive := stage.fleet.alive:
                    _pause_beyond_session(stage, stage.rng.choice(alive))
            views.wait()
            stage.recover()
        stage.end(views, workers=1)


def _pause_beyond_session(stage: Stage, worker: WorkerUnderTest) -> None:
    stage.fault(f"SIGSTOP of {worker.name}")
    worker.pause()
    stage.fleet.start()
    stage.pause(SESSION_S + 1, SESSION_S + 6)
    stage.fault(f"SIGCONT of {worker.name}")
    worker.go_on()
    others = [other for other in stage.fleet.alive if other is not worker]
    if len(others) > 1:
        stage.leave_one(others[0], overtaken=True)


@on_both_when_asked
def test_workers_come_and_go_under_load(kind: Kind, tmp_path: Path) -> None:
    """One, three, one again; then five for three partitions, of which the idle ones take over."""
    with Stage("1, 3, 1, 5 workers", kind, tmp_path) as stage, stage.producing(stage.stream(), 6_000) as views:
        for size in (1, 3, 1, 5):
            stage.fault(f"{size} workers")
            stage.fleet.fill(size)
            for worker in stage.fleet.alive[size:]:
                stage.leave_one(worker)
            until(stage.owned, "all partitions are owned")
            stage.pause(3, 6)
        for worker in stage.fleet.alive[:3]:
            stage.fault(f"kill -9 of {worker.name}")
            worker.kill()
        began = time.monotonic()
        until(stage.owned, "the idle ones have taken over")
        stage.say(f"the idle ones have taken over after {time.monotonic() - began:.1f} s")
        stage.end(views)


@on_both_when_asked
def test_a_crash_at_every_step_of_both_flushes(kind: Kind, tmp_path: Path) -> None:
    """A worker ends at one step, the next resumes and ends at another, through all of them, in any order."""
    with Stage("a crash at every step", kind, tmp_path) as stage, stage.producing(stage.stream(), 400) as views:
        # Slowly: there have to be views for the last step, which on a busy machine comes after nine minutes.
        steps = list(STEPS)
        stage.rng.shuffle(steps)
        not_yet = [step for step in steps if not _crashes_at(stage, step)]
        # Early in the test there are no old windows yet.
        not_reached = [step for step in not_yet if "old windows" not in step or not _crashes_at(stage, step)]
        views.rush()
        views.wait()
        stage.fleet.start(crashing())
        stage.recover()
        stage.leave()
        stage.verdict()
        assert not_reached == [], "these steps come up in no run"


def _crashes_at(stage: Stage, step: str) -> bool:
    """Whether a worker that is to end at the step reaches it; it ends in either case."""
    rare = ("restore: before", "accumulate: older checkpoints deleted", "publish: older checkpoints deleted")
    nth = 1 if step in rare else stage.rng.choice((1, 1, 2, 3))
    worker = stage.fleet.start(crashing(step, nth))
    until(lambda: bool(worker.positions) or not worker.alive, "it owns partitions")
    deadline = time.monotonic() + 20
    if step.startswith("leave"):
        stage.pause(0.5, 1.5)
        worker.process.terminate()
    while worker.alive and time.monotonic() < deadline:
        time.sleep(0.02)
    if reached := not worker.alive:
        stage.fault(f"ended at the step {step}, time {nth}")
    else:
        stage.fault(f"kill -9 without coming to the step {step}, time {nth}")
    worker.kill()
    return reached
