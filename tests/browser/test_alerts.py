"""The panel of alerts: what has happened in the reader's words, on a phone too, and how far it is evaluated."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

import pytest
from bson.int64 import Int64
from playwright.sync_api import Route

from movie_stream.alerts.evaluation import Streak
from movie_stream.alerts.rules import Beyond, BeyondUsual, Climbing, Quality, RatingFalling, Rule
from movie_stream.alerts.wording import body_of
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.browser.conftest import Dashboard, apart
from tests.browser.test_access import AXE
from tests.support.reference import HOUR_MS
from tests.support.web.serving import Serving, serving

pytestmark = pytest.mark.browser
NOON_MS: Final = timestamp_ms_of(datetime(2024, 10, 31, 12, tzinfo=UTC))
SMALL_PHONE: Final = (375, 9_000)
ALERTS: Final = (
    (
        Rule("busy", "views", Beyond("above", 1000.0), severity="critical"),
        Streak("all", NOON_MS, 2, 1234, NOON_MS, 1000),
    ),
    (
        Rule("fewer than usual", "views", BeyondUsual("below", 0.5), "each"),
        Streak("film noir", NOON_MS - HOUR_MS, 1, 1, NOON_MS - HOUR_MS, 6, 12, "Film Noir", NOON_MS),
    ),
    (
        Rule("worse rated", "rating_falling", RatingFalling(0.5), "each"),
        Streak("drama", NOON_MS - 2 * HOUR_MS, 1, 2.25, NOON_MS, 3, 3.5, "Drama", NOON_MS),
    ),
    (
        Rule("trending", "climbing", Climbing(3.0), "each", severity="info"),
        Streak("m1", NOON_MS - 3 * HOUR_MS, 1, 40, NOON_MS, 30, 10, "Le Fabuleux Destin d'Amélie Poulain", NOON_MS),
    ),
    (
        Rule("silence", "silence", Beyond("below", 1.0), window_ms=300_000, severity="critical"),
        Streak("all", NOON_MS - 4 * HOUR_MS, 2, 0, NOON_MS, 1, None, None, NOON_MS),
    ),
    (
        Rule("many bad records", "quality", Quality("bad", "above", 0.01, "records"), "each"),
        Streak("0", NOON_MS - 5 * HOUR_MS, 1, 0.02, NOON_MS, 0.01, None, None, NOON_MS),
    ),
)


async def _fill(settings: Settings) -> None:
    ours: dict[str, Any] = {"_run": Int64(1), "_pass": Int64(1), "_told": None, "_untold": False}
    async with opened(settings) as db:
        await ensure(db)
        await db["alerts"].insert_many([{**body_of(rule, streak), **ours} for rule, streak in ALERTS])


@pytest.fixture
def served(settings: Settings) -> Iterator[Serving]:
    apart(_fill(settings))
    with serving(settings) as server:
        yield server


def test_it_says_what_has_happened_in_either_language(served: Serving, dashboard: Dashboard) -> None:
    dashboard.open(served.address)
    dashboard.shown(["alerts"])
    assert [row[2:4] for row in dashboard.rows("alerts")] == [
        ["all genres", "1,234 views in 1 h, above 1,000"],
        ["Film Noir", "1 view in 1 h, below 6; usually 12"],
        ["Drama", "average rating 2.25 in 1 h, at most 3; 3.50 before"],
        ["Le Fabuleux Destin d'Amélie Poulain", "40 views in 1 h, above 30; usually 10"],
        ["all genres", "no view in 5 min"],
        ["Partition 0", "partition 0: bad of records 0.02 in the hour from 2024-10-31 12:00 UTC, above 0.01"],
    ]
    assert dashboard.page.inner_text("#alerts .subtitle") == "1 open alert"
    dashboard.open(served.address, lang="fr")
    dashboard.shown(["alerts"])
    first, second, *_, last = dashboard.rows("alerts")
    assert [" ".join(cell.split()) for cell in first] == [
        *("critique", "busy", "tous les genres", "1 234 vues en 1 h, plus de 1 000"),
        *("31 oct. 2024, 12:00", "en cours"),
    ]
    assert second[3] == "1 vue en 1 h, moins de 6 ; d’habitude 12"
    assert last[2] == "Partition 0"
    assert dashboard.page.locator("#alerts [lang=en]").all_inner_texts() == [last[3]], "said by the server alone"
    assert dashboard.complaints == []


def test_how_far_it_is_evaluated_and_what_is_not_delivered(served: Serving, dashboard: Dashboard) -> None:
    def more(route: Route) -> None:
        answer = route.fetch().json()
        route.fulfill(body=json.dumps({**answer, "evaluated_until": "2024-10-31T14:05:00Z", "undelivered": 1}))

    dashboard.page.route("**/api/v1/alerts?*", more)
    dashboard.open(served.address)
    dashboard.shown(["alerts"])
    assert dashboard.page.inner_text("#alerts .subtitle") == (
        "1 open alert · evaluated until 31 Oct 2024, 14:05 UTC · 1 message still to be delivered"
    )


def test_on_a_phone_all_of_an_alert_is_seen_without_scrolling_sideways(served: Serving, dashboard: Dashboard) -> None:
    dashboard.resize(SMALL_PHONE)
    for language in ("en", "fr"):
        dashboard.open(served.address, lang=language)
        dashboard.shown(["alerts"])
        scrolls = "node => node.scrollWidth > node.clientWidth"
        assert not dashboard.page.locator("#alerts .scroll").evaluate(scrolls)
        for cell in dashboard.page.locator("#alerts tbody tr:first-child td span").all():
            box = cell.bounding_box()
            assert box is not None
            assert box["width"] > 0
            assert box["x"] + box["width"] <= SMALL_PHONE[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("size", [(1280, 3_500), SMALL_PHONE], ids=["desktop", "phone"])
def test_axe_finds_nothing_in_any_colour(
    served: Serving, dashboard: Dashboard, theme: str, size: tuple[int, int]
) -> None:
    dashboard.resize(size)
    dashboard.open(served.address, theme=theme)
    dashboard.shown(["alerts"])
    dashboard.page.evaluate(AXE)
    found = dashboard.page.evaluate("axe.run('#alerts', {resultTypes: ['violations']})")
    assert [(one["id"], [node["html"] for node in one["nodes"]]) for one in found["violations"]] == []
