"""Faults: documents of older versions, answers that the page does not understand, slow pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from movie_stream.settings import Settings
from tests.browser.conftest import PANELS, Dashboard, apart
from tests.support.web.serving import Serving, events, fill, serving
from tests.support.whole_path import database

pytestmark = pytest.mark.browser


@pytest.fixture
def served(settings: Settings) -> Iterator[Serving]:
    apart(fill(settings, events(3_000)))
    with serving(settings) as server:
        yield server


def test_a_genre_without_a_name_takes_none_of_the_others_away(settings: Settings, dashboard: Dashboard) -> None:
    apart(fill(settings, events(1_000)))
    with database(settings) as db:
        db["category_stats"].update_one({"slug": "drama"}, {"$set": {"genre": None}}, bypass_document_validation=True)
    with serving(settings) as server:
        dashboard.open(server.address, last="all")
        dashboard.status("live")
        dashboard.shown()
        dashboard.page.wait_for_selector("#genre option[value=sci-fi]", state="attached")
        assert dashboard.page.locator("#genre option[value=drama]").text_content() == "drama"
        assert "drama" in [row[0] for row in dashboard.rows("genres")]
        assert dashboard.complaints == []


@pytest.mark.parametrize(
    ("question", "body", "place"),
    [
        ("**/api/v1/summary?*", "{}", ".tiles[data-state=stale]"),
        ("**/api/v1/audience?*", "{}", "#audience[data-state=stale] .message.error"),
        ("**/api/v1/genres?*limit=200", "{}", "#genres[data-state=shown]"),
    ],
    ids=["tiles", "panel", "list of genres"],
)
def test_a_fault_of_the_page_is_not_kept_quiet(
    served: Serving, dashboard: Dashboard, question: str, body: str, place: str
) -> None:
    dashboard.page.route(question, lambda route: route.fulfill(body=body, content_type="application/json"))
    with dashboard.page.expect_event(
        "pageerror" if "limit=200" in question else "console", lambda said: "undefined" in str(said)
    ):
        dashboard.open(served.address)
    dashboard.page.wait_for_selector(place)
    dashboard.shown([panel for panel in PANELS if panel not in place])


def test_what_the_server_refuses_is_no_fault_of_the_page(served: Serving, dashboard: Dashboard) -> None:
    problem = '{"title": "Service Unavailable", "status": 503, "detail": "too slow"}'
    dashboard.page.route("**/api/v1/audience?*", lambda route: route.fulfill(status=503, body=problem))
    dashboard.open(served.address)
    dashboard.page.wait_for_selector("#audience .message.error:has-text('too slow')")
    dashboard.shown([panel for panel in PANELS if panel != "audience"])
    assert all("503" in complaint for complaint in dashboard.complaints)  # the browser's own words


def test_whole_days_have_no_lowest_and_no_highest_rating(served: Serving, dashboard: Dashboard) -> None:
    dashboard.open(served.address, since="2023-01-01T12:00:00Z", until="2024-10-31T12:00:00Z")
    dashboard.status("live")
    dashboard.page.wait_for_selector("#ratings .subtitle:has-text('whole days keep averages only')")
    found = dashboard.rows("ratings")
    assert found
    assert {(low, high) for _, low, _, high in found} == {("–", "–")}
    assert "–" not in {average for _, _, average, _ in found}


def test_an_unfinished_window_is_marked(served: Serving, dashboard: Dashboard) -> None:
    dashboard.open(served.address, since="2024-10-30T00:00:00Z", until="2024-10-31T10:30:00Z")
    dashboard.status("live")
    dashboard.shown(["views"])
    dashboard.page.wait_for_selector("#views .legend .so-far")
    starts = [row[0] for row in dashboard.rows("views")]
    assert {start for start in starts if "so far" in start} == {"31 Oct 2024, 10:00 (so far)"}
    dashboard.open(served.address, since="2024-10-30T00:00:00Z", until="2024-10-31T10:00:00Z")
    dashboard.page.wait_for_selector("#views .subtitle:has-text('10:00 UTC')")
    dashboard.shown(["views"])
    assert dashboard.page.locator("#views .legend .so-far").count() == 0
    assert [row for row in dashboard.rows("views") if "so far" in row[0]] == []


def test_how_soon_something_is_painted(
    served: Serving, dashboard: Dashboard, record_property: Callable[[str, object], None]
) -> None:
    dashboard.open(served.address)
    painted = dashboard.page.evaluate("""() => new Promise((resolve) => {
        new PerformanceObserver((list) => {
            const paint = list.getEntriesByName("first-contentful-paint")[0];
            if (paint) resolve(paint.startTime);
        }).observe({ type: "paint", buffered: true });
    })""")
    kilobytes = dashboard.page.evaluate(
        "performance.getEntries().reduce((sum, { transferSize }) => sum + (transferSize ?? 0), 0) / 1000"
    )
    record_property("milliseconds until first contentful paint", painted)
    print(f"first contentful paint after {painted:.0f} ms, {kilobytes:.0f} kB")  # noqa: T201
    assert painted > 0
