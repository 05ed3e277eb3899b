"""What is shown of a result follows from its entry: fields with their kinds, rows, and the types that Python gets."""

from __future__ import annotations

from datetime import datetime
from types import NoneType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from movie_stream.aggregates.fields import Date, TopUsers
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.shape import Column, Shape
from movie_stream.aggregates.window import DAY
from movie_stream.mongo import read

NAMED = {result.collection: result for result in RESULTS}
TYPES: dict[str, Any] = {
    "movies_aggregates": read.MinuteWindow,
    "top_movies": read.TopMovies,
    "category_stats": read.GenreStats,
    "active_users": read.ActiveUsers,
    "hourly_metrics": read.Hour,
    "daily_stats": read.GenreDay,
    "top_users": read.TopUsers,
}


def kind_of(hint: Any) -> str:
    [plain] = set(get_args(hint) or (hint,)) - {NoneType}
    return {datetime: "time", int: "count", float: "number", str: "text"}[plain]


def columns(hints: dict[str, Any]) -> set[Column]:
    return {Column(name, kind_of(hint)) for name, hint in hints.items() if get_origin(hint) is not list}  # type: ignore[arg-type]


@pytest.mark.parametrize("collection", TYPES)
def test_the_typed_dictionaries_have_what_is_declared(collection: str) -> None:
    shape, hints = Shape.of(NAMED[collection]), get_type_hints(TYPES[collection])
    assert columns(hints) == {Column("_id", "text"), *shape.fields}
    lists = {name: get_args(hint)[0] for name, hint in hints.items() if get_origin(hint) is list}
    assert list(lists) == [shape.entries] * bool(shape.entries)
    for entry in lists.values():
        assert columns(get_type_hints(entry)) == set(shape.entry)


def test_where_a_window_starts_and_what_counts() -> None:
    assert {name: (Shape.of(of).start, Shape.of(of).views) for name, of in NAMED.items() if name in TYPES} == {
        "movies_aggregates": ("window_start", "total_views"),
        "top_movies": ("timestamp", None),
        "category_stats": (None, "total_views"),
        "active_users": ("timestamp", None),
        "hourly_metrics": ("timestamp", "total_views"),
        "daily_stats": ("timestamp", "daily_views"),
        "top_users": ("timestamp", None),
    }


def test_a_document_without_a_list_is_one_row_and_lacks_nothing() -> None:
    shape = Shape.of(NAMED["hourly_metrics"])
    [row] = shape.rows({"_id": "hourly_x", "timestamp": 1, "total_views": 2, "_rev": [1]})
    assert list(row) == ["_id", *(column.name for column in shape.row)]
    assert (row["_id"], row["total_views"], row["avg_rating"]) == ("hourly_x", 2, None)


def test_an_empty_list_is_no_row() -> None:
    shape = Shape.of(NAMED["top_users"])
    assert list(shape.rows({"_id": "a", "top_users": []})) == []
    assert list(shape.rows({"_id": "a"})) == []


def test_two_lists_have_no_rows() -> None:
    result = Result("mine", DAY, fields={"date": Date(), "one": TopUsers(10), "two": TopUsers(3)})
    with pytest.raises(ValueError, match="mine: a document can have one list, not one, two"):
        Shape.of(result)
