"""Expectations of the data, their keys in a file, and the verdicts."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates.results import RESULTS
from movie_stream.alerts.expectations import (
    LIGHTS,
    Expectations,
    Limits,
    load,
    read,
    verdict,
)
from movie_stream.alerts.keys import Reading, RulesRefused

HOUR: dict[str, Any] = {
    "records": 1_000,
    "views": 980,
    "bad": 10,
    "late": 10,
    "without_rating": 98,
    "without_duration": 0,
    "without_price": 490,
    "new_genres": 2,
    "retitled": 0,
    "avg_delay_s": 30.0,
}


def parsed(table: dict[str, Any]) -> Expectations:
    """The expectations of a table without a file."""
    reading = Reading(lambda _: 1)
    expected = read(reading, table)
    if expected is None:
        raise RulesRefused(path="[quality]", mistakes=reading.mistakes)
    return expected


def lights(document: dict[str, Any], table: dict[str, Any] | None = None, hours: float = 1) -> dict[str, str]:
    return {one.figure: one.light for one in verdict(document, parsed(table or {}), hours).found}


def test_without_a_file_shares_of_refused_and_retitled_records_are_judged() -> None:
    assert lights(HOUR) == {"bad": "green", "late": "green", "retitled": "green"}
    assert verdict(HOUR, Expectations()).light == "green"
    assert verdict(HOUR, Expectations()).reasons == ()


def test_figures_beyond_a_limit_are_named_with_it_the_worst_first() -> None:
    found = verdict({**HOUR, "bad": 11, "late": 51}, Expectations())
    assert found.light == "red"
    assert [tuple(one) for one in found.reasons] == [("late", 0.051, "red", 0.05), ("bad", 0.011, "yellow", 0.01)]


def test_every_figure_can_be_judged() -> None:
    table = {
        "records_per_hour": 2_500,
        "completeness": [0.9, 0.3],
        "bad": [0.5, 0.6],
        "late": [0, 1],
        "without_rating": [0.05, 0.099],
        "without_duration": [0, 0],
        "without_price": [0.6, 0.7],
        "new_genres": [1, 2],
        "retitled": [],
        "avg_delay_s": [10, 30],
    }
    assert lights(HOUR, table) == {
        "completeness": "yellow",
        "bad": "green",
        "late": "yellow",
        "without_rating": "red",
        "without_duration": "green",
        "without_price": "green",
        "new_genres": "yellow",
        "avg_delay_s": "yellow",
    }
    assert {*table} == {field.name for field in fields(Expectations)}


def test_completeness_is_that_of_the_hours_that_are_over() -> None:
    assert lights(HOUR, {"records_per_hour": 1_000}, 2)["completeness"] == "yellow"
    assert "completeness" not in lights(HOUR, {"records_per_hour": 1_000}, 0)
    assert lights({"records": 0, "views": 0}, {"records_per_hour": 1_000}) == {"completeness": "red"}


@pytest.mark.parametrize("document", [{}, {"records": 0, "views": 0, "bad": None}, {"records": None}])
def test_of_nothing_there_is_no_verdict(document: dict[str, Any]) -> None:
    assert verdict(document, Expectations()) == ("grey", ())


def test_the_rated_fields_are_in_the_documents() -> None:
    (result,) = (result for result in RESULTS if result.collection == "data_quality")
    assert {field.name for field in fields(Expectations)} - {"records_per_hour", "completeness"} <= {*result.fields}


@given(st.floats(0, 1), st.floats(0, 1), st.integers(0, 100), st.integers(1, 100))
def test_a_larger_share_is_never_better(one: float, other: float, bad: int, records: int) -> None:
    expected = parsed({"bad": sorted([one, other])})
    light = verdict({"records": records, "bad": bad}, expected).light
    worse = verdict({"records": records, "bad": bad + 1}, expected).light
    assert LIGHTS.index(worse) >= LIGHTS.index(light)


def test_an_empty_list_is_no_limit() -> None:
    assert parsed({"bad": [], "late": [0.1, 0.2]}) == Expectations(bad=None, late=Limits(0.1, 0.2))


@pytest.mark.parametrize(
    ("table", "says"),
    [
        ({"records": 5}, "[quality]: line 1: quality.records: expected one of records_per_hour, completeness, bad"),
        ({"records_per_hour": 0}, "records_per_hour: expected a number of records above 0, got 0"),
        ({"records_per_hour": "many"}, "above 0, got 'many'"),
        ({"records_per_hour": True}, "above 0, got true"),
        (
            {"bad": 0.1},
            "bad: expected two shares from 0 to 1, of which the first is for yellow and",
        ),
        ({"bad": [0.1]}, "or [] for no limit, got [0.1]"),
        ({"bad": [0.2, 0.1]}, "not below it; or [] for no limit, got [0.2, 0.1]"),
        ({"bad": [0.2, 1.1]}, "got [0.2, 1.1]"),
        ({"late": [False, True]}, "late: expected two shares"),
        ({"late": [0, float("nan")]}, "got [0, nan]"),
        ({"completeness": [0.5, 0.9]}, "not above it; or [] for no limit, got [0.5, 0.9]"),
        ({"avg_delay_s": [1, float("inf")]}, "avg_delay_s: expected two numbers from 0"),
        ({"new_genres": [10**400, 10**400]}, "new_genres: expected two numbers from 0"),
        ({"bad": ["x" * 500]}, "xxx..."),
    ],
)
def test_what_cannot_be_meant_is_refused(table: dict[str, Any], says: str) -> None:
    with pytest.raises(RulesRefused) as refused:
        parsed(table)
    assert says in str(refused.value)
    [mistake] = refused.value.mistakes
    assert mistake.words.startswith(f"quality.{next(iter(table))}: ")


def test_all_mistakes_are_reported_together() -> None:
    with pytest.raises(RulesRefused, match=r"colour: .*; .*bad: .*; .*late: ") as refused:
        parsed({"bad": 1, "colour": "red", "late": [2, 3], "retitled": []})
    assert refused.value.exit_code == 2
    assert len(refused.value.mistakes) == 3


def test_a_file(tmp_path: Path) -> None:
    file = tmp_path / "alerts.toml"
    assert load(None) == Expectations()
    file.write_text("[[rule]]\nname = 'x'\n")
    assert load(file) == Expectations()
    file.write_text("[quality]\nrecords_per_hour = 7\n")
    assert load(file).records_per_hour == 7


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"[quality", "line 1: no TOML: "),
        (b"\xff", "line 1: expected a TOML file in UTF-8, "),
        (b"quality = 3", "line 1: quality: expected a table, got 3"),
        (b"[quality]\nbad = 1", "line 2: quality.bad: expected two shares"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, content: bytes, says: str) -> None:
    file = tmp_path / "alerts.toml"
    file.write_bytes(content)
    with pytest.raises(RulesRefused) as refused:
        load(file)
    assert str(refused.value).startswith(str(file))
    assert says in str(refused.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(RulesRefused, match=r"none\.toml"):
        load(tmp_path / "none.toml")


def test_the_example_of_the_documentation_says_every_key() -> None:
    page = (Path(__file__).parents[3] / "docs" / "explanation" / "quality.md").read_text(encoding="utf-8")
    [example] = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    table = tomllib.loads(example)["quality"]
    assert list(table) == [field.name for field in fields(Expectations)]
    assert parsed(table).without_price is None
