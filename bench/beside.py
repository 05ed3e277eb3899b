"""Runs work in a thread during a measurement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Runs `work` in a thread of this name during the block; the event passed to it is set when the block ends.

    An exception of the work is raised at the end of the block.
    """
    over, failures = threading.Event(), list[Exception]()

    def run() -> None:
        try:
            work(over)
        except Exception as error:  # reraised below, in the thread that waits
            failures.append(error)

    thread = threading.Thread(target=run, name=name)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise failures[0]
