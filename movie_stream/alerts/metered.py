"""How much of the event loop's time a coroutine takes by itself: what it waits for others does not count."""

from __future__ import annotations

import types
from collections.abc import Callable, Coroutine, Generator
from time import thread_time
from typing import Any, TypeVar

Result = TypeVar("Result")


class Meter:
    """Adds up what coroutines take that are run by it, in seconds of this thread's CPU."""

    def __init__(self, clock: Callable[[], float] = thread_time) -> None:
        self._clock = clock
        self.s = 0.0

    @types.coroutine
    def run(self, work: Coroutine[Any, Any, Result]) -> Generator[Any, Any, Result]:
        """What the coroutine returns or raises."""
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
            except BaseException as thrown:  # as when it is cancelled: the coroutine's own to deal with
                error = thrown
