"""A temporary folder for a measurement, removed even after Ctrl-C at any time."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new empty folder, removed with its content at the end. For the main thread only, like signal handlers."""
    with ExitStack() as stack:
        with _held_back():
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="movie-stream-bench-"))
        try:
            yield Path(made)
        finally:
            with _held_back():
                stack.close()


@contextmanager
def _held_back() -> Iterator[None]:
    """Delays Ctrl-C and SIGTERM to the end of the block, so that none interrupts between creating and registering.

    Blocking the signals in this thread is not enough: if another thread receives one, its handler still runs in this
    thread.
    """
    before: dict[int, Any] = {}
    received: list[int] = []
    holds = True

    def note(number: int, frame: FrameType | None) -> None:
        if holds:
            received.append(number)
        elif callable(before[number]):  # the block has ended, and this handler is not replaced yet
            before[number](number, frame)

    try:
        for number in _ENDING:
            before[number] = signal.getsignal(number)
            signal.signal(number, note)
        yield
    finally:
        holds = False
        for replaced, handler in before.items():
            signal.signal(replaced, handler)
        for late in received:
            signal.raise_signal(late)
