"""What a row of an export holds: `_id` and the fields of Shape.row, with their kinds, and nothing of MongoDB's own."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from movie_stream.aggregates.shape import Column, Shape
from movie_stream.errors import MovieStreamError

Row = Mapping[str, Any]
Rows = Sequence[Row]
ID: Final = "_id"
ROWS_AT_ONCE: Final = 5_000
"""How many rows are in memory at a time, unless a single document has more."""


class ValueOdd(MovieStreamError):
    """A stored value is not of the kind that its field has by RESULTS, so that a typed format cannot hold it.

    >>> str(ValueOdd(id="hourly_x", field="total_views", kind="count", got="many"))[:59]
    "_id 'hourly_x', total_views: expected a count, got 'many' ("
    """

    def __init__(self, *, id: object, field: str, kind: str, got: object) -> None:  # noqa: A002
        super().__init__(
            f"_id {id!r}, {field}: expected a {kind}, got {got!r} ({type(got).__name__}), which no worker writes; "
            "correct or delete the document, and see that its validator is there: movie-stream init"
        )


def columns_of(shape: Shape) -> tuple[Column, ...]:
    """The columns of a result's rows, `_id` first.

    >>> from movie_stream.aggregates.results import RESULTS
    >>> [f"{column.name}: {column.kind}" for column in columns_of(Shape.of(RESULTS[-2]))]
    ['_id: text', 'date: text', 'timestamp: time', 'rank: count', 'user_id: text', 'watch_count: count', ...]
    """
    return (Column(ID, "text"), *shape.row)


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
