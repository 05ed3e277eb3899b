"""A run whose format is not ours is named, and nothing of it is changed; tests/upgrades shows it with processes."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from bson.int64 import Int64

from movie_stream.aggregates.results import RESULTS
from movie_stream.errors import FormatVersionMismatch
from movie_stream.kafka.cluster import topics
from movie_stream.mongo import runs
from movie_stream.mongo.client import opened
from movie_stream.mongo.runs import RunUnreadable
from movie_stream.runs.fingerprint import FORMAT, fingerprint, open_run
from movie_stream.settings import Settings


@pytest.mark.parametrize(
    ("found", "which"), [(FORMAT + 1, "a newer"), (FORMAT - 1, "another"), (None, "another"), ("x", "another")]
)
async def test_a_run_of_another_format_is_left_alone(settings: Settings, found: Any, which: str) -> None:
    await topics.ensure(settings)
    topology = await topics.describe(settings)
    async with opened(settings) as db:
        theirs = {**fingerprint(settings, topology), "format": found, "results": "which we do not know either"}
        run = await runs.open_run(db, settings.kafka_group, theirs)
        await db["category_stats"].insert_one({"_id": "of an earlier run", "_run": Int64(run.number - 1)})
        with pytest.raises(FormatVersionMismatch) as caught:
            await open_run(settings, db, topology)
        assert f"was begun by {which} version of movie-stream: what is stored has format {found}, " in str(caught.value)
        assert str(caught.value).endswith("movie-stream rebuild")
        assert await runs.current(db, settings.kafka_group) == run
        assert await db["category_stats"].count_documents({}) == 1, "what a rebuild would delete"


async def test_what_an_earlier_run_counted_is_not_shown_by_one_that_does_not_count_it(settings: Settings) -> None:
    """A version that did not know of a result was put back, did a rebuild, and was replaced again."""
    await topics.ensure(settings)
    topology = await topics.describe(settings)
    async with opened(settings) as db:
        first = await open_run(settings, db, topology)
        stale = {"_id": "stale", "_run": Int64(first.number)}
        names = [result.collection for result in RESULTS]
        known = [name for name in names if name != "data_quality"]
        for name in names:
            await db[name].insert_one(stale)
        fewer = tuple(result for result in RESULTS if result.collection in known)
        run = await runs.start_new(db, settings.kafka_group, fingerprint(settings, topology, fewer))
        await runs.clear(db, settings.kafka_group, run, known)
        assert await db["data_quality"].count_documents({}) == 1
        await db["data_quality"].insert_one({"_id": "of a later run", "_run": Int64(run.number + 1)})
        assert await open_run(settings, db, topology) == run
        assert [await db[name].count_documents({}) for name in known] == [0] * len(known)
        assert [found["_id"] async for found in db["data_quality"].find()] == ["of a later run"]


@pytest.mark.parametrize("text", ["[4]", "{", "", None])
async def test_a_run_that_cannot_be_read_is_named(settings: Settings, text: str | None) -> None:
    async with opened(settings) as db:
        stored = {"_id": settings.kafka_group, "number": Int64(7), "fingerprint": text}
        await db["_runs"].insert_one(stored)
        for ask in (runs.current(db, settings.kafka_group), runs.open_run(db, settings.kafka_group, {})):
            with pytest.raises(RunUnreadable, match=f"_id {settings.kafka_group}: expected a number and a fingerprint"):
                await ask
        assert await db["_runs"].find_one() == stored
        await db["_runs"].update_one({}, {"$set": {"fingerprint": orjson.dumps({"n": 1}).decode()}})
        assert await runs.current(db, settings.kafka_group) == runs.Run(7, {"n": 1})
