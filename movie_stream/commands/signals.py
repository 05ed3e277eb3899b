"""Stops a long-running command on a signal."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


def cancelled_by(*signals: signal.Signals) -> list[signal.Signals]:
    """Cancels the current task on the first of the signals; later ones are ignored, so that the task can clean up.

    The returned list is empty until a signal arrives, and then holds that signal.
    """
    task = asyncio.current_task()
    assert task is not None
    received: list[signal.Signals] = []

    def cancel(number: signal.Signals) -> None:
        if not received:
            received.append(number)
            task.cancel()

    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, cancel, number)
    return received


@contextmanager
def raised_by_signals() -> Iterator[None]:
    """Makes Ctrl-C raise KeyboardInterrupt within this block, and SIGTERM SystemExit with its exit code.

    Later signals are ignored, so that the block can clean up. For commands that are not coroutines.
    """
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    heeded = [number for number, handler in before.items() if handler is not signal.SIG_IGN]

    def end(number: int, _frame: FrameType | None) -> None:
        for other in heeded:
            signal.signal(other, signal.SIG_IGN)
        if number == signal.SIGINT:
            raise KeyboardInterrupt
        sys.exit(128 + number)

    for number in heeded:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in heeded:
            signal.signal(number, before[number])
