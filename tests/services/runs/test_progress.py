"""The progress of the tables, by their checkpoints alone."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.errors import TopicMissing
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.mongo import runs
from movie_stream.mongo.client import opened
from movie_stream.runs.counted import Checkpoints
from movie_stream.runs.progress import Progress, TableProgress, record_count, wait_until_counted
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import CheckpointId, Cursor, EntryRecord, encode
from movie_stream.tables.claim import Claim
from movie_stream.tables.claim import encode as encode_claim


async def produce(settings: Settings, topic: str, counts: list[int]) -> None:
    await append(settings, topic, [[b"%d" % n for n in range(count)] for count in counts])


async def append(settings: Settings, topic: str, values: list[list[bytes]]) -> None:
    """Appends records to each partition."""
    producer = await client.start_producer(settings)
    try:
        for partition, those in enumerate(values):
            for value in those:
                await producer.send_and_wait(topic, value, partition=partition)
    finally:
        await producer.stop()


async def begin(settings: Settings) -> runs.Run:
    """A first run."""
    async with opened(settings) as db:
        return await runs.open_run(db, settings.kafka_group, {})


class Writer:
    """Writes cursors of a run into a changelog."""

    def __init__(self, settings: Settings, changelog: str, run: runs.Run, name: str = "w") -> None:
        self._settings, self._changelog, self._run, self._name = settings, changelog, f"{run.number}:x", name
        self._last: dict[int, CheckpointId] = {}

    async def reached(self, *positions: int | None, parents: dict[int, CheckpointId] | None = None) -> None:
        """A checkpoint with an entry for each partition that has a position."""
        values: list[list[bytes]] = []
        for partition, position in enumerate(positions):
            values.append([])
            if position is not None:
                parent = (parents or self._last).get(partition)
                this = CheckpointId(self._name, parent.sequence + 1 if parent else 1)
                cursor = Cursor(this, parent, parent is None, position, None, 1, self._run)
                values[-1] = [encode(EntryRecord(this, 0, b"x")), encode(cursor)]
                self._last[partition] = this
        await append(self._settings, self._changelog, values)


async def test_it_waits_for_the_events_in_all_partitions_and_then_for_the_partials(settings: Settings) -> None:
    events, partials, names = settings.kafka_topic, settings.kafka_partials_topic, Topics.of(settings)
    await topics.ensure(settings)
    run = await begin(settings)
    counting, publishing = (Writer(settings, name, run) for name in names.changelogs.values())
    await produce(settings, events, [5, 3, 0])
    seen: list[tuple[Progress, bool]] = []
    changed = asyncio.Event()

    def see(progress: Progress, of_partials: bool) -> None:
        if (progress, of_partials) not in seen:
            seen.append((progress, of_partials))
            changed.set()

    async def until_seen(progress: Progress, of_partials: bool) -> None:
        while (progress, of_partials) not in seen:
            changed.clear()
            await changed.wait()

    waiting = asyncio.create_task(wait_until_counted(settings, see))
    await until_seen(Progress(8, 0), False)
    await produce(settings, events, [1])  # after the ends were asked for: not waited for
    await counting.reached(6)
    await until_seen(Progress(8, 5), False)
    await produce(settings, partials, [2, 0, 2])
    await publishing.reached(2)
    await counting.reached(6, 3)
    await until_seen(Progress(4, 2), True)
    assert not waiting.done()
    await publishing.reached(None, None, 2)
    await waiting
    assert (seen[-1][0].lag, seen[-1][1]) == (2, True)
    async with client.reader(settings) as reader:
        assert await TableProgress(settings, reader, events, 3).progress(run) == Progress(9, 9)
        assert (await TableProgress(settings, reader, partials, 3).progress(run)).lag == 0
        assert await TableProgress(settings, reader, events, 3).progress(None) == Progress(9, 0)


async def test_a_changelog_that_is_cut_while_it_is_read_still_has_its_checkpoint(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner writes a newer checkpoint and deletes all before it, once the reader has asked for the ends."""
    await topics.ensure(settings)
    run, [changelog, _] = await begin(settings), Topics.of(settings).changelogs.values()
    counting = Writer(settings, changelog, run)
    await counting.reached(3)
    beginnings = offsets.beginnings

    async def cut(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> offsets.Offsets:
        monkeypatch.setattr(offsets, "beginnings", beginnings)
        end = await offsets.ends(reader, tps)
        await counting.reached(7)
        return end

    async with client.reader(settings) as reader:
        checkpoints = Checkpoints(settings, reader, changelog, 3)
        monkeypatch.setattr(offsets, "beginnings", cut)
        assert await checkpoints.positions(run.number) == {0: 7, 1: 0, 2: 0}


async def test_what_strangers_commit_says_nothing(settings: Settings) -> None:
    events = settings.kafka_topic
    await topics.ensure(settings)
    run = await begin(settings)
    await produce(settings, events, [5])
    stranger = AIOKafkaConsumer(
        events, **client.options(settings), group_id=settings.kafka_group, enable_auto_commit=False
    )
    await stranger.start()
    try:
        while not stranger.assignment():
            await stranger.getmany(timeout_ms=100)
        await stranger.commit({TopicPartition(events, 0): 5_000})
    finally:
        await stranger.stop()
    async with client.reader(settings) as reader:
        assert await TableProgress(settings, reader, events, 3).progress(run) == Progress(5, 0)


async def test_a_cursor_of_another_run_or_of_a_zombie_hides_nothing(settings: Settings) -> None:
    events, changelog = settings.kafka_topic, Topics.of(settings).accumulate_changelog
    await topics.ensure(settings)
    run = await begin(settings)
    await produce(settings, events, [9, 9])
    worker, zombie = Writer(settings, changelog, run), Writer(settings, changelog, run, "zombie")
    await worker.reached(2)
    await worker.reached(7)
    await zombie.reached(4, parents={0: CheckpointId("w", 1)})
    await append(settings, changelog, [[encode_claim(Claim(run.number, "g", "d", "a", "x"))]])
    await Writer(settings, changelog, runs.Run(run.number + 1, {}), "later").reached(9, 9)
    async with client.reader(settings) as reader:
        tables = TableProgress(settings, reader, events, 3)
        assert await tables.progress(run) == Progress(18, 7)
        await worker.reached(8)
        assert await tables.progress(run) == Progress(18, 8)


async def test_what_the_caller_has_finished_is_not_looked_up(settings: Settings) -> None:
    await topics.ensure(settings)
    await produce(settings, settings.kafka_topic, [2, 2])
    done = {TopicPartition(settings.kafka_topic, 0): 2}
    seen: list[Progress] = []

    async def pause() -> None:
        done[TopicPartition(settings.kafka_topic, 1)] = 2

    await wait_until_counted(settings, lambda progress, _: seen.append(progress), pause, lambda: done)
    assert seen == [Progress(4, 2)]


async def test_an_empty_topic_is_counted_immediately(settings: Settings) -> None:
    await topics.ensure(settings)
    seen: list[Progress] = []
    await wait_until_counted(settings, lambda progress, _: seen.append(progress))
    assert seen == []


async def test_how_many_records_a_topic_holds(settings: Settings) -> None:
    with pytest.raises(TopicMissing):
        await record_count(settings, settings.kafka_topic)
    await topics.ensure(settings)
    assert await record_count(settings, settings.kafka_topic) == 0
    await produce(settings, settings.kafka_topic, [4, 0, 7])
    assert await record_count(settings, settings.kafka_topic) == 11
