"""Asks MongoDB, within bounds: so many queries at once, each for so long, and none twice at the same moment.

While MongoDB is away one request at a time tries it, and the others are told so at once: they would all wait for as
long, and hold what the next ones need.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Sized
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeVar, cast

from pymongo.errors import ExecutionTimeout, PyMongoError

from movie_stream.errors import MongoUnreachable, MovieStreamError
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Histogram
from movie_stream.mongo.client import Database, address_of, explain
from movie_stream.mongo.failures import kind_of
from movie_stream.mongo.read import Page, QueryTooSlow
from movie_stream.web.problems import later

T = TypeVar("T")

LIMIT_MS: Final = 5_000
"""How long MongoDB may work on one query."""
_ANSWER_WITHIN_S: Final = LIMIT_MS / 1_000 + 1
"""How long a query may take with all that lies between: longer than MongoDB may work on it, unless it hangs."""
PATIENCE_MS: Final = {"serverSelectionTimeoutMS": 2_000, "connectTimeoutMS": 2_000, "socketTimeoutMS": LIMIT_MS + 2_000}
"""How long the driver waits for a server, and for its answer, where MONGODB_URI asks for no less."""
_AT_ONCE: Final = 8
"""Queries at the same time; the driver has about as many threads."""
_WAITING: Final = 256
"""Requests that may wait for one of them; the next ones are sent away."""
_AGAIN_WITHIN_S: Final = 0.2
"""For how long an answer is given to others who ask the same, unless something changes before."""
_MOST_ANSWERS: Final = 500
"""Answers that are kept meanwhile."""
_MOST_ROWS: Final = 50_000
"""Rows that they have together, those of lists included: some 30 MB. A larger answer is given and not kept."""


@dataclass(frozen=True, slots=True)
class _Answer:
    value: Any
    rows: int
    until_s: float
    """By the monotonic clock."""
    end: asyncio.TimerHandle


class Asker:
    """All queries of one server go through here."""

    def __init__(self, db: Database) -> None:
        self.db = db
        self.changes = 0
        """How often something was told to have changed."""
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._waiting = 0
        self._away: MongoUnreachable | None = None
        self._probing = False
        self._asked: dict[Hashable, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        """All that are asked, also those that nobody may join any more."""
        self._answers: dict[Hashable, _Answer] = {}
        self._rows = 0
        self.took: defaultdict[str, Histogram] = defaultdict(lambda: Histogram(catalogue.QUERY.buckets))
        """How long queries took that were answered, by what was asked."""
        self.errors = Counter[str]()
        """How many were not, by kind of the error."""

    async def once(self, key: Hashable, ask: Callable[[], Awaitable[T]], *, keep: bool = True) -> T:
        """What `ask` answers, or is being asked by somebody with the same key, or has just answered to one.

        Without `keep` the answer is shared only while it is asked. Raises what `ask` raises; an error is not kept.
        """
        kept = self._answers.get(key)
        if kept is not None and time.monotonic() <= kept.until_s:
            return cast(T, kept.value)
        task = self._asked.get(key)
        if task is None:
            task = asyncio.ensure_future(_awaited(ask))
            self._asked[key] = task
            self._tasks.add(task)
            task.add_done_callback(partial(self._answered, key, time.monotonic() + _AGAIN_WITHIN_S, keep))
        return cast(T, await asyncio.shield(task))

    def invalidate(self) -> None:
        """Something has changed: who asks now is not given what was asked before."""
        self.changes += 1
        self._asked.clear()
        for key in list(self._answers):
            self._drop(key)

    async def end(self) -> None:
        """Ends what is still asked."""
        asked = list(self._tasks)
        self.invalidate()
        for task in asked:
            task.cancel()
        await asyncio.gather(*asked, return_exceptions=True)

    def _answered(self, key: Hashable, until_s: float, keep: bool, task: asyncio.Task[Any]) -> None:
        """Keeps the answer for as long as it is given to others, which the clock ends and no reader has to."""
        self._tasks.discard(task)
        failed = _failed(task)  # looked at first: one that fails after everybody has gone is nobody's any more
        if self._asked.get(key) is not task:
            return  # something has changed since it was asked
        del self._asked[key]
        left_s = until_s - time.monotonic()
        if failed or not keep or left_s <= 0:
            return
        self._drop(key)
        rows = _rows_of(task.result())
        end = asyncio.get_running_loop().call_later(left_s, self._drop, key)
        self._answers[key] = _Answer(task.result(), rows, until_s, end)
        self._rows += rows
        while len(self._answers) > _MOST_ANSWERS or self._rows > _MOST_ROWS:
            self._drop(next(iter(self._answers)))

    def _drop(self, key: Hashable) -> None:
        dropped = self._answers.pop(key, None)
        if dropped is not None:
            dropped.end.cancel()
            self._rows -= dropped.rows

    @asynccontextmanager
    async def asking(self, what: str) -> AsyncIterator[Database]:
        """The database, for one query of `what`.

        Raises MongoUnreachable, MongoRefused, MongoFailed, QueryTooSlow, and a Problem where too many ask at once.
        """
        self._refuse_while_away()
        if self._waiting >= _WAITING:
            raise later("too many requests wait for MongoDB at once; ask again in a moment")
        self._waiting += 1
        try:
            await self._places.acquire()
        finally:
            self._waiting -= 1
        try:
            self._refuse_while_away()
            began = time.monotonic()
            try:
                async with self._told(what):
                    yield self.db
            except MovieStreamError as error:
                self.errors[kind_of(error)] += 1
                raise
            self.took[what].observe(time.monotonic() - began)
        finally:
            self._places.release()

    def _refuse_while_away(self) -> None:
        """Raises at once what somebody else has just been told, while one request tries whether that is still so."""
        if self._away is not None and self._probing:
            raise self._away.with_traceback(None)

    @asynccontextmanager
    async def _told(self, what: str) -> AsyncIterator[None]:
        """Raises the driver's errors as ours, and remembers whether MongoDB is there."""
        probing = self._away is not None
        self._probing = self._probing or probing
        try:
            async with asyncio.timeout(_ANSWER_WITHIN_S):
                yield
            self._away = None
        except TimeoutError as error:
            cause = f"it has not answered within {_ANSWER_WITHIN_S:g} s"
            self._away = MongoUnreachable(uri=address_of(self.db), cause=cause)
            raise self._away from error
        except ExecutionTimeout as error:
            self._away = None
            raise QueryTooSlow(collection=what, limit_ms=LIMIT_MS) from error
        except PyMongoError as error:
            meant = explain(error, self.db)
            if isinstance(meant, MongoUnreachable):
                self._away = meant
            raise meant from error
        finally:
            if probing:
                self._probing = False

    async def aggregate(self, collection: str, pipeline: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
        """The documents that a pipeline makes of a collection, so many at most."""
        async with self.asking(collection) as db:
            cursor = db[collection].aggregate([*pipeline, {"$limit": most}], maxTimeMS=LIMIT_MS)
            found: list[dict[str, Any]] = await cursor.to_list(most)
        return found

    async def find(
        self,
        collection: str,
        wanted: dict[str, Any],
        fields: list[str],
        sort: list[tuple[str, int]],
        most: int,
    ) -> list[dict[str, Any]]:
        """These fields of the documents that are wanted, in order, so many at most."""
        projection: dict[str, Any] = {"_id": 0, **dict.fromkeys(fields, 1)}
        async with self.asking(collection) as db:
            cursor = db[collection].find(wanted, projection).sort(sort).limit(most).max_time_ms(LIMIT_MS)
            found: list[dict[str, Any]] = await cursor.to_list(most)
        return found


async def _awaited(ask: Callable[[], Awaitable[T]]) -> T:
    return await ask()


def _failed(task: asyncio.Task[Any]) -> bool:
    return task.cancelled() or task.exception() is not None


def _rows_of(answer: Any) -> int:
    """The rows that an answer holds: of documents with lists, those of the lists too.

    >>> _rows_of(Page([{"_id": "a", "films": [1, 2]}], None)), _rows_of({1: ["a", "b"], 2: []}), _rows_of(None)
    (3, 4, 1)
    """
    match answer:
        case Page():
            lists = (value for document in answer.documents for value in document.values() if isinstance(value, list))
            return len(answer.documents) + sum(map(len, lists))
        case dict():
            return len(answer) + sum(len(value) for value in answer.values() if isinstance(value, Sized))
        case list():
            return len(answer)
        case _:
            return 1
