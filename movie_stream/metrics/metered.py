"""Measures the time that a coroutine runs in the event loop, without the time that it waits."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from time import thread_time
from typing import Any, TypeVar

Result = TypeVar("Result")


class Meter:
    """Sums the CPU time of this thread that coroutines take, in seconds."""

    def __init__(self, clock: Callable[[], float] = thread_time) -> None:
        self._clock = clock
        self.s = 0.0

    @types.coroutine
    def run(self, work: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """Runs a coroutine; returns or raises what it does."""
        error: BaseException | None = None
        while True:
            began_s = self._clock()
            try:
                awaited = work.send(None) if error is None else work.throw(error)
            except StopIteration as done:
                result: Result = done.value
                return result
            finally:
                self.s += self._clock() - began_s
            try:
                error = None
                yield awaited
            except BaseException as thrown:  # such as a cancellation, which the coroutine has to handle
                error = thrown
