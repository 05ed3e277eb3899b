"""Accepts records immediately and writes them in the background, in batches and in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Final

from movie_stream.kafka.produce.topic_writer import TopicWriter

MOST_WAITING: Final = 5_000
"""The most records that wait to be written; as many more may be in flight."""
LINGER_S: Final = 0.005
"""How long a record waits for others to share a batch."""


class WriteBehind:
    """A queue of records in front of a writer, made by `writing_behind`.

    Its methods raise the error of the writer, once there is one.
    """

    def __init__(self, writer: TopicWriter) -> None:
        self._writer = writer
        self._keys: list[bytes] = []
        self._values: list[bytes] = []
        self._flushes: list[asyncio.Future[None]] = []
        self._some, self._urgent, self._room = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._ended: BaseException | None = None

    async def put(self, key: bytes, value: bytes) -> None:
        """Accepts a record; waits while MOST_WAITING others wait (back-pressure). If cancelled, it is not accepted."""
        while len(self._keys) >= MOST_WAITING and not self._ended:
            self._urgent.set()
            self._room.clear()
            await self._room.wait()
        if self._ended:
            raise self._ended
        self._keys.append(key)
        self._values.append(value)
        self._some.set()

    async def flush(self) -> None:
        """Waits until all records accepted before are acknowledged."""
        if self._ended:
            raise self._ended
        flush = asyncio.get_running_loop().create_future()
        self._flushes.append(flush)
        self._some.set()
        self._urgent.set()
        await flush

    async def run(self) -> None:
        """Writes accepted records until it is cancelled or fails."""
        try:
            while True:
                await self._gathered()
                await self._write()
        except Exception as error:
            self._end(error)
        except BaseException:
            self._end(RuntimeError("nothing is accepted after the end of the `async with` block"))
            raise

    async def _gathered(self) -> None:
        """Waits for a record to write, and a short time for more."""
        await self._some.wait()
        try:
            async with asyncio.timeout(LINGER_S):
                await self._urgent.wait()
        except TimeoutError:
            return

    async def _write(self) -> None:
        keys, values, flushes = self._keys, self._values, len(self._flushes)
        self._keys, self._values = [], []
        self._some.clear()
        self._urgent.clear()
        self._room.set()
        if keys:
            await self._writer.write(keys, values)
        if flushes or not self._keys:
            await self._writer.finish()  # so that a loss is detected even if nothing more is put
        _resolve(self._flushes[:flushes])
        del self._flushes[:flushes]

    def _end(self, error: Exception) -> None:
        """Wakes all waiters with the error."""
        self._ended = error
        self._room.set()
        _resolve(self._flushes, error)


def _resolve(flushes: Iterable[asyncio.Future[None]], error: Exception | None = None) -> None:
    for flush in flushes:
        if flush.done():
            continue  # its waiter was cancelled
        if error is None:
            flush.set_result(None)
        else:
            flush.set_exception(error)


@asynccontextmanager
async def writing_behind(writer: TopicWriter) -> AsyncIterator[WriteBehind]:
    """A WriteBehind that runs within the block; records that are not flushed by its end are dropped."""
    behind = WriteBehind(writer)
    run = asyncio.create_task(behind.run())
    try:
        yield behind
    finally:
        run.cancel()
        await asyncio.wait([run])
