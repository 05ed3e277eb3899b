"""`/api/v1/alerts`: what it answers, page by page, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson.int64 import Int64

from movie_stream.alerts.evaluation import Streak
from movie_stream.alerts.outbox import Outbox
from movie_stream.alerts.rules import Beyond, Rule
from movie_stream.alerts.store import Store
from movie_stream.alerts.wording import body_of
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.support.web.asking import asking, got, moment

START = datetime(2024, 10, 31, tzinfo=UTC)


def alert(hour: int, lasts: bool = False, name: str = "busy", severity: Any = "warning", **more: Any) -> dict[str, Any]:
    start_ms = timestamp_ms_of(START + timedelta(hours=hour))
    rule = Rule(name, "views", Beyond("above", 10.0), "each", severity=severity)
    end_ms = None if lasts else start_ms + 3_600_000
    body = body_of(rule, Streak("drama", start_ms, 1, 12.0, start_ms, 10.0, None, "Drama", end_ms))
    return {**body, **more, "_run": Int64(1), "_pass": Int64(1), "_told": None, "_untold": False}


@pytest.fixture
async def alerts(settings: Settings) -> list[dict[str, Any]]:
    """Some alerts, in the order in which they are answered."""
    made = [
        alert(5, lasts=True),
        alert(2, lasts=True, name="other", severity="critical"),
        *(alert(hour) for hour in range(8, 0, -2)),
        alert(0, state="withdrawn"),
    ]
    async with opened(settings) as db:
        await ensure(db)
        await db["alerts"].insert_many(made[::-1])
    return made


async def test_page_after_page_those_that_last_first(settings: Settings, alerts: list[dict[str, Any]]) -> None:
    async with asking(settings) as api:
        found, cursor = list[Any](), None
        while True:
            page = await got(api, "alerts", limit=2, **({"cursor": cursor} if cursor else {}))
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        assert [one["_id"] for one in found] == [one["_id"] for one in alerts[:-1]]
        first = found[0]
        assert first.keys() == {name for name in alerts[0] if name not in ("_run", "_pass", "_told", "_untold")}
        assert (first["open"], first["end"], first["value"]) == (True, None, 12.0)
        assert first["start"] == "2024-10-31T05:00:00Z"
        assert first["text"] == "Drama: 12 views in 1 h from 2024-10-31 05:00 UTC, above 10"


async def test_what_may_be_chosen(settings: Settings, alerts: list[dict[str, Any]]) -> None:
    async with asking(settings) as api:

        async def ids(**parameters: Any) -> list[Any]:
            return [one["_id"] for one in (await got(api, "alerts", **parameters))["items"]]

        assert await ids(state="open") == [one["_id"] for one in alerts[:2]]
        assert await ids(state="withdrawn,open") == [alerts[0]["_id"], alerts[1]["_id"], alerts[-1]["_id"]]
        assert await ids(severity="critical") == await ids(rule="other") == [alerts[1]["_id"]]
        since = moment(timestamp_ms_of(START + timedelta(hours=7)))
        assert await ids(since=since) == [alerts[2]["_id"]]
        answer = await api.get("alerts", params={"format": "csv", "limit": 1})
        assert answer.text.splitlines()[0].startswith("_id,rule,kind,severity,subject,label,state,open,start,end")
        assert 'rel="next"' in answer.headers["link"]


@pytest.mark.parametrize(
    ("parameters", "words"),
    [
        ({"state": "closed"}, "state: expected one or several of open, ended, withdrawn"),
        ({"state": "open,open"}, "state: expected one or several"),
        ({"severity": "high"}, "severity: expected one of info, warning, critical"),
        ({"rule": ""}, "rule: expected the name of a rule"),
        ({"rule": {"$ne": 1}}, "rule: expected"),
        ({"cursor": "abc"}, "cursor: expected the next of an answer to the same query"),
        ({"since": "2024-10-31T00:00:00Z", "until": "2024-10-30T00:00:00Z"}, "until"),
        ({"genre": "drama"}, "genre: expected one of state, severity"),
    ],
)
async def test_what_cannot_be_meant(settings: Settings, parameters: dict[str, Any], words: str) -> None:
    async with asking(settings) as api:
        answer = await api.get("alerts", params={name: str(value) for name, value in parameters.items()})
        assert answer.status_code == 422
        assert words in answer.text


async def test_how_far_they_are(settings: Settings) -> None:
    """Of the newest run, whatever an earlier one has left."""
    async with opened(settings) as db:
        await ensure(db)
        for run, hour in ((1, 3), (2, 1)):
            store = Store(db, run, "me")
            await store.claim()
            await store.passed(timestamp_ms_of(START + timedelta(hours=hour)))
        await store.passed(timestamp_ms_of(START))
        rule = Rule("busy", "views", Beyond("above", 10.0), "each", to=("log", "webhook.ops"))
        await store.begin(timestamp_ms_of(START))
        await store.write([{name: value for name, value in alert(5, lasts=True).items() if not name.startswith("_p")}])
        assert await Outbox(db, 2, [rule], 10**15).fill(timestamp_ms_of(START), datetime.now(UTC)) == 2
    async with asking(settings) as api:
        found = await got(api, "alerts")
        assert (found["evaluated_until"], found["undelivered"]) == ("2024-10-31T01:00:00Z", 2)
        described = (await got(api, "openapi.json"))["components"]["schemas"]["AlertPage"]["properties"]
        assert described.keys() == {"items", "next", "evaluated_until", "undelivered"}


async def test_without_alerts_there_are_none(settings: Settings) -> None:
    async with asking(settings) as api:
        assert await got(api, "alerts") == {"items": [], "next": None, "evaluated_until": None, "undelivered": 0}
        assert (await got(api, ""))["links"]["alerts"] == "/api/v1/alerts"
