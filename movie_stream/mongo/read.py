"""Runs queries: documents as stored, without `_rev` and `_run`. Read only.

Functions do not translate the driver's errors: use them within `client.opened`.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo.errors import ExecutionTimeout

from movie_stream.errors import MovieStreamError
from movie_stream.mongo.client import Database
from movie_stream.mongo.query import DOWN, Filter, Position, Query, check, result_named

LIMIT_MS: Final = 20_000
"""The default time limit of one query in MongoDB."""


@dataclass(frozen=True, slots=True)
class Page:
    """One page of the documents of a query, in its order."""

    documents: list[dict[str, Any]]
    next: Position | None
    """The value of `Query.after` for the next page; None if there are no more documents."""


class QueryTooSlow(MovieStreamError):
    """MongoDB did not answer a query in time.

    What to do: ask for fewer documents or a shorter time; `movie-stream init` makes indexes that are missing.

    >>> print(QueryTooSlow(collection="movies_aggregates"))
    MongoDB has not answered a query of movies_aggregates within 20 s; ask for fewer documents, or for less time, and \
see that the indexes are there: movie-stream init
    """

    def __init__(self, *, collection: str, limit_ms: int = LIMIT_MS) -> None:
        super().__init__(
            f"MongoDB has not answered a query of {collection} within {limit_ms / 1_000:g} s; ask for fewer documents, "
            "or for less time, and see that the indexes are there: movie-stream init"
        )


async def page(db: Database, query: Query, limit_ms: int = LIMIT_MS) -> Page:
    """The documents of the query; `limit_ms` is MongoDB's time limit.

    Raises UsageError for an invalid query, and QueryTooSlow.
    """
    check(query)
    try:
        found = await _found(db, query, limit_ms)
    except ExecutionTimeout as error:
        raise QueryTooSlow(collection=query.collection, limit_ms=limit_ms) from error
    documents, more = found[: query.limit], found[query.limit :]
    return Page(documents, query.position_of(documents[-1]) if more else None)


async def newest(
    db: Database,
    result: str,
    limit: int,
    *,
    genre: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> list[Any]:
    """The first documents of the result of this name. Raises what `page` raises."""
    return (await page(db, Query(result_named(result), limit, genre, since, until))).documents


async def total_views(db: Database) -> int:
    """The number of views counted: the sum over all genres."""
    pipeline = [{"$group": {"_id": None, "views": {"$sum": "$total_views"}}}]
    found = await db["category_stats"].aggregate(pipeline, maxTimeMS=LIMIT_MS).to_list(1)
    return int(found[0]["views"]) if found else 0


async def _found(db: Database, query: Query, limit_ms: int) -> list[dict[str, Any]]:
    """The documents of the query, plus one if there are more."""
    wanted = await _bounded(db, query, limit_ms)
    cursor = db[query.collection].find(wanted, query.fields).sort(list(query.sort)).limit(query.limit_plus_one)
    found: list[dict[str, Any]] = await cursor.max_time_ms(limit_ms).to_list(query.limit_plus_one)
    return found


async def _bounded(db: Database, query: Query, limit_ms: int) -> Filter:
    """The query's filter, without windows beyond the limit.

    Only the start of windows is indexed. With further sort fields MongoDB would sort all documents, so the start of the
    last document of the page is looked up first, and the windows beyond it are excluded. For a flat view this look-up
    uses its collection, in which every document with an entry yields at least one row.
    """
    wanted = query.filter()
    (first, direction), *others = query.sort
    if not others or first != query.shape.start:
        return wanted
    where = {first: wanted[first]} if query.flat and first in wanted else {} if query.flat else wanted
    with_entries = {f"{query.shape.entries}.0": {"$exists": True}} if query.flat else {}
    cursor = db[query.result.collection].find({**where, **with_entries}, {"_id": 0, first: 1}).sort(first, direction)
    # A page of rows may begin after the last row of its first document.
    before = query.limit_plus_one - (not query.flat)
    last = await cursor.skip(before).limit(1).max_time_ms(limit_ms).to_list(1)
    if not last:
        return wanted
    return {"$and": [wanted, {first: {"$gte" if direction == DOWN else "$lte": last[0][first]}}]}
