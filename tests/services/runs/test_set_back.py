"""Kafka and MongoDB of different times are detected, without a change."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any
from unittest.mock import AsyncMock

import pytest
from aiokafka import TopicPartition
from bson.int64 import Int64
from faust.types import TP
from pydantic import SecretStr

from movie_stream.agents import startup, takeover
from movie_stream.agents.takeover import Takeover
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.mongo import partials, runs
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.failures import MongoAway, MongoFailed
from movie_stream.mongo.partials import PARTIALS, PartialsStore
from movie_stream.mongo.report import Parked, WriteReport
from movie_stream.runs import claims, set_back
from movie_stream.runs.set_back import CheckpointsLost, DatabaseSetBack, TopicsSetBack, require_same_time
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import CheckpointId, Cursor, encode

POSITION, END = 5, 7
"""Of the only checkpoint of partition 1, and where that partition of the partials ends."""
NOWHERE = "mongodb://127.0.0.1:1/?serverSelectionTimeoutMS=100"


async def counted(settings: Settings, db: Database, *, marked: bool = True) -> tuple[Topology, runs.Run]:
    """The topics of a run with one checkpoint."""
    await topics.ensure(settings)
    names, run = Topics.of(settings), await runs.open_run(db, settings.kafka_group, {"n": 1})
    cursor = Cursor(CheckpointId("w", 1), None, True, POSITION, None, 0, f"{run.number}:x", marked=marked)
    producer = await client.start_producer(settings)
    try:
        for _ in range(END):
            await producer.send_and_wait(names.partials, b"...", partition=1)
        await producer.send_and_wait(names.publish_changelog, encode(cursor), partition=1)
    finally:
        await client.stop_producer(producer)
    return await topics.describe(settings), run


@pytest.mark.parametrize(
    ("mark", "marked", "error"),
    [
        (POSITION, True, None),
        (END, True, None),  # the worker ended between the mark and the checkpoint
        (None, False, None),  # the checkpoint is of a version that made no marks
        (POSITION - 1, False, None),  # or of one beside those that do
        (POSITION - 1, True, DatabaseSetBack),
        (None, True, DatabaseSetBack),
        (END + 1, True, TopicsSetBack),
    ],
)
async def test_marks_are_compared_with_checkpoints_and_ends(
    settings: Settings,
    db: Database,
    mark: int | None,
    marked: bool,
    error: type[Exception] | None,
) -> None:
    topology, run = await counted(settings, db, marked=marked)
    if mark is not None:
        await PartialsStore(db).mark(1, run.number, None, mark)
    before = await db[PARTIALS].find().to_list(None)
    if error is None:
        await require_same_time(settings, db, topology, run, 0.05)
    else:
        with pytest.raises(error) as caught:
            await require_same_time(settings, db, topology, run, 0.05)
        line = str(caught.value)
        assert f"{settings.kafka_partials_topic}, partition 1" in line
        assert settings.mongodb_database in line
        assert line.endswith("movie-stream rebuild")
    assert await db[PARTIALS].find().to_list(None) == before


class OneTable:
    """An owner of a partition that is at a checkpoint, and whose state was kept, or is restored."""

    def __init__(self, changelog: str, marked: int | None) -> None:
        self._table = SimpleNamespace(marked=marked, state=SimpleNamespace(position=POSITION))
        self.changelog, self.kept = changelog, {1: self._table}

    def drop_all(self) -> None:
        """There is nothing."""

    def forget_others(self, partitions: Sequence[int]) -> None:
        """There are none."""
        assert list(partitions) == [1]

    async def resume(self, partition: int, end: int) -> object:
        assert end == 1, "the changelog has one record"
        return self._table

    async def restore(self, partition: int) -> object:
        return self._table

    def take(self, partition: int, table: object, oldest: int, end: int) -> int:
        assert (partition, table, oldest, end) == (1, self._table, 0, END)
        return POSITION


@pytest.mark.parametrize(
    ("mark", "marked", "error"),
    [
        (POSITION, POSITION, None),
        (END, POSITION, None),
        (None, None, None),
        (POSITION - 1, POSITION, DatabaseSetBack),
        (END + 1, POSITION, TopicsSetBack),
        ("of a partition that another has", POSITION, TopicsSetBack),
        ("MongoDB is away", POSITION, None),
    ],
)
async def test_marks_are_compared_at_a_rebalance(
    settings: Settings,
    db: Database,
    mark: int | str | None,
    marked: int | None,
    error: type[Exception] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Kafka may be put back under a worker that runs."""
    topology, run = await counted(settings, db)
    names = Topics.of(settings)
    if isinstance(mark, int):
        await PartialsStore(db).mark(1, run.number, None, mark)
    elif mark == "of a partition that another has":
        await PartialsStore(db).mark(1, run.number, None, POSITION)
        await PartialsStore(db).mark(0, run.number, None, 1)
    elif mark == "MongoDB is away":
        settings = settings.model_copy(update={"mongodb_uri": SecretStr(NOWHERE)})
    monkeypatch.setattr(takeover, "ALL_KNOWN_WITHIN_S", 0.05)
    owners: Any = {names.partials: OneTable(names.publish_changelog, marked)}
    async with opened(settings) as found:
        context: Any = SimpleNamespace(topics=names, topology=topology)
        connected: Any = SimpleNamespace(db=found, run=run, context=context)
        taken = Takeover(settings, connected, owners)
        place = TP(names.partials, 1)
        for take in (taken.resume, taken.restore):
            if error is None:
                assert await take({place}) == {place: POSITION}
            else:
                with pytest.raises(error, match=f"{names.partials}, partition [01], .*movie-stream rebuild"):
                    await take({place})


async def test_a_mark_only_moves_forward_from_where_it_is_known_to_stand(db: Database) -> None:
    store, run = PartialsStore(db), 7
    assert await store.marks(range(3), run) == {}
    assert not await store.mark(0, run, 3, 4), "what was there is gone"
    assert await store.mark(0, run, None, 3)
    assert await store.mark(0, run, 3, 9)
    assert await store.mark(0, run, 3, 5), "by one that was overtaken"
    assert await store.mark(2, run, None, 0)
    assert await store.marks(range(3), run) == {0: 9, 2: 0}
    assert not await store.mark(0, run, 10, 11), "it was set back"
    assert not await store.mark(0, run + 1, 9, 11), "it is of another run"
    assert await store.mark(0, run + 1, None, 1), "a later run begins anew"
    assert await store.marks(range(3), run) == {2: 0}
    assert await store.marks(range(3), run + 1) == {0: 1}


async def test_a_rebuild_that_begins_meanwhile_is_no_older_database(settings: Settings, db: Database) -> None:
    topology, run = await counted(settings, db)
    await PartialsStore(db).mark(1, run.number, None, POSITION)
    later = await runs.start_new(db, settings.kafka_group, {"n": 2})
    await runs.clear(db, settings.kafka_group, later, [PARTIALS])
    await require_same_time(settings, db, topology, run, 0.05)
    await db["_runs"].delete_many({})
    with pytest.raises(DatabaseSetBack):
        await require_same_time(settings, db, topology, run, 0.05)


@pytest.mark.parametrize(
    ("moved", "partition", "error"),
    [
        (True, 0, CheckpointsLost),  # all checkpoints of it are lost, and what was counted of the partials is deleted
        (False, 0, None),  # a rebuild has just begun: an earlier run has deleted them
        (True, 1, None),
    ],
)
async def test_checkpoints_that_are_all_lost(
    settings: Settings,
    db: Database,
    moved: bool,
    partition: int,
    error: type[Exception] | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    topology, run = await counted(settings, db)
    store, beginnings = PartialsStore(db), offsets.beginnings

    async def deleted(reader: Any, places: Sequence[TopicPartition]) -> offsets.Offsets:
        """Tansu deletes nothing."""
        real = await beginnings(reader, places)
        return {at: 3 if at.topic == settings.kafka_partials_topic else start for at, start in real.items()}

    monkeypatch.setattr(offsets, "beginnings", deleted)
    await store.mark(1, run.number, None, POSITION)
    await store.mark(partition, run.number, None, POSITION)
    if moved:
        await store.mark(partition, run.number, POSITION, POSITION)
    monkeypatch.setattr(set_back, "require_marks_within_ends", lambda *_: None)  # nothing is in partition 0
    if error is None:
        await require_same_time(settings, db, topology, run, 0.05)
    else:
        with pytest.raises(error, match=r"partition 0, has checkpoints up to offset 0 of .*, which begins at 3"):
            await require_same_time(settings, db, topology, run, 0.05)


async def test_a_first_mark_says_what_became_of_it(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    store = PartialsStore(db)
    assert await store.mark(0, 8, None, 3)
    assert not await store.mark(0, 7, None, 3), "another run has begun"
    refused = WriteReport(parked=[Parked(PARTIALS, "|published|0", "too large")])
    monkeypatch.setattr(partials, "write_guarded", AsyncMock(return_value=refused))
    with pytest.raises(MongoFailed, match=r"_partials does not take a mark: .*too large"):
        await store.mark(0, 8, None, 4)


async def test_a_deposed_primary_does_not_say_that_a_mark_is_gone(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = PartialsStore(db)
    assert await store.mark(0, 7, None, 3)
    stale = AsyncMock(return_value=SimpleNamespace(matched_count=0))
    monkeypatch.setattr(type(store._collection), "update_one", stale)
    with pytest.raises(MongoAway, match="deposed"):
        await store.mark(0, 7, 3, 4)
    assert not await store.mark(0, 7, 4, 5)


async def test_topics_of_a_later_run_than_mongodb_has(settings: Settings, db: Database) -> None:
    await topics.ensure(settings)
    names, run = Topics.of(settings), await runs.open_run(db, settings.kafka_group, {"n": 1})
    producer = await client.start_producer(settings)
    try:
        await claims.claim(settings, producer, await runs.claim_of(db, settings.kafka_group))
        assert len(await startup._check_claims(settings, db, names)) == 2
        await runs.start_new(db, settings.kafka_group, {"n": 2})
        await claims.claim(settings, producer, await runs.claim_of(db, settings.kafka_group))
    finally:
        await client.stop_producer(producer)
    await startup._check_claims(settings, db, names)
    await db["_runs"].update_one({}, {"$set": {"number": Int64(run.number)}})  # as in a backup of before
    with pytest.raises(DatabaseSetBack, match=f"and it is of run {run.number}, which was before; .* movie-stream rebu"):
        await startup._check_claims(settings, db, names)
