"""Queries of one result: filter, order and limit of its documents. `read.page` runs them; this module does no I/O.

The result's entry in RESULTS decides what can be queried: times select windows by their start, a genre is matched by
its slug, and every figure can be sorted by.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from movie_stream.aggregates import results
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.shape import RANK, Shape
from movie_stream.errors import UsageError
from movie_stream.events.event import slug_of

Filter = dict[str, Any]
Direction = Literal[1, -1]
Order = tuple[tuple[str, Direction], ...]
"""Fields to sort by, the most important first."""
Position = tuple[Any, ...]
"""The position of a document in an order: its values of the sort fields."""

UP: Final[Direction] = 1
DOWN: Final[Direction] = -1
SHORT_NAMES: Final[Mapping[str, str]] = {
    "windows": "movies_aggregates",
    "genres": "category_stats",
    "hours": "hourly_metrics",
    "days": "daily_stats",
    "quality": "data_quality",
}
"""Aliases of results."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST: Final = datetime.max - _MILLISECOND
_MOST: Final = 2**62
"""More documents than can exist; half the largest number of MongoDB."""


@dataclass(frozen=True, slots=True)
class Query:
    """A query of a result's documents; `check` validates it.

    >>> query = Query(result_named("daily_stats"), 10, genre="Film  Noir", since=datetime(2024, 10, 31, tzinfo=UTC))
    >>> query.filter()
    {'slug': 'film noir', 'timestamp': {'$gte': datetime.datetime(2024, 10, 31, 0, 0, tzinfo=datetime.timezone.utc)}}
    >>> query.sort
    (('timestamp', -1), ('daily_views', -1), ('_id', 1))
    """

    result: Result
    limit: int
    """The most documents, at least 1."""
    genre: str | None = None
    """Only this genre, in any spelling."""
    since: datetime | None = None
    """The earliest start of windows, inclusive; aware."""
    until: datetime | None = None
    """The latest start of windows, exclusive; aware."""
    order: Order = ()
    """The sort fields. Default: newest first, within a window most views first, then by `_id`."""
    after: Position | None = None
    """Only documents after this position: the next page in the same order."""
    flat: bool = False
    """Whether to query the flat view of a result with a list, for rows instead of documents."""

    @property
    def shape(self) -> Shape:
        """The layout of the documents."""
        return Shape.of(self.result)

    @property
    def collection(self) -> str:
        """The collection or view to query."""
        return f"{self.result.collection}_flat" if self.flat else self.result.collection

    @property
    def sort(self) -> Order:
        """The total order: no two documents compare equal."""
        shape = self.shape
        order = self.order
        if not order:
            fields = (shape.start, shape.views if self.result.by else None)
            order = (*((field, DOWN) for field in fields if field), *(((RANK, UP),) if self.flat else ()))
        unique = {"_id"} | ({shape.start} if shape.one_a_window and not self.flat else set())
        return order if unique & {field for field, _ in order} else (*order, ("_id", UP))

    @property
    def fields(self) -> dict[str, int]:
        """The projection: the fields of the result, without `_rev` and `_run`."""
        names = [column.name for column in self.shape.flat_row] if self.flat else self.result.fields
        return dict.fromkeys(("_id", *names), 1)

    @property
    def sortable(self) -> tuple[str, ...]:
        """The fields that `order` may name."""
        columns = self.shape.flat_row if self.flat else self.shape.fields
        return ("_id", *(column.name for column in columns))

    def filter(self) -> Filter:
        """The query as a MongoDB filter."""
        wanted: Filter = {} if self.genre is None else {"slug": slug_of(self.genre)}
        start, sort = self.shape.start, self.sort
        times = {} if start is None else {"$gte": _rounded_up(self.since), "$lt": _rounded_up(self.until)}
        if self.after is not None:
            if sort[0][0] == start:  # implied by `after_filter`, but in a form that uses an index
                _narrow(times, sort[0][1], self.after[0])
            wanted["$or"] = after_filter(sort, self.after)
        if bounds := {operator: time for operator, time in times.items() if time is not None}:
            wanted[str(start)] = bounds
        return wanted

    def position_of(self, document: Mapping[str, Any]) -> Position:
        """The position of the document, which is the `after` of the next page."""
        return tuple(document.get(field) for field, _ in self.sort)

    @property
    def limit_plus_one(self) -> int:
        """The limit plus one, to detect a next page; capped to what MongoDB accepts."""
        return min(self.limit, _MOST) + 1


def result_named(name: str, argument: str = "result", *besides: str) -> Result:
    """The result of this collection or short name; dashes are read as underscores.

    >>> result_named("hours").collection, result_named("top-movies").collection
    ('hourly_metrics', 'top_movies')

    Raises UsageError for another name; its message also lists the names in `besides`.
    """
    by_collection = {result.collection: result for result in results.RESULTS}
    collection = name.replace("-", "_")
    found = by_collection.get(SHORT_NAMES.get(collection, collection))
    if found is None:
        raise UsageError(argument=argument, expected=f"one of {', '.join([*names(), *besides])}", got=name)
    return found


def names() -> list[str]:
    """All names of results: collections, then short names."""
    return [*(result.collection for result in results.RESULTS), *SHORT_NAMES]


def check(query: Query, prefix: str = "") -> None:
    """Raises UsageError for an invalid query; `prefix` precedes argument names in its message: `--` for commands."""
    shape, result = query.shape, query.result
    if query.limit < 1:
        raise UsageError(argument=f"{prefix}limit", expected="a whole number from 1", got=str(query.limit))
    for name, time in (("since", query.since), ("until", query.until)):
        if time is not None:
            _check_time(time, query, prefix + name)
    if query.genre is not None:
        _check_genre(query.genre, result, f"{prefix}genre")
    if query.flat and not shape.entries:
        lists = ", ".join(other.collection for other in results.RESULTS if Shape.of(other).entries)
        raise UsageError(argument=f"{prefix}result", expected=f"one with a list ({lists})", got=result.collection)
    for field, _ in query.order:
        if field not in query.sortable:
            expected = f"one of {', '.join(sorted(query.sortable))}"
            raise UsageError(argument=f"{prefix}order", expected=expected, got=field)


def _check_time(time: datetime, query: Query, argument: str) -> None:
    if time.utcoffset() is None:
        raise UsageError(argument=argument, expected="a datetime with a time zone", got=time.isoformat())
    try:
        time.astimezone(UTC)
    except OverflowError as error:
        expected = "a time from the year 1 to 9999 in UTC"
        raise UsageError(argument=argument, expected=expected, got=time.isoformat()) from error
    if query.shape.start is None:
        windows = dict.fromkeys(other.window.name for other in results.RESULTS if Shape.of(other).start)
        expected = f"a result by {', '.join(windows)}"
        raise UsageError(argument=argument, expected=expected, got=query.result.collection)


def _check_genre(genre: str, result: Result, argument: str) -> None:
    if not result.by_genre:
        by_genre = ", ".join(other.collection for other in results.RESULTS if other.by_genre)
        raise UsageError(argument=argument, expected=f"a result by genre ({by_genre})", got=result.collection)
    if not genre.strip() or any("\ud800" <= char <= "\udfff" for char in genre):
        raise UsageError(argument=argument, expected="the name of a genre, in UTF-8", got=genre)


def _rounded_up(time: datetime | None) -> datetime | None:
    """Rounds up to a whole millisecond: MongoDB stores no smaller unit and would round down, before the given time.

    >>> _rounded_up(datetime(2024, 10, 31, 14, 0, 0, 1, tzinfo=UTC))
    datetime.datetime(2024, 10, 31, 14, 0, 0, 1000, tzinfo=datetime.timezone.utc)
    """
    if time is None or time.replace(tzinfo=None) > _LAST:
        return time
    excess = timedelta(microseconds=time.microsecond % 1_000)
    return time + (_MILLISECOND - excess) if excess else time


def _narrow(times: dict[str, Any], direction: Direction, start: datetime) -> None:
    """Excludes the windows before the one in which the last page ended."""
    if direction == DOWN:
        times["$lte"] = start
    elif times["$gte"] is None or times["$gte"] < start:
        times["$gte"] = start


def after_filter(sort: Order, position: Position) -> list[Filter]:
    """Filters, of which one matches documents after the position: equal in the first fields, after it in the next one.

    Null is the smallest value.
    """
    filters: list[Filter] = []
    equal: Filter = {}
    for (field, direction), value in zip(sort, position, strict=True):
        if direction == UP:
            filters.append({**equal, field: {"$ne": None} if value is None else {"$gt": value}})
        elif value is not None:
            filters += [{**equal, field: {"$lt": value}}, {**equal, field: None}]
        equal[field] = value
    return filters
