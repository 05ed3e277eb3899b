"""Deviations of the library's grammar from OData are corrected, and bounds hold however a filter is built."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.odata.filters import DEEPEST, filter_of
from movie_stream.odata.model import sets_of
from movie_stream.odata.refusals import Refused
from movie_stream.odata.syntax import parsed
from tests.unit.odata.test_model import FILMS

SET = sets_of([FILMS])["daily_movies"]


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("all_views gt 1", "all_views gt  1"),
        ("not(all_views gt 1)", "not (all_views gt 1)"),
        ("title in('a')", "title in ('a')"),
        ("title in ( 'a' , 'b' )", "title in ('a','b')"),
        ("title in (('a'))", "title in ('a')"),
        ("timestamp ge 2024-10-31T15:00:00 01:00", "timestamp ge 2024-10-31T15:00:00+01:00"),
        ("  title eq 'a' ", "title eq 'a'"),
        ("all_views EQ 1 AND title eq NULL", "all_views eq 1 and title eq null"),
    ],
)
def test_two_ways_to_write_the_same(text: str, same: str) -> None:
    assert parsed(text) == parsed(same)


def test_a_list_of_one_is_a_list() -> None:
    assert filter_of("title in ('a')", SET) == {"$or": [{"title": {"$eq": "a"}}]}


def test_names_that_begin_with_a_keyword() -> None:
    for name in ("all_views", "any1", "nullable", "trueness", "falsehood", "anyall", "notes", "inside", "equal"):
        with_it = parsed(f"{name} gt 1")
        assert with_it.left.name == name


def test_the_smallest_time_of_dot_net_is_one() -> None:
    first = datetime(1, 1, 1, tzinfo=UTC)
    for text in ("timestamp ge 0001-01-01T00:00:00Z", "timestamp ge 0001-01-01", "date(timestamp) ge 0001-01-01"):
        assert filter_of(text, SET) == {"timestamp": {"$gte": first}}, text
    for text in ("timestamp ge 0001-01-01T00:00:00+01:00", "timestamp ge 0000-01-01", "timestamp ge 0001-02-30"):
        with pytest.raises(Refused) as raised:
            filter_of(text, SET)
        assert raised.value.status == 400


def test_a_text_that_is_no_number_compares_as_one_does() -> None:
    always, never = filter_of("true", SET), filter_of("false", SET)
    for comparison in ("eq", "lt", "le", "gt", "ge"):
        assert filter_of(f"all_views {comparison} NaN", SET) == never
        assert filter_of(f"NaN {comparison} NaN", SET) == never
    assert filter_of("all_views ne NaN", SET) == filter_of("not (NaN eq null)", SET) == always
    assert filter_of("all_views lt INF", SET) == {"all_views": {"$lt": math.inf}}
    assert filter_of("all_views in (-INF,1)", SET)["$or"][0] == {"all_views": {"$eq": -math.inf}}
    assert filter_of("-INF lt INF", SET) == always
    for text in ("title eq NaN", "all_views eq nan", "all_views eq -NaN"):
        with pytest.raises(Refused):
            filter_of(text, SET)


def test_names_like_operators_that_are_not_supported() -> None:
    for name in ("has", "divby"):
        assert parsed(f"{name} eq 1 and ( {name} eq 2)").left.left.name == name
    assert filter_of("title eq 'a has b' and title eq '@p'", SET)["$and"][1] == {"title": {"$eq": "@p"}}


def test_a_blank_in_a_text_stays_one() -> None:
    assert filter_of("title eq 'T15:00 01:00'", SET) == {"title": {"$eq": "T15:00 01:00"}}


def test_conditions_lie_only_so_deep_in_each_other_and_rows_of_them_are_one_step() -> None:
    row = " or ".join(f"all_views eq {number}" for number in range(150))
    assert len(filter_of(row, SET)["$or"]) == 150
    deep = "all_views eq 1"
    for _ in range(DEEPEST // 2 - 1):
        deep = f"not (title eq 'a' and {deep})"
    filter_of(deep, SET)
    for _ in range(3):
        deep = f"not (title eq 'a' and {deep})"
    with pytest.raises(Refused, match=f"at most {DEEPEST} deep"):
        filter_of(deep, SET)


@given(st.text(max_size=60) | st.text("()'not andrie,$eq12all_views:/-Z \x00", max_size=80))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    refused = (400, "$filter")
    try:
        filter_of(text, SET)
    except Refused as error:
        refused = (error.status, error.target or "")
    assert refused in ((400, "$filter"), (501, "$filter"))
