"""Hours that are kept: asked again when, and only when, they may have changed."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from itertools import pairwise
from typing import Any, cast

import pytest

from movie_stream.events.timestamps import datetime_of
from movie_stream.web import hours as module
from movie_stream.web.asking import Asker
from movie_stream.web.figures import HOUR_MS, MINUTE_MS, by_genre
from movie_stream.web.hours import Hours

FIRST = 1_730_383_200_000


class Stored:
    """An asker over documents in memory, which counts what it is asked."""

    def __init__(self) -> None:
        self.changes = 0
        self.minutes: dict[tuple[int, str], int] = {}
        self.run = 1
        """The run that has counted the minutes."""
        self.said: dict[int, tuple[int, int | None]] = {}
        self.asked: list[tuple[int, int]] = []

    def count(self, minute: int, slug: str, views: int, run: int = 1) -> None:
        """Views of a minute, told by the hour too."""
        at = FIRST + minute * MINUTE_MS
        self.minutes[at, slug] = views
        self.say(at - at % HOUR_MS, run)

    def say(self, hour: int, run: int = 1) -> None:
        total = sum(views for (at, _), views in self.minutes.items() if at - at % HOUR_MS == hour)
        self.said[hour] = total, run

    async def once(self, key: Hashable, ask: Callable[[], Awaitable[Any]]) -> Any:
        return await ask()

    async def find(self, collection: str, wanted: Any, *_: Any) -> list[dict[str, Any]]:
        [bounds] = wanted.values()
        if collection == "hourly_metrics":
            return [
                {"timestamp": datetime_of(hour), "total_views": views, "_run": run}
                for hour, (views, run) in self.said.items()
                if bounds["$gte"] <= datetime_of(hour) < bounds["$lt"]
            ]
        start, end = ((time - datetime_of(FIRST)) // timedelta(hours=1) for time in bounds.values())
        self.asked.append((start, end))
        return [
            {"slug": slug, "genre": slug, "window_start": datetime_of(at), "total_views": views, "_run": self.run}
            for (at, slug), views in self.minutes.items()
            if bounds["$gte"] <= datetime_of(at) < bounds["$lt"]
        ]


@pytest.fixture
def stored() -> Stored:
    stored = Stored()
    for minute in range(0, 240, 7):
        stored.count(minute, "ab"[minute % 2], minute)
    return stored


@pytest.fixture
def hours(stored: Stored) -> Hours:
    return Hours(cast(Asker, stored))


async def views(hours: Hours, count: int = 4) -> dict[str, int]:
    rows = await hours.rows("minutes", FIRST, FIRST + count * HOUR_MS)
    return {slug: total.views for slug, total in by_genre(rows).items()}


def counted(stored: Stored) -> dict[str, int]:
    return {slug: sum(v for (_, of), v in stored.minutes.items() if of == slug) for slug in ("a", "b")}


async def test_what_is_known_is_not_asked_again(hours: Hours, stored: Stored) -> None:
    assert await views(hours) == counted(stored)
    assert await views(hours) == counted(stored)
    assert stored.asked == [(0, 4)]


async def test_only_the_hour_that_changed_is_asked_again(hours: Hours, stored: Stored) -> None:
    await views(hours)
    stored.count(130, "a", 1_000)
    assert await views(hours) == counted(stored)
    assert stored.asked == [(0, 4), (2, 3)]


async def test_an_hour_whose_minutes_come_after_it(hours: Hours, stored: Stored) -> None:
    """And the other way round: either is written first."""
    await views(hours)
    stored.said[FIRST] = stored.said[FIRST][0] + 5, 1
    await views(hours)
    stored.minutes[FIRST + MINUTE_MS, "a"] = 5
    stored.changes += 1
    assert await views(hours) == counted(stored)
    stored.minutes[FIRST + 2 * MINUTE_MS, "b"] = 3
    before = len(stored.asked)
    await views(hours)
    assert len(stored.asked) == before, "the hour does not say so yet"
    stored.say(FIRST)
    assert await views(hours) == counted(stored)


async def test_another_run_counts_anew(hours: Hours, stored: Stored) -> None:
    await views(hours)
    moved = dict(stored.minutes)
    stored.minutes, stored.run = {(at, "a"): count for (at, _), count in moved.items()}, 2
    for hour in range(4):
        stored.say(FIRST + hour * HOUR_MS, run=2)
    assert await views(hours) == {"a": sum(moved.values())}


async def test_another_run_whose_hours_are_written_before_their_minutes(hours: Hours, stored: Stored) -> None:
    """With sums that agree already: the minutes are still those of the run before."""
    await views(hours)
    moved = dict(stored.minutes)
    for hour in range(4):
        stored.say(FIRST + hour * HOUR_MS, run=2)
    assert await views(hours) == counted(stored)
    stored.minutes, stored.run = {(at, "a"): count for (at, _), count in moved.items()}, 2
    stored.changes += 1
    assert await views(hours) == {"a": sum(moved.values())}
    before = len(stored.asked)
    stored.changes += 1
    assert await views(hours) == {"a": sum(moved.values())}
    assert len(stored.asked) == before, "all are of one run now"


async def test_what_never_agrees_is_asked_less_and_less(
    hours: Hours, stored: Stored, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [1_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    stored.said.clear()
    asked_at = []
    for _ in range(4_000):
        before = len(stored.asked)
        assert await views(hours, 1) == {"a": sum(range(0, 60, 14)), "b": sum(range(7, 60, 14))}
        asked_at += [now[0]] * (len(stored.asked) > before)
        now[0] += 0.05
    pauses = [b - a for a, b in pairwise(asked_at)]
    assert pauses[:2] == pytest.approx([0.2, 0.4], abs=0.11)
    assert max(pauses) == pytest.approx(30, abs=0.11)
    assert len(asked_at) < 20


async def test_the_rows_that_are_kept_are_bounded(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 20)
    hours = Hours(cast(Asker, stored))
    assert await views(hours) == counted(stored)
    assert sum(len(kept.rows) for kept in hours._kept["minutes"].values()) <= 20
    assert await views(hours) == counted(stored)


async def test_hours_without_views_are_bounded_too(stored: Stored, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_ROWS", 20)
    hours = Hours(cast(Asker, stored))
    for day in range(100, 200):
        assert await hours.rows("minutes", FIRST + day * 24 * HOUR_MS, FIRST + (day + 1) * 24 * HOUR_MS) == []
        assert len(hours._kept["minutes"]) <= 20


async def test_of_many_gaps_one_query_is_made(hours: Hours, stored: Stored) -> None:
    for minute in range(240, 20 * 60, 13):
        stored.count(minute, "a", 1)
    await views(hours, 20)
    for hour in range(0, 20, 2):
        stored.count(hour * 60 + 1, "b", 9)
    stored.asked.clear()
    assert await views(hours, 20) == counted(stored)
    assert stored.asked == [(0, 19)]
