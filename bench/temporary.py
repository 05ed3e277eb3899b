"""A folder for as long as something is measured, which stays nowhere, whenever Ctrl-C comes."""

from __future__ import annotations

import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final

_ENDING: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """A new empty folder, gone at the end with all that is in it."""
    with ExitStack() as stack:
        with _held_back():
            made = stack.enter_context(tempfile.TemporaryDirectory(prefix="movie-stream-bench-"))
        yield Path(made)


@contextmanager
def _held_back() -> Iterator[None]:
    """Ctrl-C and SIGTERM take effect at the end of the block: none is between a folder and who removes it.

    To block the signals in this thread is not enough: where another thread takes one, its handler runs in this all
    the same.
    """
    came: list[int] = []
    before = {number: signal.signal(number, lambda late, _: came.append(late)) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        for late in came:
            signal.raise_signal(late)
