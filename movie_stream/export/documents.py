"""The queries of an export: the number of documents, the ranges that they are in, and all of them, page by page.

No change of a document affects the order, which is the window's start and then `_id`. So while workers write, each
document that existed at the beginning is read exactly once, in its state when its page is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import Any, Final, TypeVar

from pymongo.errors import ExecutionTimeout, PyMongoError

from movie_stream.export.bookkeeping import Mark
from movie_stream.export.columns import Row, UnsupportedValue, documents_at_once, shape_of
from movie_stream.export.ranges import PATTERNS, By
from movie_stream.mongo import read
from movie_stream.mongo.client import Database, explain
from movie_stream.mongo.query import UP, Query
from movie_stream.mongo.read import LIMIT_MS, QueryTooSlow

T = TypeVar("T")
ALL: Final = "all"
"""The one range of a result without time."""
_RANGES_LIMIT_MS: Final = 600_000
"""The longest time for the query of the ranges, which reads the revision of every document."""


class Documents:
    """Queries a database, in an event loop that runs only during a query: the caller may be interrupted anywhere.

    Every method raises the errors of MongoDB as ours, and QueryTooSlow.
    """

    def __init__(self, runner: asyncio.Runner, db: Database) -> None:
        self._runner, self._db = runner, db

    @property
    def database(self) -> str:
        """The name of the database."""
        return self._db.name

    def require_mongodb(self) -> None:
        """Checks that MongoDB answers, before anything is created elsewhere."""

        async def pinged() -> None:
            await self._db.command("ping")

        self._asked(pinged)

    def count(self, query: Query) -> int | None:
        """The number of documents; None if counting takes MongoDB too long."""
        collection = self._db[query.result.collection]

        async def counted() -> int | None:
            try:
                return int(await collection.count_documents(query.filter(), maxTimeMS=LIMIT_MS))
            except ExecutionTimeout:
                return None

        return self._asked(counted)

    def rows(self, query: Query) -> int | None:
        """The number of rows; None if counting takes MongoDB too long."""
        shape = shape_of(query)
        if not shape.is_list:
            return self.count(query)
        length = {"$cond": [{"$isArray": f"${shape.entries}"}, {"$size": f"${shape.entries}"}, 0]}
        pipeline = [{"$match": query.filter()}, {"$group": {"_id": None, "rows": {"$sum": length}}}]

        async def counted() -> int | None:
            try:
                found = await self._db[query.result.collection].aggregate(pipeline, maxTimeMS=LIMIT_MS).to_list(1)
            except ExecutionTimeout:
                return None
            return int(found[0]["rows"]) if found else 0

        return self._asked(counted)

    def pages(self, query: Query) -> Iterator[list[Row]]:
        """All documents, a page at a time; ignores the query's limit and order."""
        shape = shape_of(query)
        order = (((shape.start or "_id"), UP),)
        asked: Query | None = replace(query, flat=False, order=order, limit=documents_at_once(shape))
        while asked is not None:
            page = self._page(asked)
            if page.documents:
                yield list(page.documents)
            asked = None if page.next is None else replace(asked, after=page.next)

    def ranges(self, query: Query, by: By) -> dict[str, Mark]:
        """The ranges with documents, in order, each with its mark; a result without time has one range."""
        start = query.shape.start
        label: Any = {"$dateToString": {"date": f"${start}", "format": PATTERNS[by]}} if start else ALL
        pipeline = [
            {"$match": query.filter()},
            {
                "$group": {
                    "_id": label,
                    "documents": {"$sum": 1},
                    "revisions": {"$sum": {"$sum": "$_rev"}},
                    "first_run": {"$min": "$_run"},
                    "last_run": {"$max": "$_run"},
                }
            },
            {"$sort": {"_id": 1}},
        ]

        async def grouped() -> list[Any]:
            cursor = self._db[query.result.collection].aggregate(pipeline, maxTimeMS=_RANGES_LIMIT_MS)
            found: list[Any] = await cursor.to_list(None)
            return found

        try:
            found = self._asked(grouped)
        except ExecutionTimeout as error:
            raise QueryTooSlow(collection=query.result.collection, limit_ms=_RANGES_LIMIT_MS) from error
        for group in found:
            if group["_id"] is None:
                raise UnsupportedValue(id="of some documents", field=str(start), kind="time", got=None)
        return {
            group["_id"]: Mark(
                group["documents"], int(group["revisions"]), int(group["first_run"] or 0), int(group["last_run"] or 0)
            )
            for group in found
        }

    def _page(self, query: Query) -> read.Page:
        return self._asked(lambda: read.page(self._db, query))

    def _asked(self, question: Callable[[], Awaitable[T]]) -> T:
        async def answer() -> T:
            return await question()

        try:
            return self._runner.run(answer())
        except ExecutionTimeout:
            raise
        except PyMongoError as error:
            raise explain(error, self._db) from error
