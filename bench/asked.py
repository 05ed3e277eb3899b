"""Sends the page's requests at a constant rate (open loop): by HTTP, and the same queries directly to MongoDB."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

import aiohttp
from httpx import ASGITransport, AsyncClient
from pymongo import monitoring

from bench.meter import PeerFailed
from movie_stream.mongo.client import Database, opened
from movie_stream.settings import Settings
from movie_stream.web.server import application

RATE: Final = 50
"""Requests per second."""
RANGES: Final = ("15min", "1h", "6h", "24h", "7d", "30d", "all")
"""The ranges that the page offers."""
WITHIN_S: Final = 30.0
API: Final = "/api/v1"


class Question(NamedTuple):
    """One request of the page."""

    resource: str
    target: str
    """Path and query."""


def questions() -> list[list[Question]]:
    """All requests of the page when it is opened or refreshed, for each of its ranges, and once for a genre."""
    return [
        *([_question(*asked) for asked in _page(last)] for last in RANGES),
        [_question(resource, more | {"genre": "drama"}) for resource, more in _page("24h")[:3]],
    ]


def _page(last: str) -> list[tuple[str, dict[str, Any]]]:
    within = {"last": last, "anchor": "stream"}
    week = within if last in ("7d", "30d", "all") else {**within, "last": "7d"}
    month = within if last in ("30d", "all") else {**within, "last": "30d"}
    return [
        ("summary", within),
        ("series", {**within, "points": 500}),  # for the views
        ("series", {**within, "points": 500}),  # and for the ratings
        ("genres", {**within, "limit": 10}),
        ("genres", {"last": "all", "limit": 200}),  # for the choice of a genre
        ("top-movies", within),
        ("activity", week),
        ("audience", month),
        ("top-users", within),
        ("quality", within),
        ("workers", {}),
        ("dead-letters", {}),
    ]


def _question(resource: str, query: dict[str, Any]) -> Question:
    return Question(resource, f"{API}/{resource}" + (f"?{urlencode(query)}" if query else ""))


@dataclass(frozen=True)
class Asked:
    """The latencies of the answers, in milliseconds from the time when the request was due."""

    took_ms: dict[Question, list[float]]

    def of(self, resource: str | None = None) -> list[float]:
        """The latencies of one resource, or of all."""
        return [
            took for asked, all_took in self.took_ms.items() if resource in (None, asked.resource) for took in all_took
        ]


Ask = Callable[[Question], Awaitable[None]]


async def at_rate(ask: Ask, seconds: float, rate: float = RATE) -> Asked:
    """Simulates visitors one after the other, each with another range and all requests of the page.

    A request is sent when it is due, regardless of how many are still unanswered. Raises PeerFailed if an answer is
    wrong or missing.
    """
    chance, took_ms = Random(7), dict[Question, list[float]]()
    visits = questions()
    due: list[Question] = []
    began_s = time.monotonic()

    async def one(question: Question, due_s: float) -> None:
        try:
            async with asyncio.timeout(WITHIN_S):
                await ask(question)
        except TimeoutError as error:
            raise PeerFailed(f"{question.target} was not answered within {WITHIN_S:g} s") from error
        took_ms.setdefault(question, []).append(1_000 * (time.monotonic() - due_s))

    try:
        async with asyncio.TaskGroup() as group:
            for number in range(round(seconds * rate)):
                due = due or list(chance.choice(visits))
                due_s = began_s + number / rate
                await asyncio.sleep(max(due_s - time.monotonic(), 0))
                group.create_task(one(due.pop(0), due_s))
    except* PeerFailed as failed:
        raise failed.exceptions[0] from None
    return Asked(took_ms)


def by_http(session: aiohttp.ClientSession, address: str) -> Ask:
    """Sends requests to a server."""

    async def ask(question: Question) -> None:
        async with session.get(address + question.target) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise PeerFailed(f"{question.target}: {answer.status} {body[:300]!r}")

    return ask


class Command(NamedTuple):
    """A query as it was sent to MongoDB."""

    collection: str
    arguments: dict[str, Any]


class Overheard(monitoring.CommandListener):
    """Records the queries of every client that is created after it was registered."""

    def __init__(self) -> None:
        self.commands: list[Command] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if event.command_name in ("find", "aggregate"):
            command = dict(event.command)
            self.commands.append(Command(command[event.command_name], command))

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None:
        """Ignores the event."""

    def failed(self, event: monitoring.CommandFailedEvent) -> None:
        """Ignores the event."""


async def queries_of(settings: Settings) -> dict[Question, list[Command]]:
    """The queries to MongoDB of a server with empty caches, for each request."""
    heard, found = Overheard(), dict[Question, list[Command]]()
    monitoring.register(heard)
    for question in {question for visit in questions() for question in visit}:
        async with (
            application(settings) as app,
            AsyncClient(transport=ASGITransport(app), base_url="http://127.0.0.1") as client,
        ):
            heard.commands.clear()
            answer = await client.get(question.target)
            if answer.status_code != 200:
                raise PeerFailed(f"{question.target}: {answer.status_code} {answer.text[:300]}")
            found[question] = list(heard.commands)
    return found


def directly(db: Database, queries: dict[Question, list[Command]]) -> Ask:
    """Sends the queries of a request to MongoDB by motor, one after the other, and reads all their results."""

    async def ask(question: Question) -> None:
        for command in queries[question]:
            collection, given = db[command.collection], command.arguments
            limit_ms = given.get("maxTimeMS")
            if "pipeline" in given:
                await collection.aggregate(given["pipeline"], maxTimeMS=limit_ms).to_list(None)
            else:
                cursor = collection.find(given.get("filter", {}), given.get("projection"))
                if sort := given.get("sort"):
                    cursor = cursor.sort(list(sort.items()))
                if limit_ms:
                    cursor = cursor.max_time_ms(limit_ms)
                await cursor.limit(given.get("limit", 0)).to_list(None)

    return ask


async def direct(settings: Settings, seconds: float, queries: dict[Question, list[Command]], rate: float) -> Asked:
    """The same requests as queries directly to MongoDB."""
    async with opened(settings) as db:
        return await at_rate(directly(db, queries), seconds, rate)


def percentiles(took_ms: Sequence[float]) -> tuple[float, float]:
    """The median and the 99th percentile, by nearest rank.

    >>> percentiles([3.0, 1.0, 2.0])
    (2.0, 3.0)
    """
    ordered = sorted(took_ms)
    at = [max(-(-len(ordered) * percent // 100) - 1, 0) for percent in (50, 99)]
    return ordered[at[0]], ordered[at[1]]
