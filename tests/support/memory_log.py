"""A partition of a topic as a list in memory: what a table needs of Kafka, and the faults that Kafka has."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Sequence
from typing import Any, TypeVar

from movie_stream.tables.log import LogTruncated

T = TypeVar("T")
Turn = Callable[[], Awaitable[None]]


async def at_once() -> None:
    """No other has a turn in between."""


class MemoryLog:
    """Records by offset, of which the oldest may be deleted. See tables.log.Log.

    `turn` is awaited wherever Kafka would be waited for: before and after each record.
    """

    def __init__(self, turn: Turn = at_once) -> None:
        self._records: list[bytes | None] = []
        self.start = 0
        self.in_flight: list[bytes] = []
        """Records whose senders were killed before the acknowledgement, and which may arrive all the same."""
        self.turn = turn

    @property
    def end(self) -> int:
        return len(self._records)

    def put(self, value: bytes | None) -> int:
        """Appends a record immediately; its offset."""
        self._records.append(value)
        return self.end - 1

    def get(self, start: int, end: int) -> list[bytes | None]:
        """The records from `start` to before `end`. Raises LogTruncated."""
        if start < self.start:
            raise LogTruncated(f"cut at {self.start}, asked for {start}")
        return self._records[start:end]

    def put_back(self, start: int, end: int) -> None:
        """Has what it had when it began and ended there."""
        self.start = start
        del self._records[end:]

    async def append(self, values: Sequence[bytes]) -> list[int]:
        offsets = []
        for value in values:
            try:
                await self.turn()
            except BaseException:
                self.in_flight.append(value)
                raise
            offsets.append(self.put(value))
        await self.turn()
        return offsets

    async def read(self, start: int | None, until: int | None) -> AsyncIterator[tuple[int, bytes | None]]:
        at = self.start if start is None else start
        end = self.end if until is None else until
        while at < end:
            value = self.get(at, at + 1)[0]
            yield at, value
            at += 1
            await self.turn()

    async def oldest(self) -> int:
        return self.start

    async def delete_before(self, offset: int) -> None:
        await self.turn()
        self.start = max(self.start, min(offset, self.end))


class _Turn:
    """Gives the turn away once."""

    def __await__(self) -> Generator[None]:
        yield


async def one_turn() -> None:
    """What a log awaits whose users are driven by hand."""
    await _Turn()


class Driven:
    """A coroutine that a scheduler runs step by step: each step ends where it waits.

    >>> async def two_turns():
    ...     await one_turn()
    ...     await one_turn()
    ...     return 7
    >>> driven = Driven(two_turns())
    >>> driven.step(), driven.step(), driven.step(), driven.result
    (True, True, False, 7)
    """

    def __init__(self, coroutine: Any) -> None:
        self._coroutine = coroutine
        self.result: Any = None

    def step(self) -> bool:
        """Goes on to the next turn; False if it returned. Raises what the coroutine raises."""
        try:
            self._coroutine.send(None)
        except StopIteration as end:
            self.result = end.value
            return False
        return True

    def kill(self) -> None:
        """It never continues."""
        self._coroutine.close()


def run(coroutine: Any) -> Any:
    """Drives a coroutine to its end; its result."""
    driven = Driven(coroutine)
    while driven.step():
        pass
    return driven.result
