"""The answer of `show` for a result: its documents, and tables whose columns follow from its entry in RESULTS."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from movie_stream.aggregates import shape as shapes
from movie_stream.aggregates.fields import Date, PeakHour, Slug
from movie_stream.aggregates.results import DISPLAY_NAMES, Result
from movie_stream.aggregates.shape import RANK, Shape
from movie_stream.aggregates.window import ALL_TIME, DAY, Window
from movie_stream.commands.show import table as show_table
from movie_stream.commands.show.answer import Answer, Column, Table
from movie_stream.mongo import read
from movie_stream.mongo.client import Database
from movie_stream.mongo.query import Query

MOST: Final = 100_000
"""The largest limit, since all that is shown is held in memory."""
_LIMIT: Final = 24
"""The default limit of documents: a day of hours."""
_REDUNDANT: Final = (Slug, Date)
"""Fields without a column, since another column has the same information."""
_MINUTE_FORMAT: Final = "%Y-%m-%d %H:%M"
_DAY_FORMAT: Final = "%Y-%m-%d"
_QUALIFIER: Final = re.compile(r"^(?:total|unique|avg|daily)_(?:daily_)?")
_HEADINGS: Final[Mapping[str, str]] = {
    RANK: "#",
    "movies": "films",
    "movie_id": "film",
    "user_id": "user",
    "rated_views": "rated",
    "max_rating": "best",
    "min_rating": "worst",
    "duration": "minutes",
    "watch_time": "minutes",
    "session_duration": "minutes a session",
    "watch_count": "views",
    "new_users": "new",
    "returning_users": "returning",
    "partition": "part.",
    "without_rating": "no rating",
    "without_duration": "no minutes",
    "without_price": "no price",
    "new_genres": "new genres",
    "delay_s": "delay (s)",
    "max_delay_s": "longest",
}
"""Headings of fields, without qualifiers, that are shorter or clearer than their names."""


def limit_of(result: Result) -> int:
    """The default limit: one for lists (the newest), and all of a single list."""
    shape = Shape.of(result)
    if not shape.is_list:
        return _LIMIT
    return 1 if shape.start else MOST


async def answer(db: Database, timezone: str, query: Query) -> Answer:
    """The answer of MongoDB. The query's limit is one of documents, or of entries in a single list."""
    page, shape = await read.page(db, query), query.shape
    documents, more = page.documents, page.next is not None
    if shape.is_list and query.result.window is ALL_TIME:
        more = more or any(len(shape.list_of(document)) > query.limit for document in documents)
        documents = [{**document, str(shape.entries): shape.list_of(document)[: query.limit]} for document in documents]
    rows = [row for document in documents for row in shape.rows(document)]
    peak = any(isinstance(field, PeakHour) for field in query.result.fields.values())
    return Answer(
        documents,
        ["_id", *(column.name for column in shape.row)],
        rows,
        _tables(shape, documents, rows),
        [f"Peak hour in {timezone}"] * peak,
        _more(shape, query.limit) if more else "",
        "" if documents else await _nothing(db, query),
    )


def _more(shape: Shape, limit: int) -> str:
    """The remark that there is more, and how to get it.

    >>> from movie_stream.mongo.query import result_named
    >>> _more(Shape.of(result_named("genres")), 24), _more(Shape.of(result_named("top_users")), 2)
    ('24 shown, there are more; see --limit', '2 days shown, there are more; see --limit')
    """
    unit = f" {shape.result.window.name}{'s' * (limit > 1)}" if shape.is_list and shape.start else ""
    return f"{limit:,}{unit} shown, there are more; see " + ("--limit" if limit < MOST else "--until")


def _tables(shape: Shape, documents: Sequence[Mapping[str, Any]], rows: Sequence[Mapping[str, Any]]) -> list[Table]:
    """One table, or one for each list."""
    if shape.is_list:
        columns = [_column(column, shape) for column in shape.row[len(shape.fields) :]]
        return [Table(_title_of_list(shape, document), columns, list(shape.rows(document))) for document in documents]
    columns = [_column(column, shape) for column in shape.fields if _is_shown(column, shape)]
    columns.sort(key=lambda column: column.field != shape.start)
    return [Table(_title(shape), columns, rows)] if rows else []


def _is_shown(column: shapes.Column, shape: Shape) -> bool:
    """Whether a table has this column; the only time in a table of documents is the window's start."""
    if column.kind == "time":
        return column.name == shape.start
    return not isinstance(shape.result.fields[column.name], _REDUNDANT)


def _column(column: shapes.Column, shape: Shape) -> Column:
    if column.name == shape.start:
        window = shape.result.window
        return Column(window.name, column.name, show_table.time(_format(window)), "left")
    name = _QUALIFIER.sub("", column.name)
    heading = _HEADINGS.get(name, name.replace("_", " "))
    match column.kind:
        case "time":
            return Column(heading, column.name, show_table.time(_MINUTE_FORMAT), "left")
        case "text":
            return Column(heading, column.name, show_table.text, "left", least=show_table.LEAST)
        case "count":
            return Column(heading, column.name, show_table.count)
        case "number":
            return Column(heading, column.name, show_table.number)


def _title(shape: Shape) -> str:
    """The title: the name of the rows, and their order.

    >>> from movie_stream.mongo.query import result_named
    >>> _title(Shape.of(result_named("windows"))), _title(Shape.of(result_named("genres")))
    ('movies_aggregates by minute and genre, newest first (UTC)', 'category_stats by genre, most views first')
    """
    by = [shape.result.window.name] * bool(shape.start) + ([DISPLAY_NAMES[shape.result.by]] if shape.result.by else [])
    order = "newest first (UTC)" if shape.start else "most views first" if shape.views else ""
    return ", ".join(filter(None, [" by ".join(filter(None, [shape.result.collection, " and ".join(by)])), order]))


def _title_of_list(shape: Shape, document: Mapping[str, Any]) -> str:
    if shape.start:
        return f"{shape.result.collection} of the {_window(shape, document)} UTC"
    newest = [document.get(column.name) for column in shape.fields if column.kind == "time"]
    return shape.result.collection + "".join(f", up to {show_table.time(_MINUTE_FORMAT)(time)} UTC" for time in newest)


def _window(shape: Shape, document: Mapping[str, Any]) -> str:
    """The window of a document, such as "day 2024-10-31"."""
    window = shape.result.window
    return f"{window.name} {show_table.time(_format(window))(document.get(str(shape.start)))}"


def _format(window: Window) -> str:
    return _DAY_FORMAT if window is DAY else _MINUTE_FORMAT


async def _nothing(db: Database, query: Query) -> str:
    """The reason why there is nothing, and the remedy."""
    name, shape = query.result.collection, query.shape
    chosen = _in_words(query)
    newest = await read.newest(db, name, 1) if chosen else []
    if newest:
        lines = [f"{name} in {db.name} has nothing{chosen}."]
        if shape.start:
            lines.append(f"The newest is of the {_window(shape, newest[0])} UTC.")
        if query.genre is not None:
            lines.append("Which genres there are: movie-stream show genres")
        return "\n".join(lines)
    if name not in await db.list_collection_names(filter={"name": name}, maxTimeMS=read.LIMIT_MS):
        return f"{db.name} has no collection {name} yet.\nMake it with: movie-stream init"
    return (
        f"Nothing in {name} of {db.name} yet.\n"
        "Send views with: movie-stream produce, and count them with: movie-stream worker"
    )


def _in_words(query: Query) -> str:
    """The conditions of a query as text.

    >>> from movie_stream.mongo.query import result_named
    >>> _in_words(Query(result_named("days"), 1, genre="Drama", until=datetime(2024, 10, 31, tzinfo=UTC)))
    " of the genre 'Drama' that starts before 2024-10-31 00:00 UTC"
    """
    genre = f" of the genre {query.genre!r}" if query.genre is not None else ""
    bounds = [f"at {_minute(query.since)} or later"] if query.since else []
    bounds += [f"before {_minute(query.until)}"] if query.until else []
    return genre + (f" that starts {' and '.join(bounds)}" if bounds else "")


def _minute(time: datetime) -> str:
    """A time to the minute, in UTC.

    >>> _minute(datetime(2024, 10, 31, 14, tzinfo=UTC))
    '2024-10-31 14:00 UTC'
    """
    return time.astimezone(UTC).isoformat(" ", "minutes")[:16] + " UTC"
