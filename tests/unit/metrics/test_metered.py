"""The time that a coroutine itself takes, by a clock that only advances during work."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

from movie_stream.agents import alerting
from movie_stream.agents.alerting import Alerting
from movie_stream.metrics.metered import Meter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def work(self, seconds: float) -> None:
        self.now += seconds


async def test_waiting_is_not_working() -> None:
    clock = Clock()
    meter = Meter(clock)

    async def works() -> str:
        clock.work(1)
        await asyncio.sleep(0)
        clock.work(2)
        return "done"

    async def another() -> None:
        clock.work(100)

    assert await asyncio.gather(meter.run(works()), another()) == ["done", None]
    assert meter.s == 3


async def test_errors_and_cancelling_pass() -> None:
    clock = Clock()
    meter = Meter(clock)

    async def cancelled() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            clock.work(5)
            raise

    async def fails() -> None:
        raise ValueError("no")

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await meter.run(cancelled())
    with pytest.raises(ValueError, match="no"):
        await meter.run(fails())
    assert meter.s == 5


async def test_a_cancellation_may_be_caught() -> None:
    clock = Clock()
    meter = Meter(clock)

    async def stubborn() -> str:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            clock.work(5)
            await asyncio.sleep(0)
        return "went on"

    task = asyncio.ensure_future(meter.run(stubborn()))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "went on"
    assert meter.s == 5


async def test_pauses_are_measured_by_work_and_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A step that waits for a database that is away is no work."""
    clock, pauses = Clock(), list[float]()
    steps = iter([0.0, 1.0, 1000.0])
    wait = asyncio.sleep

    async def step(self: Alerting) -> None:
        waiting = asyncio.ensure_future(wait(0))
        waiting.add_done_callback(lambda _: clock.work(50))
        await waiting
        clock.work(next(steps))

    async def rest(self: Alerting, seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise asyncio.CancelledError

    monkeypatch.setattr(alerting, "Meter", lambda: Meter(clock))
    monkeypatch.setattr(Alerting, "_step", step)
    monkeypatch.setattr(Alerting, "_rest", rest)
    monkeypatch.setattr(alerting, "asyncio", SimpleNamespace(sleep=lambda _: wait(0)))
    of = Alerting.__new__(Alerting)
    of._turn = asyncio.Lock()
    with pytest.raises(asyncio.CancelledError):
        await of.run()
    assert pauses == [0.0, 9.0, alerting.RETRY_AT_MOST_S]
