"""What a row of an export holds: `_id` and the fields of Shape.row, with their kinds, and nothing of MongoDB's own."""

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
"""A day is text in MongoDB, and a date where a format has dates."""
ID: Final = "_id"
ROWS_AT_ONCE: Final = 5_000
"""How many rows are in memory at a time, unless a single document has more."""


class ValueOdd(MovieStreamError):
    """A stored value is not of the kind that its field has by RESULTS, so that a typed format cannot hold it.

    What to do: correct or delete the document that is named.

    >>> str(ValueOdd(id="hourly_x", field="total_views", kind="count", got="many"))[:59]
    "_id 'hourly_x', total_views: expected a count, got 'many' ("
    """

    def __init__(self, *, id: object, field: str, kind: str, got: object) -> None:  # noqa: A002
        super().__init__(
            f"_id {id!r}, {field}: expected a {kind}, got {got!r} ({type(got).__name__}), which no worker writes; "
            "correct or delete the document, and see that its validator is there: movie-stream init"
        )


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row."""

    name: str
    kind: Kind


class Entries(Shape):
    """A result with figures and a list, of which the entries are meant: rows as those of its flat view."""

    __slots__ = ()

    @property
    def is_list(self) -> bool:
        """Always: what is exported are the entries."""
        return True


def shape_of(query: Query) -> Shape:
    """What the rows of an export of these documents look like: of a flat view, the entries."""
    shape = query.shape
    return Entries(*(getattr(shape, field.name) for field in fields(Shape))) if query.flat else shape


def name_of(shape: Shape) -> str:
    """What a table of these rows is called: as the collection, or the flat view."""
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
    """The rows of these documents: a list's entries are rows of their own, as in the flat view."""
    for document in documents:
        yield from shape.rows(document)


def documents_at_once(shape: Shape) -> int:
    """How many documents amount to ROWS_AT_ONCE rows at most.

    >>> from movie_stream.aggregates.results import RESULTS
    >>> documents_at_once(Shape.of(RESULTS[0])), documents_at_once(Shape.of(RESULTS[2]))
    (5000, 50)
    """
    if shape.entries is None or not shape.is_list:
        return ROWS_AT_ONCE
    longest = int(shape.result.fields[shape.entries].schema.get("maxItems", ROWS_AT_ONCE))
    return max(1, ROWS_AT_ONCE // max(1, longest))
