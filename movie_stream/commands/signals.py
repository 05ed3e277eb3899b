"""How a long-running command is stopped."""

from __future__ import annotations

import asyncio
import signal


def cancelled_by(*signals: signal.Signals) -> list[signal.Signals]:
    """Cancels this task on the first of the signals; later ones are ignored, so that the task can end in order.

    The returned list is empty until then, and then holds that signal.
    """
    task = asyncio.current_task()
    assert task is not None
    came: list[signal.Signals] = []

    def tell(number: signal.Signals) -> None:
        if not came:
            came.append(number)
            task.cancel()

    for number in signals:
        asyncio.get_running_loop().add_signal_handler(number, tell, number)
    return came
