"""The server: the application put together, and how it runs until it is told to end."""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI
from pymongo.errors import PyMongoError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from movie_stream import __version__
from movie_stream.alerts import expectations
from movie_stream.errors import MovieStreamError, SettingMissing
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.users import may_write
from movie_stream.settings import Settings
from movie_stream.web.access import API, Guarded, is_loopback
from movie_stream.web.alerts import alerts_router
from movie_stream.web.asking import PATIENCE_MS, Asker
from movie_stream.web.changes import changes_router
from movie_stream.web.cursor import Sealer
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.feed import Feed
from movie_stream.web.health import HealthCheck, health_router
from movie_stream.web.http_server import Reached, Server, bind, config_of, in_one_line
from movie_stream.web.index import index_router
from movie_stream.web.odata_feed import ODataFeed
from movie_stream.web.panels import panels_router
from movie_stream.web.problems import Problem, problem_of
from movie_stream.web.pulse import Pulse
from movie_stream.web.requests import Requests
from movie_stream.web.resources import resources_router
from movie_stream.web.rollup import Rollup
from movie_stream.web.series import series_router
from movie_stream.web.session import Authenticator, session_router
from movie_stream.web.static_files import Files, static_router
from movie_stream.web.summary import summary_router
from movie_stream.web.telemetry import Telemetry

logger = logging.getLogger(__name__)

_ASK_AGAIN_S: Final = 5.0
_DESCRIPTION: Final = (
    "The results as workers write them to MongoDB, for reading. Times are RFC 3339 in UTC, figures unrounded; errors "
    "are problem details (RFC 9457)."
)


async def serve(settings: Settings, *, insecure: bool, announce: Callable[[str], None]) -> None:
    """Serves until SIGINT or SIGTERM; `announce` is told the address once it can be opened.

    Raises SettingMissing where strangers could come in without a token, unless that is meant (`insecure`),
    SettingsError for an address, a port or a MONGODB_URI that cannot be used, and RulesRefused for an
    ALERTS_FILE. A MongoDB that is away is no reason not to begin.
    """
    listener = bind(settings.api_host, settings.api_port)
    try:
        host, port = listener.getsockname()[:2]
        open_to_all = settings.api_token is None and not is_loopback(host)
        if open_to_all and not insecure:
            raise SettingMissing(
                variable="API_TOKEN",
                remedy=f"and {settings.api_host} is open to other hosts; set it (or API_TOKEN_FILE) to a secret that "
                "programs and the page have to show, or say --insecure where everybody may read the results",
            )
        async with application(settings, open_to_all=open_to_all) as app:
            server = Server(config_of(Reached(app)), app.end_streams)
            gc.collect()
            gc.freeze()  # the modules stay: to look at all of them again and again would hold up the answers
            announce(f"http://{_written(settings.api_host)}:{port}")
            await server.serve(sockets=[listener])
            asyncio.get_running_loop().set_exception_handler(_of_the_end)
    finally:
        listener.close()


@asynccontextmanager
async def application(settings: Settings, *, open_to_all: bool = False) -> AsyncIterator[Guarded]:
    """The application, with what runs beside its requests, for as long as the block runs. Raises SettingsError."""
    token = settings.api_token.get_secret_value() if settings.api_token is not None else None
    keeper = Authenticator(token)
    expected = expectations.load(settings.alerts_file)
    async with opened(settings, **PATIENCE_MS) as db:
        asker = Asker(db)
        dashboard = Dashboard(settings, asker, Rollup(asker), Pulse(asker), expected)
        feed = Feed(db, asker.forget)
        background = [asyncio.create_task(feed.run()), asyncio.create_task(_warn_of_a_writer(db))]
        try:
            app = built(db, dashboard, feed, keeper)
            any_host = keeper.required or open_to_all
            requests = Requests()
            async with Telemetry(settings, requests, asker, feed, keeper).served():
                yield Guarded(app, keeper, None if any_host else frozenset({settings.api_host.lower()}), requests)
        finally:
            for task in background:
                task.cancel()
            await asyncio.gather(*background, return_exceptions=True)
            await dashboard.pulse.end()
            await asker.end()


def _of_the_end(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A query that the end has cut off fails, and there is nobody left whom that concerns."""
    if not isinstance(context.get("exception"), PyMongoError):
        in_one_line(loop, context)


async def _warn_of_a_writer(db: Database) -> None:
    """Says once if the user of MONGODB_URI could do more than this server needs, and until then why it cannot know."""
    said = ""
    while True:
        try:
            if await may_write(db):
                logger.warning(
                    "the user of MONGODB_URI could write, which is of no use here: set MONGODB_READER_USERNAME and "
                    "MONGODB_READER_PASSWORD to one who cannot, and make it with: movie-stream init --create-user"
                )
        except MovieStreamError as error:
            if str(error) != said:  # who asks for results is told each time, and whoever runs this server once
                said = str(error)
                logger.warning("%s", said)
            await asyncio.sleep(_ASK_AGAIN_S)
        else:
            return


def built(db: Database, dashboard: Dashboard, feed: Feed, keeper: Authenticator) -> FastAPI:
    """All routes, without the checks that come before them."""
    app = FastAPI(
        title="movie-stream",
        version=__version__,
        description=_DESCRIPTION,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
    )
    _answer_errors(app)
    app.include_router(session_router(keeper), prefix=API)
    app.include_router(index_router(app, db.name, token_required=keeper.required), prefix=API)
    for router in (series_router, summary_router, panels_router):
        app.include_router(router(dashboard), prefix=API)

    def lets_in(request: Request) -> bool:
        return keeper.lets_in(request.headers, time.time())

    app.include_router(changes_router(feed, lets_in), prefix=API)
    health, sealer = HealthCheck(dashboard), Sealer.new(keeper)
    app.include_router(health_router(health, lets_in, described=True), prefix=API)
    app.include_router(health_router(health, lets_in, described=False))
    for router_of in (alerts_router, resources_router):
        app.include_router(router_of(dashboard.asker, sealer), prefix=API)
    app.router.routes.append(ODataFeed(dashboard.asker, sealer))
    app.include_router(static_router(Files()))
    return app


def _answer_errors(app: FastAPI) -> None:
    """Every error is answered as a problem; what is a bug is logged besides."""

    async def problem(_request: Request, error: Exception) -> Response:
        assert isinstance(error, Problem)
        return error.response()

    async def ours(_request: Request, error: Exception) -> Response:
        assert isinstance(error, MovieStreamError)
        return problem_of(error).response()

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        return _http_problem(app, request, error).response()

    async def bug(_request: Request, _error: Exception) -> Response:
        return Problem(500, "this is an error of the server; its log says which").response()

    app.add_exception_handler(Problem, problem)
    app.add_exception_handler(MovieStreamError, ours)
    app.add_exception_handler(HTTPException, http)
    app.add_exception_handler(Exception, bug)


def _http_problem(app: FastAPI, request: Request, error: HTTPException) -> Problem:
    path = request.url.path
    if error.status_code == 404:
        there = ", ".join(app.openapi()["paths"])
        return Problem(404, f"there is nothing at {path[:200]}; there are / and {there}")
    if error.status_code == 405:
        return Problem(405, f"{request.method} is not possible at {path[:200]}", headers=dict(error.headers or {}))
    return Problem(error.status_code, str(error.detail), headers=dict(error.headers or {}))


def _written(host: str) -> str:
    return f"[{host}]" if ":" in host else host
