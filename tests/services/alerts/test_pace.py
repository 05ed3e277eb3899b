"""Many alerts and many figures at once: others have their turn in between, and the lease lasts."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta
from typing import Any

import pytest

from movie_stream.alerts import pace
from movie_stream.alerts import store as store_module
from movie_stream.alerts.evaluator import Evaluator
from movie_stream.alerts.figures import Figures, Reader
from movie_stream.alerts.rules import ALL, EACH, HOUR_MS, Beyond, Quality, Rule
from movie_stream.alerts.store import Store
from movie_stream.mongo.client import Database
from tests.services.alerts.test_evaluator import RUN, START_MS, TOPICS, Publisher, rows_of_quality


@pytest.fixture
async def db(db: Database, monkeypatch: pytest.MonkeyPatch) -> Database:
    monkeypatch.setattr(pace, "YIELDS_EVERY_S", 0.0)  # at each opportunity
    return db


class Yielder:
    """Counts how often somebody else has had one."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            self.count += 1
            await asyncio.sleep(0)


async def turns_during(work: Any) -> tuple[Any, int]:
    turns = Yielder()
    other = asyncio.create_task(turns.run())
    try:
        return await work, turns.count
    finally:
        other.cancel()
        await asyncio.gather(other, return_exceptions=True)


class Counting(Reader):
    """Notes how much it has read at a time."""

    def __init__(self, db: Database) -> None:
        super().__init__(db, RUN)
        self.rows = list[int]()

    async def figures(self, rule: Rule, begin_ms: int, end_ms: int) -> Figures:
        figures = await super().figures(rule, begin_ms, end_ms)
        self.rows.append(figures.rows)
        return figures


class Keeping(Store):
    """Counts how often it renews the lease in the middle."""

    def __init__(self, db: Database, holder: str) -> None:
        super().__init__(db, RUN, holder)
        self.kept = 0

    async def keep(self) -> None:
        self.kept += 1
        await super().keep()


async def test_others_have_their_turn_between_the_rows_and_between_the_subjects(db: Database) -> None:
    rows = rows_of_quality({partition: dict.fromkeys(range(40), (4, 1)) for partition in range(10)})
    await db["data_quality"].insert_many(rows)
    rule = Rule("few", "quality", Quality("records", "below", 3.0), EACH, HOUR_MS, wait_ms=0)
    end_ms = START_MS + 40 * HOUR_MS
    figures, turns = await turns_during(Reader(db, RUN).figures(rule, START_MS, end_ms))
    assert (len(figures.by_subject), figures.rows) == (10, 400)
    assert turns >= 410


async def test_many_alerts_are_written_in_pieces_and_the_lease_lasts(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "_AT_ONCE", 10)
    monkeypatch.setattr(store_module, "RENEWED_EVERY", timedelta())  # it is always time to
    publisher, alerts = Publisher(db), 50
    for hour in range(2 * alerts + 1):
        await publisher.publish(hour, 9 if hour % 2 else 1)
    rule = Rule("busy", "views", Beyond("above", 5.0), ALL, HOUR_MS, wait_ms=0)
    for holder, of in (("one", rule), ("two", dataclasses.replace(rule, severity="critical"))):
        store = Keeping(db, holder)
        evaluator = Evaluator(store, Reader(db, RUN), [of], TOPICS, timedelta(minutes=1))
        done, turns = await turns_during(evaluator.step((), at_the_end=True))
        assert (done.written, done.failed) == (alerts, {})
        assert store.kept >= alerts / 10, "before each piece"
        assert turns > alerts
        await store.release()


async def test_so_many_windows_are_read_that_their_figures_are_bounded(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pace, "ROWS_AT_ONCE", 200)
    genres, hours = 30, 60
    rows = rows_of_quality({partition: dict.fromkeys(range(hours), (4, 1)) for partition in range(genres)})
    await db["data_quality"].insert_many(rows)
    publisher = Publisher(db)
    await publisher.publish(hours, 1)
    rule = Rule("few", "quality", Quality("records", "below", 3.0), EACH, HOUR_MS, wait_ms=0)
    reader = Counting(db)
    evaluator = Evaluator(Store(db, RUN, "me"), reader, [rule], TOPICS, timedelta(minutes=1))
    assert await evaluator.step((), at_the_end=True) is not None
    assert sum(reader.rows) == genres * hours
    assert len(reader.rows) > 2
    assert max(reader.rows[1:]) <= 200
