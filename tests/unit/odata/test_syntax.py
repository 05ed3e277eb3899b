"""What the library's grammar has otherwise than OData is mended, and bounds hold however a filter is built."""

from __future__ import annotations

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
