"""How a command that runs for a while is told to stop."""

from __future__ import annotations

import asyncio
import signal


def cancelled_by(*signals: signal.Signals) -> list[signal.Signals]:
    """Has this task cancelled by the first of the signals that comes; more of them would only disturb the ending.

    The list that it returns is empty until then, and has that signal from then on.
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
