"""Genres as producers may name them: as long as the contract allows, and with characters that the API refuses."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from movie_stream.settings import Settings
from tests.browser.conftest import PHONE, Dashboard, apart
from tests.support.web.serving import Serving, events, fill, serving

pytestmark = pytest.mark.browser
LONG = "𝔸" * 64
REFUSED = "Cash $ Crime"
RENAMED = {"Drama": LONG, "Sci-Fi": REFUSED}


@pytest.fixture
def served(settings: Settings) -> Iterator[Serving]:
    views = events(1_000)
    for view in views:
        view["genre"] = RENAMED.get(view["genre"], view["genre"])
    apart(fill(settings, views))
    with serving(settings) as server:
        yield server


def _opened(served: Serving, dashboard: Dashboard, **state: str) -> None:
    dashboard.open(served.address, last="all", **state)
    dashboard.status("live")
    dashboard.page.wait_for_selector(f"#genre option:has-text('{LONG}')", state="attached")


def test_on_a_phone_a_long_genre_does_not_widen_the_page(served: Serving, dashboard: Dashboard) -> None:
    dashboard.resize(PHONE)
    _opened(served, dashboard)
    for panel in ("views", "genres", "films"):
        dashboard.page.locator(f"#{panel}").scroll_into_view_if_needed()
        dashboard.shown([panel])
    dashboard.page.select_option("#genre", label=LONG)
    assert dashboard.page.evaluate("document.documentElement.scrollWidth") <= PHONE[0]


def test_a_long_genre_leaves_the_figures_of_films_in_sight(served: Serving, dashboard: Dashboard) -> None:
    _opened(served, dashboard)
    dashboard.shown(["films"])
    assert LONG in {row[3] for row in dashboard.rows("films")}
    script = "place => [place.scrollWidth, place.clientWidth]"
    wide, seen = dashboard.page.locator("#films .scroll").evaluate(script)
    assert wide <= seen


@pytest.mark.parametrize(
    ("language", "why"), [("en", "The API takes no name with a $"), ("fr", "L’API refuse les noms")]
)
def test_a_genre_that_the_api_refuses_cannot_be_chosen(
    served: Serving, dashboard: Dashboard, language: str, why: str
) -> None:
    _opened(served, dashboard, lang=language)
    dashboard.shown(["genres"])
    option = dashboard.page.locator("#genre option:disabled")
    assert option.count() == 1
    assert (option.text_content() or "").startswith(f"{REFUSED} (")
    assert (option.get_attribute("title") or "").startswith(why)
    place = [row[0] for row in dashboard.rows("genres")].index(REFUSED)
    button = dashboard.page.locator("#genres tbody tr button").nth(place)
    assert button.is_disabled()
    assert (button.get_attribute("title") or "").startswith(why)
    dashboard.page.click("#genres .as-table")
    box = dashboard.page.locator("#genres .chart").bounding_box()
    assert box is not None
    height = (box["height"] - 4) / 6
    dashboard.page.mouse.click(box["x"] + 130, box["y"] + height * (place + 0.5))
    assert "genre" not in dashboard.state()
    other = (place + 1) % 6  # that the place is right shows a genre that can be chosen
    dashboard.page.mouse.click(box["x"] + 130, box["y"] + height * (other + 0.5))
    dashboard.page.wait_for_function("() => location.search.includes('genre=')")
    assert dashboard.complaints == []


@pytest.mark.parametrize(("language", "all_genres"), [("en", "all genres"), ("fr", "tous genres")])
def test_panels_of_all_genres_say_so_while_one_is_chosen(
    served: Serving, dashboard: Dashboard, language: str, all_genres: str
) -> None:
    _opened(served, dashboard, lang=language)
    dashboard.shown()
    places = [f"#{panel} .subtitle" for panel in ("films", "activity", "audience", "users")]
    places += [f".tile:has(#tile-{tile}) .note" for tile in ("active_users_today", "events_per_s")]
    for place in places:
        assert all_genres not in dashboard.page.inner_text(place)
    dashboard.page.select_option("#genre", "film noir")
    for place in places:
        dashboard.page.wait_for_selector(f"{place}:has-text('{all_genres}')")
    for place in ("#views .subtitle", "#ratings .subtitle", ".tile:has(#tile-avg_rating) .note"):
        assert all_genres not in dashboard.page.inner_text(place)
    dashboard.page.select_option("#genre", "")
    for place in places:
        dashboard.page.wait_for_selector(f"{place}:not(:has-text('{all_genres}'))", state="attached")
