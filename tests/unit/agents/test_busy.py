"""A coroutine whose own CPU time is measured behaves as if it were awaited itself."""

from __future__ import annotations

import asyncio
from time import thread_time

import pytest

from movie_stream.agents.busy import Busy

WORK_S = 0.02


def work() -> None:
    until_s = thread_time() + WORK_S
    while thread_time() < until_s:
        pass


async def test_what_it_waits_for_and_other_tasks_do_not_count() -> None:
    ready = asyncio.Event()

    async def other() -> None:
        work()
        ready.set()

    async def measured() -> str:
        work()
        await ready.wait()
        work()
        return "done"

    busy = Busy(measured())
    task = asyncio.create_task(other())
    began_s = thread_time()
    assert await busy == "done"
    all_s = thread_time() - began_s
    await task
    assert 2 * WORK_S <= busy.busy_s <= all_s - WORK_S


async def test_errors_go_in_and_out() -> None:
    seen = list[str]()

    async def failing() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise ValueError("of its own") from None

    task = asyncio.create_task(_awaiting(Busy(failing())))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(ValueError, match="of its own"):
        await task
    assert seen == ["cancelled"]


async def test_it_may_catch_a_cancellation_and_go_on() -> None:
    async def stubborn() -> str:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            await asyncio.sleep(0)
        return "went on"

    task = asyncio.create_task(_awaiting(Busy(stubborn())))
    await asyncio.sleep(0)
    task.cancel()
    assert await task == "went on"


async def _awaiting(busy: Busy[object]) -> object:
    return await busy
