"""Health: whether this process lives, and whether what it needs is there; which of them fails, and why."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final, Literal

import pymongo
from fastapi import APIRouter
from pydantic import BaseModel
from pymongo.errors import PyMongoError
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.errors import MovieStreamError
from movie_stream.mongo.client import explain
from movie_stream.mongo.written import json_of
from movie_stream.settings import Settings
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.fleet import workers
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameters
from movie_stream.web.problems import Problem
from movie_stream.web.rendering import MEDIA_TYPES, json_response

State = Literal["ok", "warn", "fail", "not set", "unknown"]
LAG_OF_CONCERN: Final = 100_000
"""Records that wait, from which on workers are said to be behind."""
AGE_OF_CONCERN_S: Final = 900
_MONGODB_WITHIN_S: Final = 3.0
_BROKER_WITHIN_S: Final = 3.0
_KEPT_S: Final = 1.0
_BROKER_KEPT_S: Final = 5.0


class Live(BaseModel):
    """What `/health/live` answers, always: that it does is what it says."""

    status: Literal["ok"]


class Check(BaseModel):
    """How it is with one thing that is needed, and why where it is not `ok`."""

    status: State
    detail: str | None = None


class LagCheck(Check):
    """How many records wait for the workers."""

    records: int | None = None


class AgeCheck(Check):
    """How long ago, by the clock, the newest minute window ended."""

    age_s: float | None = None


class Checks(BaseModel):
    """What is looked at, and how each of it is."""

    mongodb: Check
    broker: Check
    workers: Check
    lag: LagCheck
    newest_result: AgeCheck


class Ready(BaseModel):
    """Failing where MongoDB, or the broker if one is set, is not there; of the rest it is only warned."""

    status: Literal["ok", "failing"]
    checks: Checks


def health_router(health: HealthCheck, is_authorized: Callable[[Request], bool], *, described: bool) -> APIRouter:
    """Both resources; who is not let in learns which check fails, and not why."""
    router, none = APIRouter(include_in_schema=described), Parameters()

    async def live(request: Request) -> Response:
        none.read(request)
        return json_response(request, {"status": "ok"})

    async def ready(request: Request) -> Response:
        none.read(request)
        checks = await health.checks()
        if not is_authorized(request):
            checks = {name: {"status": check["status"]} for name, check in checks.items()}
        failing = any(check["status"] == "fail" for check in checks.values())
        body = json_of({"status": "failing" if failing else "ok", "checks": checks})
        headers = {"Cache-Control": "no-store"} | ({"Retry-After": "1"} if failing else {})
        return Response(body, 503 if failing else 200, headers, MEDIA_TYPES["json"])

    said = operation("Whether what the server needs is there", none, Ready, "server")
    said["responses"][503] = {"description": "MongoDB or the broker is not there.", "model": Ready}
    router.add_api_route("/health/live", live, **operation("Whether the server lives", none, Live, "server"))
    router.add_api_route("/health/ready", ready, **said)
    return router


class HealthCheck:
    """What is there and what is not; looked at once for all who ask within a second."""

    def __init__(self, dashboard: Dashboard) -> None:
        self._dashboard, self._broker = dashboard, BrokerCheck(dashboard.settings)
        self._known: tuple[float, dict[str, dict[str, Any]]] | None = None
        self._looking = asyncio.Lock()

    async def checks(self) -> dict[str, dict[str, Any]]:
        """The fields of `Checks`, at most a second old."""
        async with self._looking:
            if self._known is None or time.monotonic() - self._known[0] > _KEPT_S:
                found = await self._look()
                self._known = time.monotonic(), found
            return self._known[1]

    async def _look(self) -> dict[str, dict[str, Any]]:
        broker, mongodb = await asyncio.gather(self._broker.check(), self._mongodb())
        if mongodb["status"] != "ok":
            return {"mongodb": mongodb, "broker": broker, **_unknown("not known while MongoDB does not answer")}
        try:
            async with asyncio.timeout(_MONGODB_WITHIN_S):
                rest = await _of_results(self._dashboard)
        except (MovieStreamError, Problem, TimeoutError) as error:  # which may be nothing but too many who ask
            cause = error.detail if isinstance(error, Problem) else str(error)
            rest = _unknown(cause or f"not known: the answer takes longer than {_MONGODB_WITHIN_S:g} s")
        return {"mongodb": mongodb, "broker": broker, **rest}

    async def _mongodb(self) -> dict[str, Any]:
        """Whether MongoDB answers; not by way of the asker, whose queries may have to wait for each other."""
        db = self._dashboard.asker.db
        try:
            with pymongo.timeout(_MONGODB_WITHIN_S):
                async with asyncio.timeout(_MONGODB_WITHIN_S + 1):
                    await db.command("ping")
        except TimeoutError:  # the driver would have said so before if it had asked
            return {"status": "unknown", "detail": "this server has too much to do to ask MongoDB"}
        except PyMongoError as error:
            return {"status": "fail", "detail": str(explain(error, db))}
        return {"status": "ok", "detail": None}


def _unknown(cause: str) -> dict[str, dict[str, Any]]:
    unknown = {"status": "unknown", "detail": cause}
    return {"workers": unknown, "lag": {**unknown, "records": None}, "newest_result": {**unknown, "age_s": None}}


class BrokerCheck:
    """Whether a broker answers; looked at once in five seconds, since a connection is made for it."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._known: tuple[float, dict[str, Any]] | None = None
        self._looking = asyncio.Lock()

    async def check(self) -> dict[str, Any]:
        """The broker's `Check`, at most five seconds old."""
        if self._settings.kafka_bootstrap_servers is None:
            return {"status": "not set", "detail": "KAFKA_BOOTSTRAP_SERVERS is not set, which serving does not need"}
        async with self._looking:
            if self._known is None or time.monotonic() - self._known[0] > _BROKER_KEPT_S:
                found = await self._look()
                self._known = time.monotonic(), found
            return self._known[1]

    async def _look(self) -> dict[str, Any]:
        from movie_stream.kafka.cluster import client  # which takes a while, and many never ask

        try:
            async with asyncio.timeout(_BROKER_WITHIN_S), client.admin(self._settings):
                return {"status": "ok", "detail": None}
        except MovieStreamError as error:
            return {"status": "fail", "detail": str(error)}
        except TimeoutError:
            return {"status": "fail", "detail": f"the broker has not answered within {_BROKER_WITHIN_S:g} s"}


async def _of_results(dashboard: Dashboard) -> dict[str, dict[str, Any]]:
    fleet = await workers(dashboard.asker)
    heard = [worker for worker in fleet if not worker.silent]
    lags = [worker.lag for worker in heard if worker.lag is not None]
    end = await dashboard.rollup.stream_time()
    age_s = None if end is None else max((datetime.now(UTC) - end).total_seconds(), 0.0)
    return {
        "workers": _check(
            len(heard) == len(fleet) and bool(heard),
            f"{len(heard)} running, {len(fleet) - len(heard)} not heard of; start one with: movie-stream worker",
        ),
        "lag": {
            **_check(sum(lags) < LAG_OF_CONCERN, f"expected fewer than {LAG_OF_CONCERN:,} records that wait"),
            "records": sum(lags),
        }
        if lags
        else {"status": "unknown", "detail": "no running worker says how many records wait", "records": None},
        "newest_result": {
            **_check(
                age_s is not None and age_s < AGE_OF_CONCERN_S,
                f"expected a view of the last {AGE_OF_CONCERN_S // 60} minutes" if end else "nothing is counted yet",
            ),
            "age_s": age_s,
        },
    }


def _check(well: bool, otherwise: str) -> dict[str, Any]:
    return {"status": "ok", "detail": None} if well else {"status": "warn", "detail": otherwise}
