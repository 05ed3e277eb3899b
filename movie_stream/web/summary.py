"""`/summary`: the figures of the dashboard's tiles, each with what it was before."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.events.event import slug_of
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.figures import Total
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameters
from movie_stream.web.pulse import Sample
from movie_stream.web.ranges import RANGE
from movie_stream.web.rendering import json_response
from movie_stream.web.resources import GENRE
from movie_stream.web.series import TREND_POINTS, TREND_STEPS, Axis
from movie_stream.web.stored import USERS

_PARAMETERS: Final = Parameters((*RANGE, GENRE))
_DAYS: Final = 30


class Trend(BaseModel):
    """A figure, and what it was before, the newest last."""

    value: float | None
    trend: list[float | None]


class UsersOfDay(Trend):
    """The users of a day; the trend is that of the days before."""

    day: str | None


class Summary(BaseModel):
    """The figures of the dashboard's tiles, of the range and genre that were asked for."""

    now: datetime
    stream_time: datetime | None
    since: datetime | None
    until: datetime | None
    views: Trend
    active_users_today: UsersOfDay
    avg_rating: Trend
    events_per_s: Trend
    lag: Trend
    delay_ms: Trend
    workers: int
    database_empty: bool


def summary_router(dashboard: Dashboard) -> APIRouter:
    """Answers `/summary`."""
    router = APIRouter()

    async def summary(request: Request) -> Response:
        given = _PARAMETERS.read(request)
        within = await dashboard.range_of(given)
        stream_time = await dashboard.rollup.stream_time()
        bounds = await dashboard.rollup.bounds(within)
        (total, trend), samples, users = await asyncio.gather(
            _figures(dashboard, bounds, given["genre"]),
            dashboard.pulse.samples(),
            dashboard.asker.once("users", lambda: _users(dashboard)),
        )
        return json_response(
            request,
            {
                "stream_time": stream_time,
                "since": within.since,
                "until": within.until,
                "views": {"value": total.views, "trend": [one.views for one in trend]},
                "active_users_today": users,
                "avg_rating": {"value": total.avg_rating, "trend": [one.avg_rating for one in trend]},
                "events_per_s": _trend(samples, lambda sample: sample.events_per_s),
                "lag": _trend(samples, lambda sample: sample.lag),
                "delay_ms": _trend(samples, lambda sample: sample.delay_ms),
                "workers": samples[-1].workers,
                "database_empty": stream_time is None,
            },
            passing={"now": datetime.now(UTC)},
        )

    words = "Totals of a range, and how the workers do"
    router.add_api_route("/summary", summary, **operation(words, _PARAMETERS, Summary, "dashboard"))
    return router


async def _figures(
    dashboard: Dashboard, bounds: tuple[int, int] | None, genre: str | None
) -> tuple[Total, list[Total]]:
    """What all of the range amounts to, and each step of it."""
    if bounds is None:
        return Total(), []
    axis = Axis.of(*bounds, TREND_STEPS, TREND_POINTS)
    rows = await dashboard.rollup.rows(*bounds, axis.step_ms, None if genre is None else slug_of(genre))
    total = Total()
    for row in rows:
        total.add(row)
    return total, axis.totals(rows)


async def _users(dashboard: Dashboard) -> dict[str, Any]:
    found = await dashboard.asker.find(USERS.collection, {}, list(USERS.fields), [(USERS.start, -1)], _DAYS)
    newest = found[0] if found else {}
    return {
        "value": newest.get("total_users"),
        "day": newest.get("date"),
        "trend": [day.get("total_users") for day in reversed(found)],
    }


def _trend(samples: Sequence[Sample], of: Callable[[Sample], float | None]) -> dict[str, Any]:
    return {"value": of(samples[-1]), "trend": [of(sample) for sample in samples]}
