"""The model of a BI tool: a table for each result, a table of days and one of genres, and their relationships. All of
it is derived from RESULTS.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

from movie_stream.aggregates.fields import Count, End, Rated, Revenue, Sessions, Sum
from movie_stream.aggregates.quality_figures import NewGenres, Partition, Records, Refused, Retitled, Without
from movie_stream.aggregates.results import DISPLAY_NAMES, RESULTS, Result
from movie_stream.aggregates.shape import Column as ShapeColumn
from movie_stream.aggregates.shape import Kind, Shape
from movie_stream.aggregates.window import ALL_TIME, DAY

FEED: Final = "http://localhost:8080/odata/"
"""The address of the OData feed of `movie-stream serve` by default."""
DATES: Final = "Date"
GENRES: Final = "Genre"
MEASURES: Final = "_Measures"
"""Not Measures, which Analysis Services reserves."""

Type = Literal["text", "int64", "double", "datetime", "date"]
"""A column's type."""
_TYPES: Final[dict[Kind, Type]] = {"time": "datetime", "count": "int64", "number": "double", "text": "text"}
_ADDITIVE: Final = (
    *(Count, Rated, Sum, Revenue, Sessions),
    *(Records, Refused, Without, NewGenres, Retitled),
)
"""Fields that are additive. Distinct users of two rows may be the same users, and an average of averages is wrong.
"""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table; `read` if it is a field of the feed, else it is computed when the table is loaded."""

    name: str
    type: Type
    read: bool = True
    additive: bool = False
    hidden: bool = False
    description: str = ""
    """What it means, where the result's field says it."""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, filled from one entity set of the feed."""

    name: str
    """Also the name of the entity set."""
    description: str
    columns: tuple[Column, ...]
    start: str | None
    """The field of the feed with the start of the window; None if there is one window for all time."""
    long: bool
    """Whether it has so many rows that only a range of them is loaded: windows shorter than a day."""

    def has(self, name: str) -> bool:
        """Whether there is such a column."""
        return any(column.name == name for column in self.columns)


@dataclass(frozen=True, slots=True)
class Relationship:
    """A many-to-one relationship of rows of `table` to the row of `to` with the same value."""

    table: str
    column: str
    to: str
    to_column: str


def tables_of(result: Result) -> list[Table]:
    """The tables of a result: its documents, the rows of its list, or both if the documents also have figures.

    >>> [column.name for column in tables_of(RESULTS[1])[0].columns]
    ['timestamp', 'rank', 'movie_id', ..., 'day', 'hour_of_day', 'slug']
    """
    shape = Shape.of(result)
    if not shape.entries or shape.is_list:
        return [_table(result, shape, shape.row, flat=shape.is_list)]
    # The figures of a document are kept out of the rows of its list, where they would be summed up repeatedly.
    rows = [column for column in shape.flat_row if not _is_figure(column, result)]
    return [_table(result, shape, shape.fields, flat=False), _table(result, shape, rows, flat=True)]


def _is_figure(column: ShapeColumn, result: Result) -> bool:
    """Whether a field of a document is a figure, not a dimension."""
    field = result.fields.get(column.name)
    return field is not None and column.kind in ("count", "number") and not isinstance(field, Partition)


def _table(result: Result, shape: Shape, of: Sequence[ShapeColumn], *, flat: bool) -> Table:
    fields = {**result.fields, **(result.top.columns if result.top else {})}
    by_day = result.window is DAY
    columns = [
        Column(
            column.name,
            _TYPES[column.kind],
            additive=isinstance(fields.get(column.name), _ADDITIVE),
            description=column.description.in_words,
        )
        for column in of
        if not isinstance(fields.get(column.name), End) and not (by_day and column.name in ("date", shape.start))
    ]
    if shape.start:
        columns.append(Column("day", "date", read=False))
    if shape.start and not by_day:
        columns.append(Column("hour_of_day", "int64", read=False))
    names = [column.name for column in columns]
    if "slug" in names:
        columns[names.index("slug")] = Column("slug", "text", hidden=True)
    elif "genre" in names:
        columns.append(Column("slug", "text", read=False, hidden=True))
    name = f"{result.collection}_flat" if flat else result.collection
    return Table(name, _row(result, shape, flat=flat), tuple(columns), shape.start, bool(shape.start) and not by_day)


def tables(results: Iterable[Result] = RESULTS) -> list[Table]:
    """The tables of the results, in their order."""
    return [table for result in results for table in tables_of(result)]


def relationships(of: Iterable[Table]) -> list[Relationship]:
    """The relationships of the tables: by day, and by genre in any spelling."""
    found = []
    for table in of:
        if table.has("day"):
            found.append(Relationship(table.name, "day", DATES, "Date"))
        if table.has("slug"):
            found.append(Relationship(table.name, "slug", GENRES, "slug"))
    return found


def source_of_days(results: Iterable[Result] = RESULTS) -> str:
    """The smallest entity set with a row for every day: by day alone, without a list."""
    return next(r.collection for r in results if r.window is DAY and not r.by and not Shape.of(r).entries)


def source_of_genres(results: Iterable[Result] = RESULTS) -> str:
    """The entity set with one row for every genre."""
    return next(r.collection for r in results if r.by_genre and r.window is ALL_TIME)


def _row(result: Result, shape: Shape, *, flat: bool) -> str:
    """A description of a table's row."""
    by = [DISPLAY_NAMES[result.by]] if result.by else []
    each = [name for name in [result.window.name, *by] if result.window is not ALL_TIME or name in by]
    which = f"each {' and '.join(each)}" if each else "all time"
    if not flat or shape.entries is None:
        return f"a row for {which}" + (", over all time" if result.window is ALL_TIME and each else "")
    most = result.fields[shape.entries].schema.get("maxItems")
    return f"{f'up to {most} rows' if most else 'rows'} of {shape.entries} for {which}"
