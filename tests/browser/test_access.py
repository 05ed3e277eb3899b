"""Anyone can use the page: with a token, a keyboard, a screen reader, a phone; and no text does harm."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from movie_stream.settings import Settings
from tests.browser.conftest import CHARTS, DESKTOP, PANELS, PHONE, Dashboard, apart
from tests.support.web.serving import Serving, events, fill, serving

pytestmark = pytest.mark.browser
AXE = (Path(__file__).parents[1] / "data" / "axe" / "axe.min.js").read_text("utf-8")
TOKEN = "a-token-of-the-tests"
HOSTILE = '<img src=x onerror="window.harmed=1"><script>window.harmed=2</script>&lt;b&gt;{a} `c` ${d}'


@pytest.fixture
def served(settings: Settings) -> Iterator[Serving]:
    apart(fill(settings, events(1_000)))
    with serving(settings) as server:
        yield server


def _violations(dashboard: Dashboard) -> list[str]:
    found: dict[str, Any] = dashboard.page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [
        f"{violation['id']}: {node['target']} {node['failureSummary']}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [DESKTOP, (PHONE[0], 6_500)], ids=["desktop", "phone"])
def test_axe_finds_nothing(served: Serving, dashboard: Dashboard, theme: str, size: tuple[int, int]) -> None:
    dashboard.resize(size)
    dashboard.open(served.address, theme=theme, last="7d")
    dashboard.status("live")
    dashboard.shown()
    dashboard.page.evaluate(AXE)
    assert _violations(dashboard) == []
    for panel in CHARTS:
        dashboard.as_table(panel)
    dashboard.page.click(".custom summary")
    assert _violations(dashboard) == []


def test_axe_finds_nothing_where_there_is_nothing(settings: Settings, dashboard: Dashboard) -> None:
    with serving(settings) as server:
        dashboard.open(server.address)
        dashboard.status("live")
        dashboard.page.wait_for_selector("#notice-empty")
        dashboard.shown()
        dashboard.page.evaluate(AXE)
        assert _violations(dashboard) == []
        assert dashboard.complaints == []


@pytest.mark.parametrize("language", ["en", "fr"])
def test_on_a_phone_nothing_is_wider_than_the_screen(served: Serving, dashboard: Dashboard, language: str) -> None:
    dashboard.resize(PHONE)
    dashboard.open(served.address, lang=language)
    dashboard.status("live")
    for panel in PANELS:
        dashboard.page.locator(f"#{panel}").scroll_into_view_if_needed()
        dashboard.shown([panel])
    width = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
    assert dashboard.page.evaluate(width) <= PHONE[0]


def test_every_table_is_reached_with_the_keyboard(served: Serving, dashboard: Dashboard) -> None:
    dashboard.open(served.address)
    dashboard.status("live")
    dashboard.shown()
    keyboard, reached = dashboard.page.keyboard, set()
    for _ in range(80):
        keyboard.press("Tab")
        panel = dashboard.page.evaluate(
            "document.activeElement.matches('.as-table') && document.activeElement.closest('.card').id"
        )
        if panel and panel not in reached:
            outline = dashboard.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
            assert outline == "solid"
            keyboard.press("Enter")
            dashboard.page.wait_for_selector(f"#{panel}-data tbody tr >> nth=0")
            reached.add(panel)
    assert reached == set(CHARTS)


def test_with_a_token_it_asks_for_it_once(settings: Settings, dashboard: Dashboard) -> None:
    apart(fill(settings, events(100)))
    with serving(settings, API_TOKEN=TOKEN) as server:
        page = dashboard.page
        dashboard.open(server.address, last="all")
        page.wait_for_selector("#token")
        assert page.is_hidden("#logout")
        page.fill("#token", "not-the-token")
        page.keyboard.press("Enter")
        page.wait_for_selector("#login-error:has-text('not the token')")
        assert dashboard.tile("views") is None
        page.fill("#token", TOKEN)
        page.keyboard.press("Enter")
        dashboard.status("live")
        dashboard.tile_becomes("views", "100")
        assert TOKEN not in json.dumps([page.url, page.context.cookies(), page.evaluate("document.cookie")])
        page.reload()
        dashboard.tile_becomes("views", "100")
        page.click("#logout")
        page.wait_for_selector("#token")
        assert page.is_hidden("#logout")
        page.reload()
        page.wait_for_selector("#token")
        assert dashboard.tile("views") is None


def test_texts_of_a_producer_do_no_harm(settings: Settings, dashboard: Dashboard) -> None:
    views = events(300)
    for view in views:
        view["title"], view["user_id"] = HOSTILE + view["title"], HOSTILE[:100] + view["user_id"]
        view["genre"] = f"<img src=x onerror=harmed=1>{view['genre']}"
    apart(fill(settings, views))
    with serving(settings) as server:
        dashboard.open(server.address, last="all")
        dashboard.status("live")
        dashboard.tile_becomes("views", "300")
        dashboard.shown()
        page = dashboard.page
        assert all(row[2].startswith(HOSTILE) for row in dashboard.rows("films"))
        assert all(row[1].startswith(HOSTILE[:100]) for row in dashboard.rows("users"))
        for panel in ("views", "genres"):
            page.hover(f"#{panel} .chart", position={"x": 200, "y": 60})
            page.wait_for_selector(f"#{panel} .tip:has-text('<img src=x onerror=harmed=1>')")
        page.select_option("#genre", index=1)
        dashboard.shown()
        assert page.evaluate("window.harmed") is None
        assert page.locator("img[src=x]").count() == 0
        assert dashboard.complaints == []


def test_nothing_is_asked_of_another_host(served: Serving, dashboard: Dashboard) -> None:
    for language in ("en", "fr"):
        dashboard.open(served.address, lang=language)
        dashboard.status("live")
        dashboard.shown()
    assert dashboard.hosts == {served.address.removeprefix("http://")}
    assert dashboard.complaints == []
