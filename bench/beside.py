"""Work in a thread, beside a measurement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def beside(name: str, work: Callable[[threading.Event], None]) -> Iterator[None]:
    """Works for the time of the block, in a thread of this name, until the event that the work is given is set.

    Raises at the end of the block what the work has raised.
    """
    over, failures = threading.Event(), list[Exception]()

    def run() -> None:
        try:
            work(over)
        except Exception as error:  # raised again below, in the thread that waits
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
