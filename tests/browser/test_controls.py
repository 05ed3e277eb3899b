"""Time range, genre, theme and language: the choice is in the address, and can be undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.browser.conftest import PANELS, Dashboard, apart, number
from tests.support.web.serving import events, fill, serving
from tests.support.whole_path import database

pytestmark = pytest.mark.browser
I18N = Path(__file__).parents[2] / "movie_stream" / "web" / "static" / "i18n"


@pytest.fixture
def opened(settings: Settings, dashboard: Dashboard) -> Iterator[Dashboard]:
    """The page as a newcomer finds it, over three days of views of the past."""
    apart(fill(settings, events(3_000)))
    with serving(settings) as server:
        dashboard.open(server.address)
        dashboard.status("live")
        dashboard.shown()
        yield dashboard
        assert dashboard.complaints == []


def test_a_range_and_a_genre_stand_in_the_address_and_back_takes_them_back(opened: Dashboard) -> None:
    page = opened.page
    assert opened.state() == {}
    day = opened.tile("views")
    page.get_by_label("All", exact=True).check(force=True)
    opened.tile_becomes("views", "3,000")
    page.select_option("#genre", "drama")
    page.wait_for_function("() => location.search.includes('genre=drama')")
    opened.shown(["views"])
    assert opened.state() == {"last": "all", "genre": "drama"}
    page.go_back()
    opened.tile_becomes("views", "3,000")
    assert page.input_value("#genre") == ""
    page.go_back()
    opened.tile_becomes("views", f"{day:,.0f}")
    assert page.is_checked("input[value='24h']")
    page.go_forward()
    page.go_forward()
    page.wait_for_function("() => document.getElementById('genre').value === 'drama'")
    page.reload()
    opened.shown()
    assert opened.state() == {"last": "all", "genre": "drama"}
    assert page.input_value("#genre") == "drama"
    assert page.is_checked("input[value='all']")
    assert {genre for _, genre, _ in opened.rows("views")} == {"Drama"}


@pytest.mark.parametrize("language", ["en", "fr"])
def test_no_control_lies_over_another_however_narrow_the_screen(opened: Dashboard, language: str) -> None:
    page = opened.page
    page.goto(page.url.replace("lang=en", f"lang={language}"))
    opened.shown(["views"])
    boxes = """() => [...document.querySelectorAll("#controls :is(select, label, summary), .bar :is(button, select)")]
        .filter((node) => node.checkVisibility() && !node.querySelector("select"))
        .map((node) => {
            const { left, top, right, bottom } = node.getBoundingClientRect();
            return [node.id || node.textContent.trim(), left, top, right, bottom];
        })"""
    for width in (320, 360, 375, 390, 414, 560, 641, 768, 1_024, 1_440):
        opened.resize((width, 844))
        found = page.evaluate(boxes)
        names = [name for name, *_ in found]
        assert "genre" in names, names
        for index, (name, left, top, right, bottom) in enumerate(found):
            assert 0 <= left < right <= width, f"{name} stands out of a screen of {width} px"
            assert right - left >= (100 if name == "genre" else 24), f"{name} is too narrow at {width} px"
            over = [
                other
                for other, *(its_left, its_top, its_right, its_bottom) in found[index + 1 :]
                if min(right, its_right) - max(left, its_left) > 1 and min(bottom, its_bottom) - max(top, its_top) > 1
            ]
            assert not over, f"{name} lies over {over} at {width} px"


def test_clicking_a_genre_shows_it_alone_and_again_all(opened: Dashboard, settings: Settings) -> None:
    page = opened.page
    page.get_by_label("All", exact=True).check(force=True)
    opened.tile_becomes("views", "3,000")
    first, views, *_ = opened.rows("genres")[0]
    page.click("#genres tbody tr:first-child button")
    opened.tile_becomes("views", views)
    assert opened.state()["genre"] == first.lower()
    with database(settings) as db:
        stats = db["category_stats"].find_one({"slug": first.lower()})
    assert number(views) == stats["total_views"]
    page.click("#genres tbody tr:first-child button")
    opened.tile_becomes("views", "3,000")
    assert "genre" not in opened.state()


def test_dragging_over_the_views_zooms_in_and_there_are_two_ways_back(opened: Dashboard) -> None:
    page = opened.page
    whole = opened.tile("views")
    box = page.locator("#views .chart").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 100)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] * 0.5, box["y"] + 120, steps=5)
    page.mouse.up()
    page.wait_for_function("() => location.search.includes('since=')")
    opened.shown(["views"])
    assert opened.state().keys() == {"since", "until"}
    page.wait_for_selector("#views .subtitle:has-text('by minute')")
    zoomed = opened.tile("views")
    assert zoomed is not None
    assert whole is not None
    assert 0 < zoomed < whole
    page.click("#views .back")
    opened.tile_becomes("views", f"{whole:,.0f}")
    assert opened.state() == {}
    page.go_back()
    opened.tile_becomes("views", f"{zoomed:,.0f}")
    page.go_back()
    opened.tile_becomes("views", f"{whole:,.0f}")


def test_a_range_from_to(opened: Dashboard) -> None:
    page = opened.page
    page.click(".custom summary")
    page.fill("#since", "2024-10-30T00:00")
    page.fill("#until", "2024-10-29T00:00")
    page.click("#apply")
    assert "later" in page.inner_text(".custom .wrong")
    page.fill("#until", "2024-10-31T00:00")
    page.click("#apply")
    page.wait_for_selector("#shown:has-text('30 Oct 2024, 00:00 – 31 Oct 2024, 00:00 UTC')")
    assert opened.state() == {"since": "2024-10-30T00:00:00Z", "until": "2024-10-31T00:00:00Z"}


def test_the_range_is_shown_where_the_figures_are_out_of_sight(opened: Dashboard) -> None:
    page = opened.page
    opened.resize((1440, 500))
    page.locator("#workers").scroll_into_view_if_needed()
    page.get_by_label("7 days", exact=True).check(force=True)
    page.wait_for_selector("#shown:text-matches('^2[45] Oct 2024')")


def test_when_it_was_updated_is_said_in_utc(opened: Dashboard) -> None:
    cdp = opened.page.context.new_cdp_session(opened.page)
    cdp.send("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Kathmandu"})
    opened.page.reload()
    opened.page.wait_for_selector("#updated:has-text('Updated')")
    written = opened.page.inner_text("#updated").removeprefix("Updated ")
    apart_s = (datetime.now(UTC) - datetime.strptime(written, "%H:%M:%S UTC").replace(tzinfo=UTC)).seconds
    assert apart_s < 3_600  # Kathmandu is hours away


def test_where_the_range_ends_now_old_views_are_pointed_at(opened: Dashboard) -> None:
    page = opened.page
    page.uncheck("#follow")
    page.wait_for_selector("#notice-late")
    opened.tile_becomes("views", "0")
    assert "No views in this time range." in page.inner_text("#views")
    assert opened.state() == {"anchor": "now"}
    page.click("#notice-late button")
    opened.shown()
    page.wait_for_selector("#notice-late", state="detached")
    assert opened.state() == {}


def test_in_french_nothing_is_english(opened: Dashboard) -> None:
    english, french = (json.loads((I18N / f"{language}.json").read_text("utf-8")) for language in ("en", "fr"))
    opened.page.select_option("#language", "fr")
    opened.page.wait_for_selector("#status:has-text('En direct')")
    opened.shown()
    found = opened.texts()
    there = {words for words in french.values() if isinstance(words, str)}
    only_english = {
        words
        for key, words in english.items()
        if isinstance(words, str) and words != french[key] and words not in there
    }
    assert found & only_english == set()
    assert opened.page.get_attribute("html", "lang") == "fr"
    assert "31 oct. 2024" in opened.page.inner_text("#audience")
    assert french["views.title"] in found


def test_the_theme_is_kept_without_an_entry_in_the_history(opened: Dashboard) -> None:
    page = opened.page
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    before = page.evaluate("history.length")
    page.select_option("#theme", "dark")
    page.wait_for_function("light => getComputedStyle(document.body).backgroundColor !== light", arg=light)
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert opened.state() == {"theme": "dark"}
    assert page.evaluate("history.length") == before
    page.select_option("#theme", "auto")
    page.emulate_media(color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark


def test_an_address_that_makes_no_sense_shows_the_default(opened: Dashboard) -> None:
    address = opened.page.url.split("/?")[0]
    opened.open(address, last="7 weeks", anchor="x", since="yesterday", theme="pink", nonsense="1", genre="x" * 300)
    opened.shown(PANELS)
    assert opened.page.is_checked("input[value='24h']")
    assert opened.page.input_value("#genre") == ""


@pytest.mark.parametrize(
    ("wrong", "key"),
    [
        ({"last": "99y"}, "controls.no_range"),
        ({"since": "2024-10-31T00:00:00Z", "until": "2024-10-30T00:00:00Z"}, "controls.backwards"),
        ({"since": "2024-10-31T00:00:00Z", "until": "2024-10-31T01:00:00+01:00"}, "controls.backwards"),
        ({"since": "2024-02-31T00:00:00Z", "last": "7d"}, "controls.no_time"),
        ({"until": "yesterday"}, "controls.no_time"),
    ],
    ids=["no range", "backwards", "empty", "no such day", "no time"],
)
def test_a_wrong_range_in_the_address_is_corrected_and_said(opened: Dashboard, wrong: dict[str, str], key: str) -> None:
    address = opened.page.url.split("/?")[0]
    for language in ("en", "fr"):
        opened.open(address, lang=language, genre="drama", **wrong)
        opened.shown(["views"])
        words = json.loads((I18N / f"{language}.json").read_text("utf-8"))
        assert opened.page.inner_text(".custom .wrong") == words[key]
        assert opened.state() == {"genre": "drama"}
        assert opened.page.is_checked("input[value='24h']")
    opened.page.get_by_label("7 jours", exact=True).check(force=True)
    opened.page.wait_for_selector(".custom .wrong", state="hidden")


def test_the_address_never_says_two_ranges(opened: Dashboard) -> None:
    page = opened.page
    address = page.url.split("/?")[0]
    between = {"since": "2024-10-30T00:00:00Z", "until": "2024-10-31T00:00:00Z"}
    opened.open(address, last="7d", **between)
    opened.shown(["views"])
    assert opened.state() == between
    page.reload()
    opened.shown(["views"])
    page.click("#views .back")
    page.wait_for_function("() => location.search.includes('last=7d')")
    assert opened.state() == {"last": "7d"}
