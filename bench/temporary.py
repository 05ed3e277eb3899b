"""A folder for as long as something is measured, of which nothing stays behind, whenever Ctrl-C comes."""

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
    """A new empty folder, gone at the end with all that is in it. For the main thread alone, as signals are."""
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
    """Ctrl-C and SIGTERM take effect at the end of the block: none is between a folder and who removes it.

    To block the signals in this thread is not enough: where another thread takes one, its handler runs in this all
    the same.
    """
    before: dict[int, Any] = {}
    came: list[int] = []
    holds = True

    def note(number: int, frame: FrameType | None) -> None:
        if holds:
            came.append(number)
        elif callable(before[number]):  # the block is over, and this handler not yet replaced
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
        for late in came:
            signal.raise_signal(late)
