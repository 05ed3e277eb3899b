"""The part `web`: the page's requests on a full database, through `movie-stream serve` and directly to MongoDB; and the
cost of readers of the changes, and of the page itself.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp
import psutil
from pymongo import MongoClient, UpdateOne

from bench import asked
from bench.asked import Asked, percentiles
from bench.beside import beside
from bench.filled import Filled, fill
from bench.meter import Meter, PeerFailed
from bench.ours import COMMAND, variables
from bench.running import Run
from movie_stream.commands.serve import SERVING
from movie_stream.mongo import schema
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings

PART: Final = "web"
ALL: Final = "all that the page asks"
FIRST_ASKED: Final = "all, each for the first time"
RESOURCES: Final = tuple(dict.fromkeys(question.resource for visit in asked.questions() for question in visit))
READERS: Final = "200 readers of the changes"
PAGE: Final = "the page"
SUBJECTS: Final = (ALL, *RESOURCES, FIRST_ASKED, READERS, PAGE)
WINDOWS: Final = 2_000_000
SECONDS: Final = 60.0
STARTED_WITHIN_S: Final = 60.0
READING_S: Final = 15.0
CHANGES_A_SECOND: Final = 4
_SERVING: Final = re.compile(rf"{SERVING}(http://\S+)")
_ADDRESS: Final = "address"
_ASSET: Final = re.compile(r"""["'(]((?:/static/|\.{1,2}/)[\w./-]+\.(?:js|css|svg|json|woff2))["')]""")
_LANGUAGE: Final = "/static/i18n/en.json"
_DIRECT_RATE: Final = 5.0
"""Requests per second directly to MongoDB; a small machine cannot run more of them in full."""


def measure(run: Run, seconds: float) -> None:
    """Fills a database once, then measures round by round."""
    with filled(run) as (settings, filling):
        for nth in range(run.rounds):
            run.measure(PART, nth, SUBJECTS, lambda: measured(run, settings, filling, seconds))


@contextmanager
def filled(run: Run) -> Iterator[tuple[Settings, Filled]]:
    """A database with as many windows as the run has events; it is dropped at the end."""
    settings = run.services.settings(mongodb_database=f"bench_{uuid.uuid4().hex[:8]}")
    asyncio.run(_prepared(settings))
    try:
        began_s = time.monotonic()
        with run.step(f"filling a database with {run.events:,} minute windows", run.events) as advance:
            filling = fill(settings, run.events, advance)
        run.say(f"filled a database: {filling.windows:,} minute windows, {filling.documents:,} documents")
        run.say(f"  in {time.monotonic() - began_s:.0f} s")
        yield settings, filling
    finally:
        with MongoClient[dict[str, Any]](settings.require_mongodb()) as client:
            client.drop_database(settings.mongodb_database)


async def _prepared(settings: Settings) -> None:
    async with opened(settings) as db:
        await schema.ensure(db)


def measured(run: Run, settings: Settings, filling: Filled, seconds: float) -> list[Mapping[str, float]]:
    """The figures of each subject. Raises PeerFailed."""
    argv = [*COMMAND, "serve", "--port", "0"]
    with Meter("movie-stream serve", argv, variables(settings), _serving) as meter:
        began = meter.until(_ADDRESS, STARTED_WITHIN_S)
        address = str(began.mark(_ADDRESS).values["url"])
        first = asyncio.run(_one_by_one(address))
        with changing(settings, filling):
            before_s = meter.cpu_s
            by_http = asyncio.run(_by_http(address, seconds))
            cpu_s = meter.cpu_s - before_s
            process = psutil.Process(meter.process.pid)
            events, memory = asyncio.run(_read(address, process))
        page = asyncio.run(_page_bytes(address))
    run.say("  and now straight to MongoDB")
    queries = asyncio.run(asked.queries_of(settings))
    with changing(settings, filling):
        straight = asyncio.run(asked.direct(settings, seconds, queries, _DIRECT_RATE))
    counted = {"events": filling.windows}
    return [
        {**_figures(by_http, straight, None), "cpu_ms_per_request": 1_000 * cpu_s / len(by_http.of()), **counted},
        *({**_figures(by_http, straight, resource), **counted} for resource in RESOURCES),
        {**dict(zip(("p50_ms", "p99_ms"), percentiles(first), strict=True)), "requests": len(first), **counted},
        {"peak_rss_mb": memory / 1e6, "events_told": events, **counted},
        {"page_kb": page / 1e3, **counted},
    ]


def _serving(line: str) -> tuple[str, Mapping[str, Any]] | None:
    found = _SERVING.search(line)
    return (_ADDRESS, {"url": found[1]}) if found else None


def _figures(by_http: Asked, straight: Asked, resource: str | None) -> dict[str, float]:
    (p50, p99), (direct_p50, direct_p99) = percentiles(by_http.of(resource)), percentiles(straight.of(resource))
    return {
        "requests": len(by_http.of(resource)),
        "p50_ms": p50,
        "p99_ms": p99,
        "max_ms": max(by_http.of(resource)),
        "direct_p50_ms": direct_p50,
        "direct_p99_ms": direct_p99,
    }


async def _one_by_one(address: str) -> list[float]:
    """The time of each request on a server just started, in milliseconds."""
    took_ms = []
    async with aiohttp.ClientSession() as session:
        ask = asked.by_http(session, address)
        for question in dict.fromkeys(question for visit in asked.questions() for question in visit):
            began_s = time.monotonic()
            await ask(question)
            took_ms.append(1_000 * (time.monotonic() - began_s))
    return took_ms


async def _by_http(address: str, seconds: float) -> Asked:
    """Measures the requests while a page follows the changes, each of which invalidates the server's cache."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{address}{asked.API}/changes", timeout=aiohttp.ClientTimeout(total=None)) as following,
    ):
        read = asyncio.create_task(_count(following, Counter(), 0))
        try:
            return await asked.at_rate(asked.by_http(session, address), seconds)
        finally:
            read.cancel()
            await asyncio.gather(read, return_exceptions=True)


async def _count(answer: aiohttp.ClientResponse, counted: Counter[int], number: int) -> None:
    async for line in answer.content:
        counted[number] += line.startswith(b"event: change")


async def _read(address: str, server: psutil.Process) -> tuple[int, int]:
    """Runs 200 readers of the changes for some seconds; returns the number of events that they get, and the server's
    memory in bytes at the end. Raises PeerFailed.
    """
    counted: Counter[int] = Counter()

    async def read(number: int, session: aiohttp.ClientSession) -> None:
        async with session.get(f"{address}{asked.API}/changes", timeout=aiohttp.ClientTimeout(total=None)) as answer:
            await _count(answer, counted, number)

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        reading = [asyncio.create_task(read(number, session)) for number in range(200)]
        _, going_on = await asyncio.wait(reading, timeout=READING_S)
        memory = sum(one.memory_info().rss for one in [server, *server.children(recursive=True)])
        for task in going_on:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)
    if len(going_on) < len(reading) or min(counted[number] for number in range(200)) == 0:
        raise PeerFailed(f"{len(reading) - len(going_on)} of 200 readers were cut off, and some received nothing")
    return counted.total(), memory


async def _page_bytes(address: str) -> int:
    """The compressed bytes that a browser loads for the page."""
    seen, size = dict[str, None](), 0
    asks = ["/", _LANGUAGE]
    headers = {"Accept-Encoding": "gzip, br"}
    async with aiohttp.ClientSession(auto_decompress=False, headers=headers) as raw, aiohttp.ClientSession() as plain:
        while asks:
            path = asks.pop()
            if path in seen:
                continue
            seen[path] = None
            async with raw.get(address + path) as sent, plain.get(address + path) as read:
                if read.status != 200:
                    raise PeerFailed(f"{path}: {read.status}")
                size += len(await sent.read())
                text = (await read.read()).decode("utf-8", "replace")
            if path == "/" or path.endswith((".js", ".css")):
                asks += [_absolute(path, found) for found in _ASSET.findall(text)]
    return size


def _absolute(page: str, found: str) -> str:
    """The absolute path of a link on a page.

    >>> _absolute("/static/js/panels/users.js", "../table.js"), _absolute("/", "/static/css/page.css")
    ('/static/js/table.js', '/static/css/page.css')
    """
    if found.startswith("/"):
        return found
    parts = page.split("/")[:-1]
    for part in found.split("/"):
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return "/".join(parts)


@contextmanager
def changing(settings: Settings, filling: Filled) -> Iterator[None]:
    """Changes the newest windows a few times a second during the block, as a worker would."""

    def change(over: threading.Event) -> None:
        with MongoClient[dict[str, Any]](settings.require_mongodb(), w=1) as client:
            while not over.wait(1 / CHANGES_A_SECOND):
                _one_flush(client[settings.mongodb_database], filling.newest_ms)

    with beside("changes the newest windows", change):
        yield


def _one_flush(db: Any, newest_ms: int) -> None:
    """Adds one view of every genre to the newest minute, and to all windows that contain it."""
    minute = datetime.fromtimestamp(newest_ms / 1_000, UTC)
    hour, day = minute.replace(minute=0), minute.replace(hour=0, minute=0)
    genres = [one["slug"] for one in db["category_stats"].find({}, {"slug": 1})]
    more = {"$inc": {"total_views": 1}}
    db["movies_aggregates"].bulk_write(
        [UpdateOne({"_id": f"{slug}_{minute:%Y-%m-%dT%H:%M:%SZ}"}, more) for slug in genres]
    )
    db["daily_stats"].bulk_write(
        [UpdateOne({"_id": f"{slug}_{day:%Y-%m-%d}"}, {"$inc": {"daily_views": 1}}) for slug in genres]
    )
    db["category_stats"].update_many({}, more)
    db["hourly_metrics"].update_one({"timestamp": hour}, {"$inc": {"total_views": len(genres)}})
    db["active_users"].update_one({"timestamp": day}, {"$inc": {"total_users": 1}})
