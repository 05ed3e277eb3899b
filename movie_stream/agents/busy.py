"""How long a coroutine itself keeps the event loop busy."""

from __future__ import annotations

from collections.abc import Coroutine, Generator
from functools import partial
from time import thread_time
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class Busy(Generic[T]):
    """Awaits a coroutine, once. `busy_s` is the CPU time that it took so far, without what it waited for, and without
    other tasks.
    """

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self.busy_s = 0.0

    def __await__(self) -> Generator[Any, Any, T]:
        step = partial(self._coroutine.send, None)
        while True:
            began_s = thread_time()
            try:
                waited_for = step()
            except StopIteration as ended:
                value: T = ended.value
                return value
            finally:
                self.busy_s += thread_time() - began_s
            try:
                step = partial(self._coroutine.send, (yield waited_for))
            except BaseException as error:  # which the coroutine may handle
                step = partial(self._coroutine.throw, error)
