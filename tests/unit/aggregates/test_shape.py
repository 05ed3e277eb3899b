"""The output of a result follows from its entry: fields with their kinds, and rows."""

from __future__ import annotations

import pytest

from movie_stream.aggregates.fields import Date, TopUsers
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.shape import Shape
from movie_stream.aggregates.window import DAY

NAMED = {result.collection: result for result in RESULTS}


def test_where_a_window_starts_and_what_counts() -> None:
    assert {name: (Shape.of(of).start, Shape.of(of).views) for name, of in NAMED.items()} == {
        "movies_aggregates": ("window_start", "total_views"),
        "top_movies": ("timestamp", None),
        "category_stats": (None, "total_views"),
        "active_users": ("timestamp", None),
        "hourly_metrics": ("timestamp", "total_views"),
        "daily_stats": ("timestamp", "daily_views"),
        "top_movies_daily": ("timestamp", None),
        "top_movies_all_time": (None, None),
        "top_users": ("timestamp", None),
        "data_quality": ("timestamp", "views"),
    }


def test_a_document_without_a_list_is_one_row_and_lacks_nothing() -> None:
    shape = Shape.of(NAMED["hourly_metrics"])
    [row] = shape.rows({"_id": "hourly_x", "timestamp": 1, "total_views": 2, "_rev": [1]})
    assert list(row) == ["_id", *(column.name for column in shape.row)]
    assert (row["_id"], row["total_views"], row["avg_rating"]) == ("hourly_x", 2, None)


def test_figures_beside_a_list_are_a_row_whatever_the_list_holds() -> None:
    shape = Shape.of(NAMED["data_quality"])
    assert (shape.is_list, shape.entries, shape.row) == (False, "refused", shape.fields)
    [row] = shape.rows({"_id": "a", "records": 3, "refused": []})
    assert (row["_id"], row["records"], "reason" in row) == ("a", 3, False)
    assert [column.name for column in shape.flat_row][-4:] == ["rank", "kind", "reason", "count"]


def test_an_empty_list_is_no_row() -> None:
    shape = Shape.of(NAMED["top_users"])
    assert list(shape.rows({"_id": "a", "top_users": []})) == []
    assert list(shape.rows({"_id": "a"})) == []


def test_a_row_has_no_name_twice() -> None:
    result = Result("mine", DAY, fields={"watch_count": Date(), "one": TopUsers(10)})
    with pytest.raises(ValueError, match="mine: a row would have watch_count twice"):
        Shape.of(result)


def test_two_lists_have_no_rows() -> None:
    result = Result("mine", DAY, fields={"date": Date(), "one": TopUsers(10), "two": TopUsers(3)})
    with pytest.raises(ValueError, match="mine: a document can have one list, not one, two"):
        Shape.of(result)
