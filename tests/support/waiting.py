"""Waiting for a condition, with a deadline."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from tests.support.whole_path import PATIENCE_S


def until(
    holds: Callable[[], bool],
    log: Path,
    process: subprocess.Popen[bytes] | None = None,
    within_s: float = PATIENCE_S,
) -> None:
    """Waits for a condition, as long as the process lives that has to bring it about; a failure shows the log's end."""
    deadline = time.monotonic() + within_s
    while not holds():
        if process is not None:
            assert process.poll() is None, f"ended with {process.returncode}: {log.read_text()[-2000:]}"
        assert time.monotonic() < deadline, log.read_text()[-2000:]
        time.sleep(0.02)


async def comes_true(holds: Callable[[], bool]) -> None:
    """Waits for a condition, while the event loop runs."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():  # noqa: ASYNC110  (what it waits for has no event)
            await asyncio.sleep(0.01)
