"""What a run is told apart by is stored with the state: it stays, whatever the code is called."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from movie_stream.aggregates import aggregators, quality_figures
from movie_stream.aggregates import fields as result_fields
from movie_stream.aggregates.aggregators import Members, SumOf, TopUsersOf, UserFigure, ViewCount
from movie_stream.aggregates.fields import Count, Distinct, Max, Mean, Min, Revenue, Sum, Title, Top, TopUsers
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.aggregates.window import ALL_TIME, DAY
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.mongo.runs import Run
from movie_stream.runs.fingerprint import changes, differences, fingerprint, hash_of, results_of, uncounted_results
from movie_stream.settings import Settings

STORED: Final = Path(__file__).parents[3] / "tests" / "data" / "stored" / "results.txt"
"""The text of each result as it was first stored, one to a line."""


def topology() -> Topology:
    names = Topics.of(Settings())
    all_of_it = (names.events, names.partials, names.accumulate_changelog, names.publish_changelog)
    identities = {name: f"id-{n}" for n, name in enumerate(all_of_it)}
    return Topology(partitions=dict.fromkeys(all_of_it, 6), identities=identities)


def test_the_fingerprint_is_the_one_that_is_stored() -> None:
    """One that differs has every deployment count its whole topic again."""
    assert fingerprint(Settings(), topology()) == {
        "format": 4,
        "topic": "id-0",
        "partitions": 6,
        "partials_topic": "id-1",
        "partials_partitions": 6,
        "accumulate_changelog": "id-2",
        "publish_changelog": "id-3",
        "ALLOWED_LATENESS_MS": 86_400_000,
        "FUTURE_TOLERANCE_MS": 3_600_000,
        "SESSION_GAP_MS": 1_800_000,
        "TIMEZONE": "UTC",
        "REVENUE_PER_VIEW_MICRO": 0,
        "results": "c38ccbf04d0ebb43",
    }
    assert hash_of({"a": 1}) == "f9d86028c6e0d64e"


@pytest.mark.parametrize(
    "added", [(), ("data_quality",), ("hourly_metrics", "data_quality"), ("top_movies", "active_users", "data_quality")]
)
def test_a_run_that_was_begun_before_results_were_added_goes_on_with_its_list(added: tuple[str, ...]) -> None:
    fewer = tuple(result for result in RESULTS if result.collection not in added)
    run = Run(7, fingerprint(Settings(), topology(), fewer))
    assert results_of(run) == fewer
    assert uncounted_results(run) == ", ".join(added)
    assert differences(Settings(), topology(), run) == ""


@pytest.mark.parametrize(
    "results",
    [
        (*RESULTS, Result("daily_movies", DAY, prefix="movies", fields={"revenue": Revenue()})),
        (*RESULTS[:-1], Result("data_quality", DAY, prefix="movies", fields={"revenue": Revenue()})),
        RESULTS[::-1],
        RESULTS[:-4],
        (),
    ],
)
def test_a_run_with_results_that_we_do_not_know_is_another(results: tuple[Result, ...]) -> None:
    run = Run(7, fingerprint(Settings(), topology(), results))
    assert results_of(run) == RESULTS
    assert differences(Settings(), topology(), run) == changes(run, fingerprint(Settings(), topology()))
    assert "the list of results" in differences(Settings(), topology(), run)


def test_each_result_is_the_one_that_is_stored() -> None:
    """A new result adds a line; a line that changes has every deployment rebuild."""
    assert [result.stored for result in RESULTS] == STORED.read_text().splitlines()


@pytest.mark.parametrize(
    ("value", "stored"),
    [
        (DAY, "Window(name='day', length_ms=86400000, pattern='%Y-%m-%d')"),
        (ALL_TIME, "Window(name='all time', length_ms=None, pattern='')"),
        (Mean("duration"), "Mean(number='duration')"),
        (Max("revenue"), "Max(number='revenue')"),
        (Min("rating"), "Min(number='rating')"),
        (Sum("duration"), "Sum(number='duration')"),
        (Distinct("movie_id", 12), "Distinct(member='movie_id', lg_k=12)"),
        (TopUsers(3), "TopUsers(limit=3)"),
        (
            Top(3, "movie_id", {"title": Title(), "views": Count()}),
            "Top(limit=3, of='movie_id', columns={'title': Title(), 'views': Count()})",
        ),
        (SumOf("rating"), "SumOf(number='rating')"),
        (Members("user_id", 14), "Members(member='user_id', lg_k=14)"),
        (UserFigure("sessions"), "OfUsers(name='sessions')"),
        (TopUsersOf(10), "TopUsersOf(limit=10)"),
        (
            Result("daily_movies", DAY, prefix="movies", fields={"revenue": Revenue()}),
            "('daily_movies', Window(name='day', length_ms=86400000, pattern='%Y-%m-%d'), None, 'movies', "
            "{'revenue': Revenue()}, (WideSumOf(number='revenue'),))",
        ),
    ],
)
def test_parameters_are_stored(value: Any, stored: str) -> None:
    assert value.stored == stored


def test_no_two_kinds_are_stored_alike() -> None:
    """And each kind of field and aggregator has a stored name with all of its parameters."""
    kinds = [
        kind
        for module in (result_fields, aggregators, quality_figures)
        for kind in vars(module).values()
        if isinstance(kind, type) and is_dataclass(kind) and kind.__module__ == module.__name__
    ]
    assert ViewCount in kinds
    heads = set()
    for kind in kinds:
        parameters = {field.name: {} if field.name == "columns" else f"<{field.name}>" for field in fields(kind)}
        text = kind(**parameters).stored  # type: ignore[attr-defined]
        assert all(f"<{name}>" in text or name == "columns" for name in parameters), text
        heads.add(text.partition("(")[0])
    assert len(heads) == len(kinds)
