"""The list of results: what it says of its documents, and what cannot be counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.document_keys import DocumentKey
from movie_stream.aggregates.fields import (
    Count,
    Distinct,
    Field,
    Keys,
    Max,
    Mean,
    Min,
    Rated,
    Start,
    Title,
    Top,
    TopUsers,
    Users,
)
from movie_stream.aggregates.merger import Merger
from movie_stream.aggregates.quality_figures import Records
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.window import ALL_TIME, DAY, HOUR, MINUTE, Window
from movie_stream.events.chunk import chunk_of
from movie_stream.events.contract import MAX_TIMESTAMP_MS, MICRO
from movie_stream.events.timestamps import datetime_of
from movie_stream.mongo.guard import body_of
from tests.support import reference
from tests.support.reference import views


def test_the_documents_fields_and_nothing_else() -> None:
    documents = reference.expected([views({"rating": 4, "duration": 3, "price": 1})]).documents
    assert [result.collection for result in RESULTS] == list(documents)
    for result in RESULTS:
        (document,) = documents[result.collection].values()
        assert ["_id", *result.fields] == list(document)
        schema = result.schema()
        assert schema["required"] == list(document) == list(schema["properties"])
        assert all(schema["properties"].values()), "each field has a type"


@pytest.mark.parametrize(
    ("collection", "name"),
    [
        ("movies_aggregates", "sci-fi_2024-10-31T14:00:00Z"),
        ("top_movies", "top_movies_2024-10-31T14:00:00Z"),
        ("top_movies_daily", "top_movies_2024-10-31"),
        ("top_movies_all_time", "top_movies_all_time"),
        ("category_stats", "genre_stats_sci-fi"),
        ("active_users", "active_users_2024-10-31"),
        ("hourly_metrics", "hourly_2024-10-31T14:00:00Z"),
        ("daily_stats", "sci-fi_2024-10-31"),
        ("top_users", "top_users_2024-10-31"),
        ("data_quality", "data_quality_sci-fi_2024-10-31T14:00:00Z"),
    ],
)
def test_ids(collection: str, name: str) -> None:
    result = next(result for result in RESULTS if result.collection == collection)
    assert result.document_ids(Keys(result.window, [1_730_383_200_000], ["sci-fi"])) == [name]


def test_a_new_result_is_one_entry() -> None:
    fields: Mapping[str, Field] = {
        "timestamp": Start(),
        "views": Count(),
        "films": Distinct("movie_id", lg_k=12),
        "longest": Max("duration"),
        "shortest": Min("duration"),
    }
    ours = Result("films_by_day", DAY, fields, prefix="films")
    state, merger = Accumulator(0, 1, Rules(), results=(ours,)), Merger(1, results=(ours,))
    records = views({"duration": 90}, {"movie_id": "m2"}, {"duration": 30})
    state.apply(chunk_of(0, 0, [value for _, _, value in records]))
    merger.apply(chunk_of(0, 0, [message for _, message in state.partials(1)]))
    (document,) = merger.documents(9)
    assert document.id == "films_2024-10-31"
    assert body_of(document.encoded) == {
        "timestamp": reference.date(1_730_332_800_000),
        "views": 3,
        "films": 2,
        "longest": 90,
        "shortest": 30,
    }


@pytest.mark.parametrize(
    ("result", "why"),
    [
        (lambda: Result("x", HOUR, {"films": Top(3, "movie_id", {}), "rated": Rated()}), "the only figure"),
        (lambda: Result("x", HOUR, {"users": Users()}), "kept by day alone"),
        (lambda: Result("x", DAY, {"users": TopUsers(3)}, by="genre"), "kept by day alone"),
        (lambda: Result("x", DAY, {"users": Users(), "views": Count()}), "kept by day alone"),
        (lambda: Result("x", DAY, {"films": Top(3, "movie_id", {"t": Title()})}, by="genre"), "not by a column"),
        (lambda: Result("x", DAY, {"films": Top(3, "movie_id", {}), "longest": Max("duration")}), "the only figure"),
        (lambda: Result("x", HOUR, {"records": Records()}), "kept by partition"),
        (lambda: Result("x", ALL_TIME, {"records": Records()}, by="partition"), "kept by partition"),
        (lambda: Result("x", HOUR, {"rating": Mean("rating")}, by="partition"), "kept by partition"),
        (lambda: Result("x", HOUR, {"users": Distinct("user_id")}, by="partition"), "kept by partition"),
    ],
)
def test_what_cannot_be_counted_is_refused(result: Callable[[], Result], why: str) -> None:
    with pytest.raises(ValueError, match=f"x: .*{why}"):
        result()


@given(st.lists(st.integers(0, 5 * MICRO), max_size=30), st.integers(1, 5_000_000))
def test_averages_combine_exactly(millionths: list[int], times: int) -> None:
    """Whatever the ratings, and however many views there are of each."""
    figures = {"rating.sum": [times * sum(millionths)], "rating.count": [times * len(millionths)]}
    keys = Keys(HOUR, [0], [""])
    [mean], [rated] = Mean("rating").values(keys, figures), Rated().values(keys, figures)
    assert [round((mean or 0) * rated * MICRO)] == figures["rating.sum"]
    assert (mean is None) == (rated == 0)


@given(st.lists(st.integers(1, MAX_TIMESTAMP_MS), min_size=1), st.sampled_from([MINUTE, HOUR, DAY]))
def test_a_windows_label_is_its_start_by_the_pattern(times_ms: list[int], window: Window) -> None:
    starts = [window.start_of(time_ms) for time_ms in times_ms]
    assert window.labels(starts) == [datetime_of(start).strftime(window.pattern) for start in starts]


def test_a_key_as_text() -> None:
    assert DocumentKey("daily_stats", 1_730_332_800_000, "sci-fi").text == "daily_stats|1730332800000|sci-fi"
