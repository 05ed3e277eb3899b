"""Runs: everyone gets the same first one, and every new one outranks all before it."""

from __future__ import annotations

import asyncio

import pytest

from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.runs import Run, current, invalidate, open_run, start_new
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings

FINGERPRINT = {"topic": "movie.events", "partitions": 3, "$revenue": 0.5, "results": [["a", None]], "live": True}


@pytest.fixture(params=["with validators", "before init"])
async def db(empty_db: Database, request: pytest.FixtureRequest) -> Database:
    if request.param == "with validators":
        await ensure(empty_db)
    return empty_db


async def test_the_first_run_is_made_once(db: Database) -> None:
    assert await current(db, "views") is None
    first = await open_run(db, "views", FINGERPRINT)
    assert first.fingerprint == FINGERPRINT
    assert await open_run(db, "views", {"topic": "another"}) == first
    assert await current(db, "views") == first
    assert await current(db, "others") is None


async def test_a_new_run_outranks(db: Database) -> None:
    first, second = await start_new(db, "views", {"n": 0}), await start_new(db, "views", {"n": 1})
    assert (first.fingerprint, second.fingerprint) == ({"n": 0}, {"n": 1})
    assert first.number < second.number
    assert await open_run(db, "views", {"n": 2}) == await current(db, "views") == second


async def test_a_clock_that_was_set_back_does_not_set_the_number_back(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await start_new(db, "views", {})
    monkeypatch.setattr("movie_stream.mongo.runs.time.time_ns", lambda: 0)
    assert (await start_new(db, "views", {})).number == first.number + 1


async def test_concurrent_requests_get_the_same_run(db: Database, settings: Settings) -> None:
    async def ask(n: int) -> list[Run]:
        async with opened(settings) as own:
            return [await open_run(own, f"views{round_}", {"n": n}) for round_ in range(20)]

    answers = await asyncio.gather(*map(ask, range(6)))
    assert all(answer == answers[0] for answer in answers)


async def test_concurrent_runs_have_numbers_of_their_own(db: Database) -> None:
    started = await asyncio.gather(*(start_new(db, "views", {"n": n}) for n in range(20)))
    assert len({run.number for run in started}) == 20
    assert await current(db, "views") == max(started, key=lambda run: run.number)


async def test_a_run_whose_log_has_lost_records_is_nobodys_any_more(db: Database) -> None:
    first = await open_run(db, "views", {"n": 1})
    await invalidate(db, first, "views", "it ends at 7, before 9")
    assert await current(db, "views") == Run(first.number, {"n": 1, "log": "it ends at 7, before 9"})
    second = await start_new(db, "views", {"n": 1})
    await invalidate(db, first, "views", "said late, of a run that has ended")
    assert await current(db, "views") == second
