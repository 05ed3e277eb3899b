"""Queries of any result: the filter that MongoDB is given takes what a naive loop takes, page by page."""

from __future__ import annotations

import operator as operators
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.errors import UsageError
from movie_stream.mongo.query import SHORT_NAMES, Query, check, names, result_named

Document = dict[str, Any]
NOON = datetime(2024, 10, 31, 12, tzinfo=UTC)
TOO_LATE = datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))
GENRES = ("drama", "film noir", "crime")
SPELLED = {"drama": " Drama", "film noir": "FILM  noir", "crime": "crime"}

COMPARE = {"$gt": operators.gt, "$gte": operators.ge, "$lt": operators.lt, "$lte": operators.le}


# ---- what filters use of MongoDB: null, also for a field that is missing, is the smallest ----------------------------


def key(value: Any) -> tuple[bool, Any]:
    return (value is not None, 0 if value is None else value)


def passes(value: Any, condition: Any) -> bool:
    if not isinstance(condition, Mapping):
        return bool(value == condition)
    for operator, bound in condition.items():
        if operator == "$ne":
            fits = value != bound
        elif value is None:  # of another type than the bound
            fits = False
        else:
            fits = {"$gt": value > bound, "$gte": value >= bound, "$lt": value < bound, "$lte": value <= bound}[
                operator
            ]
        if not fits:
            return False
    return True


def takes(wanted: Mapping[str, Any], document: Document) -> bool:
    return all(
        any(takes(choice, document) for choice in condition)
        if field == "$or"
        else passes(in_milliseconds(document.get(field)), in_milliseconds(condition))
        for field, condition in wanted.items()
    )


def in_milliseconds(value: Any) -> Any:
    """As MongoDB stores it."""
    if isinstance(value, Mapping):
        return {operator: in_milliseconds(bound) for operator, bound in value.items()}
    return value.replace(microsecond=value.microsecond // 1_000 * 1_000) if isinstance(value, datetime) else value


def ordered(documents: list[Document], order: tuple[tuple[str, int], ...]) -> list[Document]:
    for field, direction in reversed(order):
        documents = sorted(documents, key=lambda d, f=field: key(d.get(f)), reverse=direction < 0)  # type: ignore[misc]
    return documents


# ---- the property ----------------------------------------------------------------------------------------------------


offsets = st.integers(-3, 3).map(lambda hours: timezone(timedelta(hours=hours)))
times = st.builds(
    lambda minutes, micros, zone: (NOON + timedelta(minutes=minutes, microseconds=micros)).astimezone(zone),
    st.integers(-4, 4),
    st.sampled_from([0, 0, 1, 999, 1_000, -1]),
    offsets,
)


@st.composite
def stored(draw: st.DrawFn, result: Result) -> list[Document]:
    """A few documents of the result, with many equal and missing figures."""
    query = Query(result, 1)
    documents = []
    for number in draw(st.permutations(range(draw(st.integers(0, 8))))):
        document: Document = {"_id": f"d{number}"}
        for column in query.shape.fields:
            document[column.name] = {
                "time": NOON + timedelta(minutes=number - 4 if query.shape.one_a_window else draw(st.integers(-2, 2))),
                "count": draw(st.integers(0, 2)),
                "number": draw(st.sampled_from([None, 0.5, 2.0])),
                "text": draw(st.sampled_from(GENRES)),
            }[column.kind]
        documents.append(document)
    return documents


@st.composite
def queries(draw: st.DrawFn) -> tuple[Query, list[Document]]:
    result = draw(st.sampled_from(RESULTS))
    shape = Query(result, 1).shape
    fields = ["_id", *(column.name for column in shape.fields)]
    order = draw(st.lists(st.sampled_from(fields), unique=True, max_size=3))
    query = Query(
        result,
        draw(st.integers(1, 4)),
        genre=SPELLED[draw(st.sampled_from(GENRES))] if result.by_genre and draw(st.booleans()) else None,
        since=draw(st.none() | times) if shape.start else None,
        until=draw(st.none() | times) if shape.start else None,
        order=tuple((field, draw(st.sampled_from([1, -1]))) for field in order),
    )
    check(query)
    return query, draw(stored(result))


@given(queries())
def test_all_pages_together_are_what_a_naive_loop_finds(asked: tuple[Query, list[Document]]) -> None:
    query, documents = asked
    start = str(query.shape.start)
    wanted = [
        document
        for document in documents
        if (query.genre is None or document["slug"] == " ".join(query.genre.split()).lower())
        and (query.since is None or document[start] >= query.since)
        and (query.until is None or document[start] < query.until)
    ]
    found: list[Document] = []
    after = None
    for _ in range(len(documents) + 1):
        page = Query(query.result, query.limit, query.genre, query.since, query.until, query.order, after)
        left = ordered([document for document in documents if takes(page.filter(), document)], page.sort)
        found += left[: query.limit]
        if len(left) <= query.limit:
            break
        after = page.position_of(left[query.limit - 1])
    assert found == ordered(wanted, query.sort)


def test_the_order_without_another() -> None:
    assert {name: Query(result_named(name), 1).sort for name in ("windows", "genres", "hours")} == {
        "windows": (("window_start", -1), ("total_views", -1), ("_id", 1)),
        "genres": (("total_views", -1), ("_id", 1)),
        "hours": (("timestamp", -1),),
    }


# ---- names and what cannot be meant ----------------------------------------------------------------------------------


@pytest.mark.parametrize("result", RESULTS, ids=lambda result: result.collection)
def test_every_result_has_its_name(result: Result) -> None:
    assert result_named(result.collection) is result
    assert result_named(result.collection.replace("_", "-")) is result
    assert result.collection in names()


def test_short_names_are_of_results() -> None:
    assert {result_named(short).collection for short in SHORT_NAMES} == set(SHORT_NAMES.values())
    assert not set(SHORT_NAMES) & {result.collection for result in RESULTS}


def test_another_name_is_answered_with_those_there_are() -> None:
    with pytest.raises(
        UsageError, match=r"RESULT: expected one of movies_aggregates, .*, quality, workers, got 'films'"
    ):
        result_named("films", "RESULT", "workers")


@pytest.mark.parametrize(
    ("name", "choice", "words"),
    [
        ("hours", {"limit": 0}, "--limit: expected a whole number from 1, got '0'"),
        ("hours", {"since": datetime(2024, 10, 31)}, "--since: expected a datetime with a time zone"),
        (
            "hours",
            {"until": datetime.max.replace(tzinfo=timezone(timedelta(hours=-1)))},
            "--until: expected a time from",
        ),
        ("genres", {"since": NOON}, "--since: expected a result by minute, hour, day, got 'category_stats'"),
        ("hours", {"genre": "Drama"}, r"--genre: expected a result by genre \(movies_aggregates, category_stats, "),
        ("days", {"genre": " \t"}, "--genre: expected the name of a genre, in UTF-8, got "),
        ("days", {"genre": "caf\udce9"}, "--genre: expected the name of a genre, in UTF-8, got "),
        ("top_movies", {"order": (("top_movies", 1),)}, "--order: expected one of _id, timestamp, got 'top_movies'"),
        ("hours", {"order": (("_rev", 1),)}, "--order: expected one of _id, "),
    ],
)
def test_what_cannot_be_meant(name: str, choice: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        check(Query(result_named(name), **{"limit": 1, **choice}), "--")


def test_the_first_and_the_last_moment_can_be_meant() -> None:
    for time in (datetime.min, datetime.max):
        query = Query(result_named("hours"), 1, since=time.replace(tzinfo=UTC))
        check(query)
        assert query.filter()
