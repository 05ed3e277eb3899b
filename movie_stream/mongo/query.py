"""A question about one result: which of its documents, in which order, and how many. Nothing in here asks MongoDB.

What may be asked follows from the result's entry in RESULTS: times choose windows by their start, a genre is found by
its slug, any figure can be sorted by. `read.page` answers.
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
"""Where a document stands: its values of the fields of the order."""

UP: Final[Direction] = 1
DOWN: Final[Direction] = -1
SHORT_NAMES: Final[Mapping[str, str]] = {
    "windows": "movies_aggregates",
    "genres": "category_stats",
    "hours": "hourly_metrics",
    "days": "daily_stats",
}
"""Other names that a result goes by."""
_MILLISECOND: Final = timedelta(milliseconds=1)
_LAST: Final = datetime.max - _MILLISECOND
_MOST: Final = 2**62
"""More documents than there can be; MongoDB's numbers end at twice that."""


@dataclass(frozen=True, slots=True)
class Query:
    """Documents of a result. `check` says whether it can be meant.

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
    """Of this genre, however it is written."""
    since: datetime | None = None
    """Of windows that start then or later; aware."""
    until: datetime | None = None
    """Of windows that start before; aware."""
    order: Order = ()
    """Empty: the newest first, of one time those with most views, and then by `_id`."""
    after: Position | None = None
    """Only what stands behind this position: the next page of the same order."""
    flat: bool = False
    """Rows instead of documents: those of the flat view, which a result with a list has."""

    @property
    def shape(self) -> Shape:
        """What the documents look like."""
        return Shape.of(self.result)

    @property
    def collection(self) -> str:
        """The collection, or the view, that is asked."""
        return f"{self.result.collection}_flat" if self.flat else self.result.collection

    @property
    def sort(self) -> Order:
        """The whole order: no two documents compare equal."""
        shape = self.shape
        order = self.order
        if not order:
            fields = (shape.start, shape.views if self.result.by else None)
            order = (*((field, DOWN) for field in fields if field), *(((RANK, UP),) if self.flat else ()))
        unique = {"_id"} | ({shape.start} if shape.one_a_window and not self.flat else set())
        return order if unique & {field for field, _ in order} else (*order, ("_id", UP))

    @property
    def fields(self) -> dict[str, int]:
        """The fields to ask for: those of the result, without `_rev` and `_run`."""
        names = [column.name for column in self.shape.row] if self.flat else self.result.fields
        return dict.fromkeys(("_id", *names), 1)

    @property
    def sortable(self) -> tuple[str, ...]:
        """The fields that `order` may name."""
        columns = self.shape.row if self.flat else self.shape.fields
        return ("_id", *(column.name for column in columns))

    def filter(self) -> Filter:
        """Which documents, as MongoDB is asked for them."""
        wanted: Filter = {} if self.genre is None else {"slug": slug_of(self.genre)}
        start, sort = self.shape.start, self.sort
        times = {} if start is None else {"$gte": _rounded_up(self.since), "$lt": _rounded_up(self.until)}
        if self.after is not None:
            if sort[0][0] == start:  # in other words what behind says, in those that an index serves
                _narrow(times, sort[0][1], self.after[0])
            wanted["$or"] = behind(sort, self.after)
        if bounds := {operator: time for operator, time in times.items() if time is not None}:
            wanted[str(start)] = bounds
        return wanted

    def position_of(self, document: Mapping[str, Any]) -> Position:
        """Where the document stands: `after` it comes the next page."""
        return tuple(document.get(field) for field, _ in self.sort)

    @property
    def one_more(self) -> int:
        """The limit, and one more document that tells whether there are more; as large as MongoDB takes it."""
        return min(self.limit, _MOST) + 1


def result_named(name: str, argument: str = "result", *besides: str) -> Result:
    """The result with this collection, or short name; dashes are underscores.

    >>> result_named("hours").collection, result_named("top-movies").collection
    ('hourly_metrics', 'top_movies')

    Raises UsageError for another name; what may be given `besides` stands in it too.
    """
    there = {result.collection: result for result in results.RESULTS}
    collection = name.replace("-", "_")
    found = there.get(SHORT_NAMES.get(collection, collection))
    if found is None:
        raise UsageError(argument=argument, expected=f"one of {', '.join([*names(), *besides])}", got=name)
    return found


def names() -> list[str]:
    """All names that results go by, the collections' first."""
    return [*(result.collection for result in results.RESULTS), *SHORT_NAMES]


def check(query: Query, prefix: str = "") -> None:
    """Raises UsageError for what cannot be meant; `prefix` stands before an argument's name: `--` for commands."""
    shape, result = query.shape, query.result
    if query.limit < 1:
        raise UsageError(argument=f"{prefix}limit", expected="a whole number from 1", got=str(query.limit))
    for name, time in (("since", query.since), ("until", query.until)):
        if time is not None:
            _check_time(time, query, prefix + name)
    if query.genre is not None:
        _check_genre(query.genre, result, f"{prefix}genre")
    if query.flat and not shape.entries:
        those = ", ".join(other.collection for other in results.RESULTS if Shape.of(other).entries)
        raise UsageError(argument=f"{prefix}result", expected=f"one with a list ({those})", got=result.collection)
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
        those = ", ".join(other.collection for other in results.RESULTS if other.by_genre)
        raise UsageError(argument=argument, expected=f"a result by genre ({those})", got=result.collection)
    if not genre.strip() or any("\ud800" <= char <= "\udfff" for char in genre):
        raise UsageError(argument=argument, expected="the name of a genre, in UTF-8", got=genre)


def _rounded_up(time: datetime | None) -> datetime | None:
    """To a whole millisecond, since MongoDB knows no smaller part and would round down, before the time that is meant.

    >>> _rounded_up(datetime(2024, 10, 31, 14, 0, 0, 1, tzinfo=UTC))
    datetime.datetime(2024, 10, 31, 14, 0, 0, 1000, tzinfo=datetime.timezone.utc)
    """
    if time is None or time.replace(tzinfo=None) > _LAST:
        return time
    over = timedelta(microseconds=time.microsecond % 1_000)
    return time + (_MILLISECOND - over) if over else time


def _narrow(times: dict[str, Any], direction: Direction, start: datetime) -> None:
    """Leaves out the windows before the one that the last page ended in."""
    if direction == DOWN:
        times["$lte"] = start
    elif times["$gte"] is None or times["$gte"] < start:
        times["$gte"] = start


def behind(sort: Order, position: Position) -> list[Filter]:
    """What stands behind the position: like it in the first fields, and behind it in the next. Null is the smallest."""
    found: list[Filter] = []
    like: Filter = {}
    for (field, direction), value in zip(sort, position, strict=True):
        if direction == UP:
            found.append({**like, field: {"$ne": None} if value is None else {"$gt": value}})
        elif value is not None:
            found += [{**like, field: {"$lt": value}}, {**like, field: None}]
        like[field] = value
    return found
