"""The rows of an export: `_id` and the fields of Shape.row, with their kinds, and none of MongoDB's internal fields."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from movie_stream.aggregates import shape as shapes
from movie_stream.aggregates.fields import Date
from movie_stream.aggregates.shape import Shape
from movie_stream.errors import MovieStreamError
from movie_stream.mongo.query import Query

Row = Mapping[str, Any]
Rows = Sequence[Row]
Kind = shapes.Kind | Literal["day"]
"""The kinds of a column. A day is text in MongoDB, and a date in formats that have dates."""
ID: Final = "_id"
ROWS_AT_ONCE: Final = 5_000
"""The most rows in memory, unless a single document has more."""


class UnsupportedValue(MovieStreamError):
    """A stored value does not have the kind of its field in RESULTS, so that a typed format cannot hold it.

    What to do: correct or delete the document that is named.

    >>> str(UnsupportedValue(id="hourly_x", field="total_views", kind="count", got="many"))[:59]
    "_id 'hourly_x', total_views: expected a count, got 'many' ("
    """

    def __init__(self, *, id: object, field: str, kind: str, got: object) -> None:  # noqa: A002
        super().__init__(
            f"_id {id!r}, {field}: expected a {kind}, got {got!r} ({type(got).__name__}), which no worker writes; "
            "correct or delete the document, and ensure its validator with: movie-stream init"
        )


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row."""

    name: str
    kind: Kind


class Entries(Shape):
    """A result with figures and a list, exported as in its flat view: one row per entry of the list."""

    __slots__ = ()

    @property
    def is_list(self) -> bool:
        """Always true: the rows are the entries."""
        return True


def shape_of(query: Query) -> Shape:
    """The shape of the rows exported for a query; for a flat view, that of the entries."""
    shape = query.shape
    return Entries(*(getattr(shape, field.name) for field in fields(Shape))) if query.flat else shape


def name_of(shape: Shape) -> str:
    """The name of a table of these rows: that of the collection, or of the flat view."""
    return f"{shape.result.collection}_flat" if isinstance(shape, Entries) else shape.result.collection


def columns_of(shape: Shape) -> tuple[Column, ...]:
    """The columns of a result's rows, `_id` first.

    >>> from movie_stream.aggregates.results import RESULTS
    >>> [f"{column.name}: {column.kind}" for column in columns_of(Shape.of(RESULTS[-2]))]
    ['_id: text', 'date: day', 'timestamp: time', 'rank: count', 'user_id: text', 'watch_count: count', ...]
    """
    days = {name for name, field in shape.result.fields.items() if isinstance(field, Date)}
    row = (Column(column.name, "day" if column.name in days else column.kind) for column in shape.row)
    return (Column(ID, "text"), *row)


def rows_of(shape: Shape, documents: Iterable[Row]) -> Iterator[Row]:
    """The rows of these documents; each entry of a list is a row of its own, as in the flat view."""
    for document in documents:
        yield from shape.rows(document)


def documents_at_once(shape: Shape) -> int:
    """The number of documents that amount to at most ROWS_AT_ONCE rows.

    >>> from movie_stream.aggregates.results import RESULTS
    >>> documents_at_once(Shape.of(RESULTS[0])), documents_at_once(Shape.of(RESULTS[2]))
    (5000, 50)
    """
    if shape.entries is None or not shape.is_list:
        return ROWS_AT_ONCE
    longest = int(shape.result.fields[shape.entries].schema.get("maxItems", ROWS_AT_ONCE))
    return max(1, ROWS_AT_ONCE // max(1, longest))
