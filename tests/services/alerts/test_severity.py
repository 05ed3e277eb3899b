"""A severity that is changed in the file: the alerts get it, and nobody is told once more."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import UTC, timedelta
from typing import Any

from movie_stream.alerts.evaluator import Evaluator
from movie_stream.alerts.figures import Reader
from movie_stream.alerts.outbox import Outbox
from movie_stream.alerts.rules import ALL, HOUR_MS, Beyond, Rule
from movie_stream.alerts.store import Store
from movie_stream.events.timestamps import datetime_of
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.services.alerts.test_evaluator import RUN, TOPICS, Publisher, settle

RULE = Rule("busy", "views", Beyond("above", 5.0), ALL, HOUR_MS, wait_ms=0)


async def evaluated(db: Database, rules: Sequence[Rule], newest_ms: int) -> tuple[list[Any], int]:
    """By a worker that starts anew: the alerts, and how many messages follow."""
    store = Store(db, RUN, "me")
    await settle(Evaluator(store, Reader(db, RUN), rules, TOPICS, timedelta(minutes=1)))
    now = datetime_of(newest_ms).astimezone(UTC)
    messages = await Outbox(db, RUN, rules, 24 * HOUR_MS).fill(newest_ms, now)
    await store.release()
    found = await db["alerts"].find({}).sort("start", 1).to_list(None)
    return [(of["state"], of["severity"], of["_told"]["number"]) for of in found], messages


async def test_alerts_get_another_severity_and_nobody_is_told_again(settings: Settings) -> None:
    async with opened(settings) as db:
        await ensure(db)
        publisher = Publisher(db)
        for hour, views in enumerate((9, 1, 9, 9)):
            await publisher.publish(hour, views)
        newest_ms = publisher.newest_ms
        assert await evaluated(db, [RULE], newest_ms) == (
            [("ended", "warning", 2), ("open", "warning", 1)],
            3,
        )
        critical: Any = dataclasses.replace(RULE, severity="critical")
        again = await evaluated(db, [critical], newest_ms)
        assert again == ([("ended", "critical", 2), ("open", "critical", 1)], 0)
