"""`/series`: views and ratings over time, at most some hundred points, of which the range decides how long each is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.events.event import slug_of
from movie_stream.events.timestamps import datetime_of
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.figures import DAY_MS, HOUR_MS, MINUTE_MS, Figures, Total, by_genre
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameters, number_parameter
from movie_stream.web.ranges import RANGE, TimeRange
from movie_stream.web.rendering import json_response
from movie_stream.web.resources import GENRE

MOST_POINTS: Final = 500
_MOST_GENRES: Final = 12
_POINTS: Final = number_parameter("points", "How many points at most.", least=10, most=MOST_POINTS, default=300)
_PARAMETERS: Final = Parameters((*RANGE, GENRE, _POINTS))
SERIES_STEPS: Final = (MINUTE_MS, HOUR_MS, DAY_MS)
TREND_STEPS: Final = (
    *(MINUTE_MS, 2 * MINUTE_MS, 5 * MINUTE_MS),
    *(HOUR_MS, 2 * HOUR_MS, 3 * HOUR_MS, DAY_MS),  # parts of days are put together of hours, which takes longer
)
TREND_POINTS: Final = 60


class GenreSeries(BaseModel):
    """Views of one genre over time; of all smaller ones together where there is no name."""

    genre: str | None
    slug: str | None
    views: list[int]


class Series(BaseModel):
    """Figures over time: each list has an entry for each of the times, which are starts."""

    resolution: Literal["minute", "hour", "day"]
    step_s: int
    since: datetime | None
    until: datetime | None
    times: list[datetime]
    genres: list[GenreSeries]
    views: list[int]
    avg_rating: list[float | None]
    min_rating: list[float | None]
    max_rating: list[float | None]


@dataclass(frozen=True, slots=True)
class Axis:
    """Steps of one length, from 1970 on, that cover a range."""

    first_ms: int
    step_ms: int
    count: int

    @classmethod
    def of(cls, start_ms: int, end_ms: int, steps: Sequence[int], points: int) -> Axis:
        """The finest of the steps, or whole multiples of the longest, of which so many points cover the range.

        >>> Axis.of(0, DAY_MS, SERIES_STEPS, 300), Axis.of(0, 601 * DAY_MS, SERIES_STEPS, 300).step_ms // DAY_MS
        (Axis(first_ms=0, step_ms=3600000, count=24), 3)
        """
        for step_ms in steps:
            if _count(start_ms, end_ms, step_ms) <= points:
                break
        else:
            longest = steps[-1]
            multiple = -(-(end_ms - start_ms) // (points * longest))
            while _count(start_ms, end_ms, multiple * longest) > points:
                multiple += 1
            step_ms = multiple * longest
        return cls(start_ms // step_ms * step_ms, step_ms, _count(start_ms, end_ms, step_ms))

    @property
    def times(self) -> list[datetime]:
        """The start of each step."""
        return [datetime_of(self.first_ms + at * self.step_ms) for at in range(self.count)]

    @property
    def resolution(self) -> Literal["minute", "hour", "day"]:
        """The windows that the steps are made of."""
        return "day" if self.step_ms % DAY_MS == 0 else "hour" if self.step_ms % HOUR_MS == 0 else "minute"

    def totals(self, rows: Iterable[Figures]) -> list[Total]:
        """What all of them are at each step."""
        totals = [Total() for _ in range(self.count)]
        for row in rows:
            totals[(row.start_ms - self.first_ms) // self.step_ms].add(row)
        return totals

    def views(self, rows: Iterable[Figures], slugs: Sequence[str]) -> list[list[int]]:
        """The views of each of these genres at each step, and last those of all others."""
        lines = [[0] * self.count for _ in range(len(slugs) + 1)]
        place = {slug: at for at, slug in enumerate(slugs)}
        others = len(slugs)
        for row in rows:
            lines[place.get(row.slug, others)][(row.start_ms - self.first_ms) // self.step_ms] += row.views
        return lines


def _count(start_ms: int, end_ms: int, step_ms: int) -> int:
    return -(-end_ms // step_ms) - start_ms // step_ms


def series_router(dashboard: Dashboard) -> APIRouter:
    """Answers `/series`."""
    router = APIRouter()

    async def series(request: Request) -> Response:
        given = _PARAMETERS.read(request)
        within = await dashboard.range_of(given)
        return json_response(request, await _series(dashboard, within, given["genre"], given["points"]))

    summary = "Views by genre and ratings over time"
    router.add_api_route("/series", series, **operation(summary, _PARAMETERS, Series, "dashboard"))
    return router


async def _series(dashboard: Dashboard, within: TimeRange, genre: str | None, points: int) -> dict[str, Any]:
    bounds = await dashboard.rollup.bounds(within)
    start_ms, end_ms = bounds or (0, 0)
    axis = Axis.of(start_ms, end_ms, SERIES_STEPS, points)
    slug = None if genre is None else slug_of(genre)
    rows = await dashboard.rollup.rows(start_ms, end_ms, axis.step_ms, slug) if bounds else []
    found = by_genre(rows)
    slugs = sorted(found, key=lambda one: (-found[one].views, one))
    *lines, others = axis.views(rows, slugs[:_MOST_GENRES])
    shown: list[dict[str, Any]] = [
        {"genre": found[one].genre, "slug": one, "views": line}
        for one, line in zip(slugs[:_MOST_GENRES], lines, strict=True)
    ]
    if len(slugs) > _MOST_GENRES:
        shown.append({"genre": None, "slug": None, "views": others})
    totals = axis.totals(rows)
    by_day = axis.resolution == "day"  # of whole days no extremes are kept, so hours at the edges are shown without too
    return {
        "resolution": axis.resolution,
        "step_s": axis.step_ms // 1_000,
        "since": within.since,
        "until": within.until,
        "times": axis.times,
        "genres": shown,
        "views": [total.views for total in totals],
        "avg_rating": [total.avg_rating for total in totals],
        "min_rating": [None if by_day else total.least for total in totals],
        "max_rating": [None if by_day else total.most for total in totals],
    }
