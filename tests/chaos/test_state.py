"""State that is spoilt, cut, deleted, or no longer fits: a clear error that names it, never a wrong figure.

And then the way back: `movie-stream rebuild` counts the topic afresh.
"""

from __future__ import annotations

import asyncio
import re
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions
from aiokafka.admin.records_to_delete import RecordsToDelete

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.tables.checkpoint import CheckpointId, Cursor, EntryRecord, encode
from tests.chaos.fleet import until
from tests.chaos.scenario import TIMEOUT_S, on_both_when_asked, on_kafka_when_asked
from tests.chaos.stage import Kind, Stage
from tests.support import reference
from tests.support.whole_path import database, documents, log_of

pytestmark = pytest.mark.timeout(TIMEOUT_S)

REBUILD = "movie-stream rebuild"
MISSING = re.compile(r"partition (\d+): the records from (\d+) to before (\d+) were deleted before they were counted")


def counted(stage: Stage) -> Topics:
    """Has the stream produced and counted, by a worker that has left; the topics."""
    with stage.producing(stage.stream(), 0) as views:
        stage.fleet.fill(1)
        views.wait()
    stage.recover()
    stage.leave()
    return Topics.of(stage.settings)


def rebuilt(stage: Stage) -> None:
    """A rebuild, and every document is right again."""
    stage.command("init")
    stage.command("rebuild", "--yes")
    stage.fleet.fill(1)
    stage.recover()
    stage.leave()
    stage.verdict()


def administered(stage: Stage, what: Any) -> Any:
    """The result of a coroutine that gets an admin client."""

    async def ask() -> Any:
        async with client.admin(stage.settings) as admin:
            return await what(admin)

    return asyncio.run(ask())


async def _append(stage: Stage, topic: str, values: list[bytes], partition: int = 0) -> None:
    producer = await client.start_producer(stage.settings)
    try:
        for value in values:
            await producer.send_and_wait(topic, value, partition=partition)
    finally:
        await producer.stop()


@on_both_when_asked
@pytest.mark.parametrize("agent", ["accumulate", "publish"])
def test_a_changelog_entry_is_spoilt(kind: Kind, agent: str, tmp_path: Path) -> None:
    """Bytes that are nobody's, and a checkpoint that counts but holds an entry that cannot be loaded."""
    with Stage(f"a spoilt entry in {agent}'s changelog", kind, tmp_path) as stage:
        topics = counted(stage)
        changelog = topics.accumulate_changelog if agent == "accumulate" else topics.publish_changelog
        forged = asyncio.run(_forged(stage, changelog))
        stage.fault("a checkpoint with a spoilt entry")
        asyncio.run(_append(stage, changelog, forged))
        line = stage.refused()
        assert f"{changelog}, partition 0: expected checkpoints, got" in line
        assert "an entry that cannot be loaded" in line
        assert REBUILD in line
        stage.fault("bytes that are nobody's")
        asyncio.run(_append(stage, changelog, [b"\xff\x00garbage"]))
        assert f"{changelog}, partition 0: expected checkpoints" in stage.refused()
        administered(stage, lambda admin: admin.delete_topics([changelog]))
        rebuilt(stage)


async def _forged(stage: Stage, changelog: str) -> list[bytes]:
    """A checkpoint that follows the last one in the log."""
    place = TopicPartition(changelog, 0)
    async with client.reader(stage.settings) as reader:
        end = (await offsets.ends(reader, [place]))[place]
        reader.assign([place])
        reader.seek(place, end - 1)
        last = msgspec.msgpack.decode((await reader.getone()).value, type=EntryRecord | Cursor)
    assert isinstance(last, Cursor)
    this = CheckpointId("forged", 1)
    cursor = Cursor(this, last.id, False, last.position, last.watermark_ms, 1, last.run)
    return [encode(EntryRecord(this, 0, b"\xc1spoilt")), encode(cursor)]


@on_kafka_when_asked
@pytest.mark.parametrize("agent", ["accumulate", "publish"])
@pytest.mark.parametrize("how", ["in the middle", "whole"])
def test_a_changelog_is_cut(kind: Kind, agent: str, how: str, tmp_path: Path) -> None:
    """Records that are still needed were deleted by hand, or by a retention that someone has set."""
    with Stage(f"{agent}'s changelog cut, {how}", kind, tmp_path) as stage:
        topics = counted(stage)
        changelog = topics.accumulate_changelog if agent == "accumulate" else topics.publish_changelog
        stage.fault("records deleted")
        administered(stage, lambda admin: _cut(stage, admin, changelog, whole=how == "whole"))
        line = stage.refused()
        assert f"{changelog}, partition 0: expected checkpoints" in line
        assert "deleted" in line
        assert REBUILD in line
        administered(stage, lambda admin: admin.delete_topics([changelog]))
        rebuilt(stage)


async def _cut(stage: Stage, admin: AIOKafkaAdminClient, topic: str, *, whole: bool) -> None:
    place = TopicPartition(topic, 0)
    async with client.reader(stage.settings) as reader:
        oldest, end = (await offsets.beginnings(reader, [place]))[place], (await offsets.ends(reader, [place]))[place]
    await admin.delete_records({place: RecordsToDelete(before_offset=end if whole else oldest + 1)})


@on_both_when_asked
@pytest.mark.parametrize("which", ["events", "partials", "accumulate_changelog", "publish_changelog"])
@pytest.mark.parametrize("running", [True, False], ids=["while a worker runs", "while none runs"])
def test_a_topic_is_deleted_and_made_again(kind: Kind, which: str, running: bool, tmp_path: Path) -> None:
    """No worker takes the new one for the old."""
    with Stage(f"{which} deleted and made again", kind, tmp_path) as stage:
        topics = counted(stage)
        topic = getattr(topics, which)
        if running:
            stage.fleet.fill(1)
            until(stage.owned, "all partitions are owned")
        stage.fault(f"{topic} deleted and made again")
        administered(stage, lambda admin: admin.delete_topics([topic]))
        stage.command("init")
        if running:
            worker = stage.fleet.all[-1]
            until(lambda: not worker.alive, "the worker has noticed")
            [line] = [line for line in worker.text.splitlines() if line.startswith("error: ")]
            stage.say(f"the worker said: {line}")
        line = stage.refused()
        assert REBUILD in line
        assert "was " in line
        if which == "events":
            with stage.producing(stage.stream(), 0) as views:
                views.wait()
        rebuilt(stage)


@on_kafka_when_asked
def test_partitions_are_added_while_workers_run(kind: Kind, tmp_path: Path) -> None:
    with Stage("partitions added", kind, tmp_path) as stage, stage.producing(stage.stream(), 10_000) as views:
        stage.fleet.fill(2)
        until(stage.owned, "all partitions are owned")
        views.wait(0.3)
        events = stage.settings.kafka_topic
        stage.fault("a fourth partition")
        administered(stage, lambda admin: admin.create_partitions({events: NewPartitions(4)}))
        until(lambda: not stage.fleet.alive, "the workers have noticed")
        for worker in stage.fleet.all:
            assert "partitions was 3, is 4" in worker.text
        views.wait()
        line = stage.refused()
        assert "fewer than the 4" in line
        topics = Topics.of(stage.settings)
        administered(stage, lambda admin: admin.delete_topics([topics.dead_letters, topics.accumulate_changelog]))
        stage.settings = stage.settings.model_copy(update={"kafka_partitions": 4})
        rebuilt(stage)


def _leave_with_a_checkpoint(stage: Stage) -> None:
    """On a busy machine a worker may have no time for one; what it counted since the one before stays in documents."""
    while True:
        [worker] = stage.fleet.alive
        stage.leave()
        if "without a last checkpoint" not in worker.text:
            return
        stage.fleet.fill(1)
        until(stage.owned, "all partitions are owned")


@on_kafka_when_asked
def test_retention_overtakes_a_stopped_worker(kind: Kind, tmp_path: Path) -> None:
    """What was never counted is named by its offsets; everything else is counted."""
    with Stage("retention overtakes a stopped worker", kind, tmp_path) as stage:
        with stage.producing(stage.stream(), 15_000) as views:
            stage.fleet.fill(1)
            views.wait(0.2)
            until(lambda: _committed(stage) > 0, "something is counted")
            _leave_with_a_checkpoint(stage)
            views.rush()
            views.wait()
        before = log_of(stage.settings)
        position = _committed(stage)
        stage.fault("records deleted before they were counted")
        cut = position + 5_000
        place = TopicPartition(stage.settings.kafka_topic, 0)
        administered(stage, lambda admin: admin.delete_records({place: RecordsToDelete(before_offset=cut)}))
        stage.fleet.fill(1)
        worker = stage.fleet.alive[0]
        worker.wait_for(
            f"partition 0: the records from {position} to before {cut} were deleted before they were counted"
        )
        stage.recover()
        stage.leave()
        left = [[r for r in before[0] if not position <= r[0] < cut], *before[1:]]
        lateness_ms = 2 * 3_600_000
        wanted = reference.expected(left, reference.Rules(allowed_lateness_ms=lateness_ms))
        with database(stage.settings) as db:
            wrong = reference.same(documents(db), wanted.documents)
        stage.keep(wrong, sum(map(len, left)))


@on_kafka_when_asked
def test_retention_overtakes_a_running_worker(kind: Kind, tmp_path: Path) -> None:
    """It is paused; all records that arrived meanwhile are gone when it resumes: its position moves without one."""
    with Stage("retention overtakes a running worker", kind, tmp_path) as stage:
        worker = stage.fleet.start()
        with stage.producing(stage.stream(), 0) as views:
            views.wait()
        stage.recover()
        before = log_of(stage.settings)
        stage.fault("SIGSTOP of the worker")
        worker.pause()
        with stage.producing(stage.stream(6_000), 0) as more:
            more.wait()
        since = asyncio.run(_records_from(stage, list(map(len, before))))
        stage.fault("all records deleted")
        administered(stage, partial(_delete_all, stage))
        worker.go_on()
        until(lambda: not worker.alive, "the worker has noticed")
        assert "were deleted before they were read" in worker.text
        again = stage.fleet.start()
        stage.recover()
        stage.leave()
        missing = {int(p): int(first) for p, first, _ in MISSING.findall(again.text)}
        assert missing.keys() == {0, 1, 2}
        # What the broker had already sent when the worker fell asleep was counted.
        left = [[*of, *(r for r in since[p] if r[0] < missing[p])] for p, of in enumerate(before)]
        rules = reference.Rules(allowed_lateness_ms=2 * 3_600_000)
        with database(stage.settings) as db:
            wrong = reference.same(documents(db), reference.expected(left, rules).documents)
        stage.keep(wrong, sum(map(len, left)))


async def _records_from(stage: Stage, starts: list[int]) -> list[list[reference.Record]]:
    places = [TopicPartition(stage.settings.kafka_topic, partition) for partition in range(len(starts))]
    found: list[list[reference.Record]] = [[] for _ in places]
    async with client.reader(stage.settings) as reader:
        ends = await offsets.ends(reader, places)
        reader.assign(places)
        for place, start in zip(places, starts, strict=True):
            reader.seek(place, start)
        while any([await reader.position(place) < ends[place] for place in places]):
            for at, fetched in (await reader.getmany(timeout_ms=100)).items():
                found[at.partition] += [(r.offset, r.timestamp, r.value) for r in fetched]
    return found


async def _delete_all(stage: Stage, admin: AIOKafkaAdminClient) -> None:
    places = [TopicPartition(stage.settings.kafka_topic, partition) for partition in range(3)]
    async with client.reader(stage.settings) as reader:
        ends = await offsets.ends(reader, places)
    await admin.delete_records({place: RecordsToDelete(before_offset=end) for place, end in ends.items()})


@on_both_when_asked
def test_the_database_is_deleted_under_a_worker(kind: Kind, tmp_path: Path) -> None:
    """It notices, and the next worker counts all of the topic again."""
    with Stage("the database deleted", kind, tmp_path) as stage, stage.producing(stage.stream(), 20_000) as views:
        worker = stage.fleet.start()
        until(stage.owned, "all partitions are owned")
        views.wait(0.5)
        stage.fault("dropDatabase")
        with database(stage.settings) as db:
            db.client.drop_database(db.name)
        until(lambda: not worker.alive, "the worker has noticed")
        [line] = [line for line in worker.text.splitlines() if line.startswith("error: ")]
        assert "deleted" in line, "by a look at the run, or by a mark that is gone"
        stage.command("init")
        stage.end(views, workers=1)


def _committed(stage: Stage) -> int:
    place = TopicPartition(stage.settings.kafka_topic, 0)

    async def ask(admin: AIOKafkaAdminClient) -> int:
        ask_group = partial(admin.list_consumer_group_offsets, stage.settings.kafka_group, partitions=[place])
        told = await client.coordinated(ask_group)
        return int(told[place].offset) if place in told else 0

    return int(administered(stage, ask))


@on_both_when_asked
def test_a_setting_that_changes_figures_is_changed(kind: Kind, tmp_path: Path) -> None:
    with Stage("a setting is changed", kind, tmp_path) as stage:
        counted(stage)
        stage.fault("ALLOWED_LATENESS=4h")
        was = stage.settings
        stage.settings = was.model_copy(update={"allowed_lateness": was.allowed_lateness * 2})
        line = stage.refused()
        assert "ALLOWED_LATENESS_MS was 7200000, is 14400000" in line
        assert REBUILD in line
        stage.fleet.settings = stage.settings
        rebuilt(stage)
