"""One feed of changes for all readers of a server: it asks MongoDB once for all of them, and nothing while there is
none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from time import monotonic
from typing import Final, Self

import pymongo
from pymongo.errors import PyMongoError

from movie_stream.aggregates import results
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.shape import Shape
from movie_stream.errors import MovieStreamError
from movie_stream.mongo.alerts import ALERTS
from movie_stream.mongo.client import Database, explain
from movie_stream.mongo.workers import WORKERS
from movie_stream.web.coalesced import Event, Ledger, Reading, Status
from movie_stream.web.sources import (
    ANSWER_WITHIN_S,
    ChangeStream,
    NoChangeStreams,
    Polling,
    Seen,
    Source,
    has_change_streams,
)

logger = logging.getLogger(__name__)

READERS_AT_MOST: Final = 500
"""Readers at one time."""
IDLE_AFTER_S: Final = 10.0
"""How long changes are followed without a reader: one that has lost its connection comes back soon."""
RETRY_AT_FIRST_S: Final = 0.25
RETRY_AT_MOST_S: Final = 5.0


class TooManyReaders(MovieStreamError):
    """There are READERS_AT_MOST already.

    What to do: close a reader, or try again later.

    >>> print(TooManyReaders())
    500 readers follow the changes already; close one, or try again later
    """

    def __init__(self) -> None:
        super().__init__(f"{READERS_AT_MOST} readers follow the changes already; close one, or try again later")


class Feed:
    """What changes in the results, for any number of readers."""

    def __init__(self, db: Database, changed: Callable[[], None] | None = None) -> None:
        """`changed` is called where something may have changed, before the readers are told."""
        self._db, self._changed = db, changed
        self._finest = _finest()
        self._ledger = Ledger([*(result.collection for result in results.RESULTS), WORKERS, ALERTS])
        self._source: Source | None = None
        self._status = Status(None, None)
        self._readers = 0
        self._retry_s = RETRY_AT_FIRST_S
        self._wanted = asyncio.Event()
        self._moved = asyncio.Event()
        self._ended = False
        self.at_rest = asyncio.Event()
        """Set while MongoDB is asked for nothing, since nobody reads."""

    @property
    def readers(self) -> int:
        """How many there are."""
        return self._readers

    @property
    def is_full(self) -> bool:
        """Whether there can be no reader more."""
        return self._readers >= READERS_AT_MOST

    async def run(self) -> None:
        """Follows the changes while somebody reads, until it is cancelled. A MongoDB that is away is logged once, and
        asked again.
        """
        try:
            while True:
                if not self._wanted.is_set():
                    self.at_rest.set()
                    await self._wanted.wait()
                    self.at_rest.clear()
                try:
                    await self._follow()
                except Exception as error:
                    self._fail(error)
                    await asyncio.sleep(self._retry_s)
                    self._retry_s = min(2 * self._retry_s, RETRY_AT_MOST_S)
                if not self._readers:
                    await self._rest()
        finally:
            self.end()
            if self._source is not None:
                await self._source.pause()

    def end(self) -> None:
        """All readers come to their end, and nobody can read any more; at once."""
        self._ended = True
        self._move()

    @asynccontextmanager
    async def subscribe(self, last_event_id: str | None = None, detail: bool = False) -> AsyncIterator[Reader]:
        """A reader, for as long as the block runs: an iterator of what it is told.

        Raises TooManyReaders.
        """
        if self.is_full:
            raise TooManyReaders
        self._readers += 1
        self._wanted.set()
        try:
            yield Reader(self, Reading(last_event_id or None, detail))
        finally:
            self._readers -= 1

    async def next_event(self, reading: Reading, within_s: float | None = None) -> Event | None:
        """The next event of a reader; None where there is none so soon. Raises StopAsyncIteration at the end."""
        deadline_s = None if within_s is None else monotonic() + within_s
        while not self._ended:
            now_s = monotonic()
            moved = self._moved
            due = reading.due(self._ledger, self._status, now_s)
            if isinstance(due, Event):
                return due
            left_s = None if deadline_s is None else deadline_s - now_s
            if left_s is not None and left_s <= 0:
                return None
            try:
                async with asyncio.timeout(min((wait for wait in (due, left_s) if wait is not None), default=None)):
                    await moved.wait()
            except TimeoutError:
                continue
        raise StopAsyncIteration

    async def _follow(self) -> None:
        """Follows the changes as long as somebody reads, and a little longer."""
        source = await self._found()
        read_at_s, ready = monotonic(), False
        while self._readers or monotonic() - read_at_s < IDLE_AFTER_S:
            try:
                seen = await source.seen()
            except NoChangeStreams as error:
                logger.warning("no change stream, asks MongoDB again and again instead: %s", error)
                source = self._turn_to(Polling(self._db, self._ledger.collections))
                continue
            stream_time = self._ledger.stream_time
            try:
                if not ready or seen.lost or self._finest.collection in seen.writes:
                    stream_time = await self._newest_end()
            finally:  # where that fails, too: the source tells it once
                self._note(seen, stream_time, or_more=not ready)
            if not ready:
                self._say(Status(source.name, "up"))
            elif seen.lost or seen.writes:
                self._move()
            ready, self._retry_s = True, RETRY_AT_FIRST_S
            if self._readers:
                read_at_s = monotonic()

    def _note(self, seen: Seen, stream_time: datetime | None, *, or_more: bool) -> None:
        """Notes what has changed, in one go: where it awaited something, a reader could be told of a change, ask for
        the results, and be given an answer of before it.
        """
        if self._changed is not None and (or_more or seen.lost or seen.writes):
            self._changed()
        if seen.lost:
            self._ledger.invalidate()
        self._ledger.add(seen.writes, seen.documents)
        self._ledger.stream_time = stream_time

    async def _rest(self) -> None:
        """Nobody reads: MongoDB is asked for nothing until somebody does."""
        self._wanted.clear()
        self._say(Status(self._status.source, None))
        if self._source is not None:
            await self._source.pause()

    async def _found(self) -> Source:
        """The source, which goes on where it was unless MongoDB is another kind of thing now."""
        streams = await has_change_streams(self._db)
        if self._source is None or (isinstance(self._source, ChangeStream) and not streams):
            kind = ChangeStream if streams else Polling
            return self._turn_to(kind(self._db, self._ledger.collections))
        return self._source

    def _turn_to(self, source: Source) -> Source:
        if self._source is not None:
            self._ledger.invalidate()
        self._source, self._ledger.names_documents = source, source.names_documents
        return source

    async def _newest_end(self) -> datetime | None:
        """The end of the newest window of the finest result, by its index."""
        shape = Shape.of(self._finest)
        start, length_ms = str(shape.start), self._finest.window.length_ms or 0
        with pymongo.timeout(ANSWER_WITHIN_S):
            found = await self._db[self._finest.collection].find_one({}, {start: 1}, sort=[(start, -1)])
        begins = None if found is None else found.get(start)
        return begins + timedelta(milliseconds=length_ms) if isinstance(begins, datetime) else None

    def _fail(self, error: Exception) -> None:
        """Tells the readers, and the log where it is new. What is a bug must not leave them without a word either."""
        if not isinstance(error, PyMongoError | MovieStreamError):
            logger.error("this is a bug in movie-stream", exc_info=error)
        elif self._status.mongodb != "down":
            said = explain(error, self._db) if isinstance(error, PyMongoError) else error
            logger.warning("changes cannot be followed, tries again: %s", said)
        self._say(Status(self._status.source, "down"))

    def _say(self, status: Status) -> None:
        if status != self._status:
            self._status = status
            self._move()

    def _move(self) -> None:
        """Wakes all readers."""
        self._moved.set()
        self._moved = asyncio.Event()


class Reader:
    """One reader: its events as they come, without an end until the feed has one."""

    def __init__(self, feed: Feed, reading: Reading) -> None:
        self._feed, self._reading = feed, reading

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        event = await self._feed.next_event(self._reading)
        assert event is not None, "it was waited for without a limit"
        return event

    async def next(self, within_s: float) -> Event | None:
        """The next event; None where there is none so soon. Raises StopAsyncIteration at the end."""
        return await self._feed.next_event(self._reading, within_s)


def _finest() -> Result:
    """The result with the shortest windows, whose newest one says how far the stream is."""
    return min(
        (result for result in results.RESULTS if Shape.of(result).start and result.window.length_ms),
        key=lambda result: result.window.length_ms or 0,
    )
