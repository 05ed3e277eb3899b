"""A result that somebody has added to RESULTS has a panel of its own, whatever its shape."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from movie_stream.aggregates import results
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.browser.conftest import Dashboard, apart
from tests.browser.test_access import AXE
from tests.support.own_result import package_with, result_of
from tests.support.web.serving import MIDNIGHT_MS, Serving, serving, write

pytestmark = pytest.mark.browser
BY_GENRE: Final = """Result(
    "genre_days", DAY, by="genre",
    fields={"genre": Genre(), "slug": Slug(), "timestamp": Start(), "views": Count(), "stars": Mean("rating")},
),
"""
OF_LISTS: Final = """Result(
    "best_films", HOUR,
    fields={"timestamp": Start(), "films": Top(5, "movie_id", {"title": Title(), "views": Count()})},
),
"""


def _view(film: str, genre: str, rating: float | None, minute: int) -> dict[str, object]:
    return {
        "movie_id": film.lower(),
        "title": film,
        "genre": genre,
        "user_id": f"u{minute}",
        "timestamp": MIDNIGHT_MS + 60_000 * minute,
        "rating": rating,
        "duration": None,
        "price": None,
    }


VIEWS: Final = (_view("Alien", "Sci-Fi", 5, 0), _view("Alien", "Sci-Fi", 4, 1), _view("Brazil", "Comedy", None, 2))


async def _fill(settings: Settings, rev: int = 1) -> None:
    async with opened(settings) as db:
        await ensure(db, results.RESULTS)
        await write(db, VIEWS * rev, rev)


@pytest.fixture
def served(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    monkeypatch.setattr(results, "RESULTS", (*results.RESULTS, result_of(BY_GENRE), result_of(OF_LISTS)))
    with serving(settings, PYTHONPATH=package_with(tmp_path, BY_GENRE + OF_LISTS)) as server:
        yield server


def test_each_has_a_panel_that_follows_what_changes(served: Serving, settings: Settings, dashboard: Dashboard) -> None:
    apart(_fill(settings))
    dashboard.open(served.address)
    dashboard.shown(["own-genre_days", "own-best_films"])
    page = dashboard.page
    assert page.locator("#panels > section").evaluate_all("all => all.map(one => one.id)")[-2:] == [
        "own-genre_days",
        "own-best_films",
    ]
    assert page.inner_text("#own-genre_days h2") == "genre_days"
    assert page.locator("#own-genre_days th").all_inner_texts() == ["genre", "timestamp", "views", "stars"]
    assert dashboard.rows("own-genre_days") == [
        ["Comedy", "31 Oct 2024, 00:00", "1", "–"],
        ["Sci-Fi", "31 Oct 2024, 00:00", "2", "4.50"],
    ]
    assert page.locator("#own-best_films th").all_inner_texts() == ["timestamp", "rank", "movie_id", "title", "views"]
    assert dashboard.rows("own-best_films") == [
        ["31 Oct 2024, 00:00", "1", "alien", "Alien", "2"],
        ["31 Oct 2024, 00:00", "2", "brazil", "Brazil", "1"],
    ]
    apart(_fill(settings, 2))
    dashboard.rows_become(
        "own-best_films",
        [["31 Oct 2024, 00:00", "1", "alien", "Alien", "4"], ["31 Oct 2024, 00:00", "2", "brazil", "Brazil", "2"]],
    )
    assert dashboard.complaints == []


def test_it_follows_the_genre_where_it_can_and_says_so_where_not(
    served: Serving, settings: Settings, dashboard: Dashboard
) -> None:
    apart(_fill(settings))
    dashboard.open(served.address, genre="comedy")
    dashboard.shown(["own-genre_days", "own-best_films"])
    assert [row[0] for row in dashboard.rows("own-genre_days")] == ["Comedy"]
    assert dashboard.page.inner_text("#own-genre_days .subtitle") == "all rows"
    assert dashboard.page.inner_text("#own-best_films .subtitle") == "all rows · all genres"
    dashboard.page.select_option("#language", "fr")
    dashboard.page.wait_for_selector("#own-best_films .subtitle:has-text('toutes les lignes · tous genres')")
    assert dashboard.complaints == []


def test_one_that_is_not_counted_yet_says_what_to_do_and_axe_finds_nothing(
    served: Serving, dashboard: Dashboard
) -> None:
    dashboard.open(served.address)
    dashboard.shown(["own-genre_days"])
    assert "movie-stream rebuild" in dashboard.page.inner_text("#own-genre_days .message")
    dashboard.page.evaluate(AXE)
    found = dashboard.page.evaluate("axe.run('#own-genre_days', {resultTypes: ['violations']})")
    assert found["violations"] == []
    assert dashboard.complaints == []
