"""The page shows the figures of the database, panel by panel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from movie_stream.settings import Settings
from tests.browser.conftest import PANELS, Dashboard, apart, number
from tests.support.web.serving import events, fill, serving
from tests.support.whole_path import database

pytestmark = pytest.mark.browser
SINCE, UNTIL = datetime(2024, 10, 30, tzinfo=UTC), datetime(2024, 11, 1, tzinfo=UTC)
RANGE = {"since": "2024-10-30T00:00:00Z", "until": "2024-11-01T00:00:00Z"}


@pytest.fixture
def shown(settings: Settings, dashboard: Dashboard) -> Iterator[tuple[Dashboard, Any]]:
    """The page over two of three days of views, and the database."""
    apart(fill(settings, events(3_000)))
    with serving(settings) as server, database(settings) as db:
        dashboard.open(server.address, **RANGE)
        dashboard.status("live")
        dashboard.shown()
        yield dashboard, db
        assert dashboard.complaints == []


def _windows(db: Any, name: str, field: str = "timestamp") -> list[dict[str, Any]]:
    return list(db[name].find({field: {"$gte": SINCE, "$lt": UNTIL}}).sort(field, 1))


def _mean(documents: list[dict[str, Any]], field: str = "avg_rating") -> float | None:
    rated = sum(document["rated_views"] for document in documents)
    total = sum(document[field] * document["rated_views"] for document in documents if document["rated_views"])
    return total / rated if rated else None


def _moment(time: datetime) -> str:
    return f"{time.day} {time:%b %Y, %H:%M}"


def _start(db: Any, hour: datetime) -> str:
    """An hour as the tables show it: the last one as it is so far, unless the stream has ended."""
    reached = db["movies_aggregates"].find_one(sort=[("window_start", -1)])["window_start"] + timedelta(minutes=1)
    return _moment(hour) if hour + timedelta(hours=1) <= reached else f"{_moment(hour)} (so far)"


def _day(date: str) -> str:
    time = datetime.fromisoformat(date)
    return f"{time.day} {time:%b %Y}"


def test_tiles(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    windows = _windows(db, "movies_aggregates", "window_start")
    assert dashboard.tile("views") == sum(window["total_views"] for window in windows)
    assert dashboard.tile("avg_rating") == pytest.approx(_mean(windows), abs=0.0051)
    newest = db["active_users"].find_one(sort=[("timestamp", -1)])
    assert dashboard.tile("active_users_today") == newest["total_users"]
    assert dashboard.page.inner_text(".tile:nth-child(2) .note") == _day(newest["date"])
    assert [dashboard.tile(name) for name in ("events_per_s", "lag", "delay_ms")] == [None] * 3  # no worker runs


def test_views_over_time(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    wanted: Counter[tuple[str, str]] = Counter()
    for window in _windows(db, "movies_aggregates", "window_start"):
        hour = window["window_start"].replace(minute=0)
        wanted[_start(db, hour), window["slug"]] += window["total_views"]
    found = {(start, genre.lower()): number(views) for start, genre, views in dashboard.rows("views")}
    assert found == wanted
    assert "by hour" in dashboard.page.inner_text("#views .subtitle")


def test_genres(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    views: Counter[str] = Counter()
    for document in _windows(db, "daily_stats"):
        views[document["slug"]] += document["daily_views"]
    found = dashboard.rows("genres")
    assert {genre.lower(): number(count) for genre, count, *_ in found} == views
    counts = [number(count) or 0 for _, count, *_ in found]
    assert counts == sorted(counts, reverse=True)
    for genre, _, rating, _ in found:
        of_genre = [row for row in _windows(db, "daily_stats") if row["slug"] == genre.lower()]
        assert number(rating) == pytest.approx(_mean(of_genre, "avg_daily_rating"), abs=0.0051)


def test_films_of_an_hour_and_their_changes(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    *_, before, newest = _windows(db, "top_movies")
    old = {film["movie_id"]: rank for rank, film in enumerate(before["top_movies"], 1)}
    wanted = []
    for rank, film in enumerate(newest["top_movies"], 1):
        by = old[film["movie_id"]] - rank if film["movie_id"] in old else None
        change = "new" if by is None else f"▲ {by}" if by > 0 else f"▼ {-by}" if by else "="
        rating = "–" if film["avg_rating"] is None else f"{film['avg_rating']:.2f}"
        wanted.append([str(rank), change, film["title"], film["genre"], str(film["views"]), rating])
    assert dashboard.rows("films") == wanted
    dashboard.page.select_option("#films .hours", label=_moment(before["timestamp"]))
    titles = [film["title"] for film in before["top_movies"]]
    dashboard.shown(["films"])
    dashboard.page.wait_for_selector(f"#films .subtitle:has-text('{_moment(before['timestamp'])}')")
    assert [row[2] for row in dashboard.rows("films")] == titles
    assert dashboard.state()["hour"]


def test_ratings_over_time(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    hours: dict[str, list[dict[str, Any]]] = {}
    for window in _windows(db, "movies_aggregates", "window_start"):
        if window["rated_views"]:
            hours.setdefault(_start(db, window["window_start"].replace(minute=0)), []).append(window)
    found = dashboard.rows("ratings")
    assert {row[0] for row in found} == hours.keys()
    for start, low, average, high in found:
        windows = hours[start]
        assert number(low) == pytest.approx(min(window["min_rating"] for window in windows), abs=0.0051)
        assert number(average) == pytest.approx(_mean(windows), abs=0.0051)
        assert number(high) == pytest.approx(max(window["max_rating"] for window in windows), abs=0.0051)


def test_activity(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    wanted: Counter[tuple[str, str]] = Counter()
    for document in db["hourly_metrics"].find():  # the panel shows a week at least, which holds all of them
        time = document["timestamp"]
        wanted[f"{time:%A}", f"{time:%H}:00"] += document["total_views"]
    assert {(day, hour): number(views) for day, hour, views in dashboard.rows("activity")} == wanted


def test_audience(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    wanted = [
        [
            _day(document["date"]),
            *(f"{document[name]:,}" for name in ("total_users", "new_users", "returning_users", "sessions")),
        ]
        for document in db["active_users"].find().sort("timestamp", -1)
    ]
    found = dashboard.rows("audience")
    assert [row[:5] for row in found] == wanted
    for row, document in zip(found, db["active_users"].find().sort("timestamp", -1), strict=True):
        assert number(row[5]) == pytest.approx(document["avg_session_duration"], abs=0.51)


def test_top_users(shown: tuple[Dashboard, Any]) -> None:
    dashboard, db = shown
    newest = db["top_users"].find_one(sort=[("timestamp", -1)])
    wanted = [
        [str(rank), user["user_id"], f"{user['watch_count']:,}", f"{user['watch_time']:,}"]
        for rank, user in enumerate(newest["top_users"], 1)
    ]
    assert dashboard.rows("users") == wanted


def test_without_workers_it_says_so(shown: tuple[Dashboard, Any]) -> None:
    dashboard, _ = shown
    assert "movie-stream worker" in dashboard.page.inner_text("#workers")
    assert "Nothing was refused." in dashboard.page.inner_text("#dead_letters")
    assert set(PANELS) == {node.get_attribute("id") for node in dashboard.page.query_selector_all(".card")}
