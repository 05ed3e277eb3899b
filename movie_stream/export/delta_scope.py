"""Ranges of rows of a Delta Lake table as SQL conditions, and the table's partitioning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from movie_stream.aggregates.shape import Shape
from movie_stream.events.event import slug_of
from movie_stream.export.columns import ID, Column, Row

DAY_COLUMN: Final = "window_day"
"""The column that tables are partitioned by: the day of the window's start, in UTC."""
SLICE_ROWS: Final = 50_000
"""The rows to merge, and hold in memory, at a time; a single window with more is merged as a whole."""
Position = datetime | str
"""The start of a window; an `_id` for a result without time."""


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows from a position, inclusive, to another, of one genre or all."""

    start: Position | None = None
    end: Position | None = None
    genre: str | None = None

    def condition(self, shape: Shape, day: str | None) -> str:
        """The scope in SQL; with the `day` column, which allows partition pruning.

        >>> from movie_stream.aggregates.results import RESULTS
        >>> print(Scope("a", None, "Rock 'n' Roll").condition(Shape.of(RESULTS[4]), None))
        "_id" >= 'a' AND "slug" = 'rock ''n'' roll'
        """
        found = []
        for operator, bound in ((">=", self.start), ("<", self.end)):
            if bound is not None:
                found.append(f"{quoted(shape.start or ID)} {operator} {literal(bound)}")
                if day and isinstance(bound, datetime):
                    found.append(f"{quoted(day)} {operator[0]}= {literal(bound.date())}")
        if self.genre is not None:
            found.append(f'"slug" = {literal(slug_of(self.genre))}')
        return " AND ".join(found) or "true"


@dataclass(frozen=True, slots=True)
class Slice:
    """All rows of a scope, and the number of documents that they are from."""

    rows: list[Row]
    documents: int
    scope: Scope


def slices(documents: Iterable[Row], shape: Shape, whole: Scope, most: int = SLICE_ROWS) -> Iterator[Slice]:
    """Splits the documents of a scope, given in the order of their positions, into slices that cover all of it.

    A slice has fewer than `most` rows, not counting those of its last position.
    """
    key = shape.start or ID
    rows: list[Row] = []
    count, start, last = 0, whole.start, None
    for document in documents:
        position = document[key]
        if len(rows) >= most and position != last:
            yield Slice(rows, count, Scope(start, position, whole.genre))
            rows, count, start = [], 0, position
        rows += shape.rows(document)
        count, last = count + 1, position
    yield Slice(rows, count, Scope(start, whole.end, whole.genre))


def day_column(columns: Sequence[Column]) -> str:
    """The name of the column with the day; changed if the result has a column of this name.

    >>> day_column([Column("window_day", "text")])
    'window_day_'
    """
    name = DAY_COLUMN
    while name in {column.name for column in columns}:
        name += "_"
    return name


def quoted(name: str) -> str:
    """A name in SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: datetime | date | str) -> str:
    """A value in SQL.

    >>> literal("rock 'n' roll"), literal(date(2024, 10, 31))
    ("'rock ''n'' roll'", "'2024-10-31'")
    """
    text = value if isinstance(value, str) else value.isoformat()
    return "'" + text.replace("'", "''") + "'"
