"""Runs work alongside processes, and ends it when one of them ends."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Coroutine
from typing import Any, Final

_CANCEL_AGAIN_S: Final = 2.0
_CAUSE_WITHIN_S: Final = 0.5
"""After a failure, the process whose end is the cause is detected within this time."""


async def run_until_first(work: Coroutine[Any, Any, None], *others: Coroutine[Any, Any, Any]) -> None:
    """Runs the work. The others end only by failing, which is then the cause of other failures."""
    tasks = [asyncio.create_task(coroutine) for coroutine in (*others, work)]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if not tasks[-1].done() or tasks[-1].exception():
            await asyncio.wait(tasks, timeout=_CAUSE_WITHIN_S)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        await _cancelled(tasks)


async def _cancelled(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancels the tasks until they have ended; before Python 3.12 `asyncio.wait_for` may lose a cancellation."""
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        _, pending = await asyncio.wait(pending, timeout=_CANCEL_AGAIN_S)
    await asyncio.gather(*tasks, return_exceptions=True)
