"""The panels of the dashboard: genres, films of an hour, activity, audience, users of a day, data quality (in
quality.py), dead letters, workers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.web import models_of_panels as shown
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.figures import DAY_MS, HOUR_MS, by_genre
from movie_stream.web.fleet import refused_by_all, workers
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameters, number_parameter
from movie_stream.web.quality import quality
from movie_stream.web.ranges import AT, RANGE, TimeRange
from movie_stream.web.rendering import json_response
from movie_stream.web.stored import GENRES, HOURS, TOP_MOVIES, TOP_USERS, USERS, Stored

Answer = Callable[[Dashboard, dict[str, Any]], Awaitable[dict[str, Any]]]
_LIMIT: Final = number_parameter("limit", "How many at most.", least=1, most=1_000, default=10)
_MOST_GENRES: Final = 10_000
_MOST_DAYS: Final = 400
_MOST_STARTS: Final = 48
_MOST_CELLS: Final = 7 * 24


def panels_router(dashboard: Dashboard) -> APIRouter:
    """Answers every resource of PANELS."""
    router = APIRouter()
    for path, words, parameters, model, answer in PANELS:
        _add(router, dashboard, path, words, Parameters(parameters), model, answer)
    return router


def _add(
    router: APIRouter,
    dashboard: Dashboard,
    path: str,
    words: str,
    parameters: Parameters,
    model: type[BaseModel],
    answer: Answer,
) -> None:
    async def panel(request: Request) -> Response:
        return json_response(request, await answer(dashboard, parameters.read(request)))

    router.add_api_route(path, panel, name=path, **operation(words, parameters, model, "dashboard"))


async def _genres(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    within, limit = await dashboard.range_of(given), given["limit"]
    if within == TimeRange():
        ask, wanted, views = dashboard.asker.find, {"slug": {"$type": "string"}}, GENRES.views
        fields, order = [views, GENRES.average, *GENRES.fields], [(views, -1), ("slug", 1)]
        found = await dashboard.asker.once(
            ("genres", limit), lambda: ask(GENRES.collection, wanted, fields, order, limit)
        )
        items = [
            {
                "genre": one.get("genre") or one["slug"],
                "slug": one["slug"],
                "views": one.get(views) or 0,
                "avg_rating": one.get(GENRES.average),
                "unique_users": one.get("unique_users"),
            }
            for one in found
        ]
    else:
        bounds = await dashboard.rollup.bounds(within)
        totals = by_genre(await dashboard.rollup.rows(*bounds, None)) if bounds else {}
        largest = sorted(totals, key=lambda slug: (-totals[slug].views, slug))[:limit]
        items = [
            {
                "genre": totals[slug].genre,
                "slug": slug,
                "views": totals[slug].views,
                "avg_rating": totals[slug].avg_rating,
                "unique_users": None,  # sketches of windows are not stored, and their estimates do not add up
            }
            for slug in largest
        ]
    return {"since": within.since, "until": within.until, "items": items}


async def _top_movies(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    newest, at = await _windows(dashboard, TOP_MOVIES, given, HOUR_MS)
    current = await _newest(dashboard, TOP_MOVIES, at)
    before = await _newest(dashboard, TOP_MOVIES, at and {"$lt": at})
    ranks = {film.get("movie_id"): rank for rank, film in enumerate(_entries(before, TOP_MOVIES), 1)}
    return {
        "hour": at,
        "previous": before[0][TOP_MOVIES.start] if before else None,
        "hours": newest,
        "items": [
            {
                "rank": rank,
                "previous_rank": ranks.get(film.get("movie_id")),
                **{name: film.get(name) for name in TOP_MOVIES.fields},
            }
            for rank, film in enumerate(_entries(current, TOP_MOVIES), 1)
        ],
    }


async def _top_users(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    newest, at = await _windows(dashboard, TOP_USERS, given, DAY_MS)
    current = await _newest(dashboard, TOP_USERS, at)
    return {
        "day": None if at is None else f"{at.date()}",
        "days": [f"{day.date()}" for day in newest],
        "items": [
            {"rank": rank, **{name: user.get(name) for name in TOP_USERS.fields}}
            for rank, user in enumerate(_entries(current, TOP_USERS), 1)
        ],
    }


async def _windows(
    dashboard: Dashboard, result: Stored, given: dict[str, Any], length_ms: int
) -> tuple[list[datetime], datetime | None]:
    """The starts of the newest windows, and of the one that is meant: of `at`, or the newest that the range touches."""
    within = await dashboard.range_of(given)
    newest = await _starts(dashboard, result, {}, _MOST_STARTS)
    if given["at"] is not None:
        return newest, _start_of(given["at"], length_ms)
    if within == TimeRange():
        return newest, newest[0] if newest else None
    found = await _starts(dashboard, result, within.touched(result.start, length_ms), 1)
    return newest, found[0] if found else None


def _start_of(time: datetime, length_ms: int) -> datetime:
    """The start of the window of this length that the time lies in; before 1970, when there is none, the time."""
    time_ms = timestamp_ms_of(time)
    return time if time_ms < 0 else datetime_of(time_ms - time_ms % length_ms)


async def _starts(dashboard: Dashboard, result: Stored, wanted: dict[str, Any], limit: int) -> list[datetime]:
    asker, start = dashboard.asker, result.start
    found = await asker.once(
        (result.collection, "starts", str(wanted), limit),
        lambda: asker.find(result.collection, wanted, [start], [(start, -1)], limit),
    )
    return [one[start] for one in found if isinstance(one.get(start), datetime)]


async def _newest(dashboard: Dashboard, result: Stored, start: Any) -> list[dict[str, Any]]:
    """The newest document with such a start, if there is one; none for None."""
    if start is None:
        return []
    asker, fields, order = dashboard.asker, [result.start, result.entries], [(result.start, -1)]
    return await asker.once(
        (result.collection, "list", str(start)),
        lambda: asker.find(result.collection, {result.start: start}, fields, order, 1),
    )


def _entries(found: list[dict[str, Any]], result: Stored) -> list[Mapping[str, Any]]:
    return result.shape.list_of(found[0]) if found else []


async def _activity(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    within, timezone = await dashboard.range_of(given), dashboard.settings.timezone
    moment = {"date": f"${HOURS.start}", "timezone": timezone}
    group = {
        "_id": {"d": {"$isoDayOfWeek": moment}, "h": {"$hour": moment}},
        "views": {"$sum": f"${HOURS.views}"},
    }
    match = within.touched(HOURS.start, HOUR_MS) or {HOURS.start: {"$type": "date"}}
    asker = dashboard.asker
    found = await asker.once(
        ("activity", within.since, within.until),
        lambda: asker.aggregate(HOURS.collection, [{"$match": match}, {"$group": group}], _MOST_CELLS),
    )
    cells = sorted([cell["_id"]["d"] - 1, cell["_id"]["h"], int(cell["views"])] for cell in found)
    return {"since": within.since, "until": within.until, "timezone": timezone, "cells": cells}


async def _audience(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    within, asker = await dashboard.range_of(given), dashboard.asker
    start, wanted = USERS.start, within.touched(USERS.start, DAY_MS)
    found = await asker.once(
        ("audience", within.since, within.until),
        lambda: asker.find(USERS.collection, wanted, [start, *USERS.fields], [(start, -1)], _MOST_DAYS + 1),
    )
    newest, older = found[:_MOST_DAYS], found[_MOST_DAYS:]
    days = [{name: day.get(name) for name in USERS.fields} for day in reversed(newest)]
    since = newest[-1].get(start) if older else within.since
    return {"since": since, "until": within.until, "days": days}


async def _dead_letters(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    refused = refused_by_all(await workers(dashboard.asker))
    items = [{"reason": reason, "count": count} for reason, count in refused.most_common()]
    return {"total": refused.total(), "items": items}


async def _workers(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    return {"items": [worker.row() for worker in await workers(dashboard.asker)]}


PANELS: Final[tuple[tuple[str, str, tuple[Any, ...], type[BaseModel], Answer], ...]] = (
    ("/genres", "Genres with most views in a range", (*RANGE, _LIMIT), shown.Genres, _genres),
    ("/top-movies", "Films of an hour, and where they stood before", (*RANGE, AT), shown.TopMoviesPanel, _top_movies),
    ("/activity", "Views by day of the week and hour of the day", RANGE, shown.Activity, _activity),
    ("/audience", "Users of each day, new and returning", RANGE, shown.Audience, _audience),
    ("/top-users", "Users of a day with most views", (*RANGE, AT), shown.TopUsersPanel, _top_users),
    ("/quality", "What the records of each source partition are worth", RANGE, shown.QualityPanel, quality),
    ("/dead-letters", "What the running workers have refused", (), shown.DeadLetters, _dead_letters),
    ("/workers", "The workers, and where they stand", (), shown.Workers, _workers),
)
"""Path, what it is, parameters, model and function of each."""
