"""Two deployments on what can serve one only: the second is refused, and both are named."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from bson.int64 import Int64

from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.runs import claims
from movie_stream.settings import Settings
from movie_stream.tables import checkpoint
from movie_stream.tables.checkpoint import CheckpointId, Cursor
from movie_stream.tables.claim import Claim
from tests.support import reference
from tests.support.in_process import initialize
from tests.support.waiting import until
from tests.support.whole_path import PATIENCE_S, command, database, documents, log_of, started, succeed

CURSOR = Cursor(CheckpointId("w", 1), None, True, 7, None, 0, "1:x")


def differences(settings: Settings) -> list[str]:
    with database(settings) as db:
        return reference.same(documents(db), reference.expected(log_of(settings)).documents)


def refused(settings: Settings, *arguments: str) -> str:
    """The one line of a command that must fail."""
    done = command(settings, *arguments)
    assert done.returncode == 1, done.stdout
    [line] = done.stderr.splitlines()
    assert line.startswith("error: ")
    return line


def assert_both_named(text: str, one: Settings, other: Settings) -> None:
    text = " ".join(text.split())
    for settings in (one, other):
        assert f"the group {settings.kafka_group} with the database {settings.mongodb_database}" in text


def with_another(settings: Settings, **changes: str) -> Settings:
    return settings.model_copy(update={"mongodb_database": f"{settings.mongodb_database}_other", **changes})


@pytest.mark.long
@pytest.mark.timeout(240)
def test_one_group_fills_one_database_until_a_rebuild_takes_it_over(settings: Settings, tmp_path: Path) -> None:
    other, log = with_another(settings), tmp_path / "worker.log"
    initialize(settings)
    assert_both_named(refused(other, "init"), settings, other)
    succeed(settings, "generate", "--to-topic", "--count", "500")
    succeed(settings, "worker", "--until-end")
    assert differences(settings) == []
    assert_both_named(refused(other, "worker"), settings, other)
    with database(other) as db:
        assert db["_runs"].count_documents({}) == 0, "no run has begun"

    succeed(other, "rebuild", "--yes")
    with started(other, "worker", "--until-end", log=log) as worker:
        assert worker.wait(PATIENCE_S) == 0, log.read_text()
    assert differences(other) == []
    assert_both_named(refused(settings, "worker", "--until-end"), settings, other)


@pytest.mark.long
@pytest.mark.timeout(240)
def test_two_groups_with_one_topic_of_partials(settings: Settings, tmp_path: Path) -> None:
    other = with_another(settings, kafka_group=f"{settings.kafka_group}-other")
    log = tmp_path / "worker.log"
    initialize(settings)
    line = refused(other, "init")
    assert f"the topic {settings.kafka_partials_topic} belongs to" in line
    assert_both_named(line, settings, other)
    with database(other) as db:
        assert db.list_collection_names() == [], "refused before anything is made"
    other_topics = other.model_copy(update={"kafka_partials_topic": f"{settings.kafka_partials_topic}-other"})
    succeed(other_topics, "init")  # changelogs and collections of its own are there now
    done = command(other, "doctor")
    assert done.returncode == 1
    assert_both_named(done.stdout, settings, other)
    succeed(settings, "generate", "--to-topic", "--count", "50")
    with started(settings, "worker", log=log) as worker:
        until(lambda: "read 50 events" in log.read_text(), log)
        succeed(other, "rebuild", "--yes")
        assert worker.wait(PATIENCE_S) == 1, log.read_text()
    [error] = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert f"of the group {other.kafka_group} with the database {other.mongodb_database}" in error


async def test_topics_of_another_kind_are_named(settings: Settings) -> None:
    names, ours = Topics.of(settings), Claim(1, settings.kafka_group, "movies", "mongodb://a:1", "x")
    await topics.ensure(settings)
    producer = await client.start_producer(settings)
    try:
        await claims.claim(settings, producer, ours)
        await producer.send_and_wait(names.publish_changelog, checkpoint.encode(CURSOR), partition=0)
        await producer.send_and_wait(names.events, b' {"movie_id": "m1"}', partition=0)
    finally:
        await client.stop_producer(producer)
    async with client.reader(settings) as reader:
        found = await claims.check(settings, reader, ours)
        assert {topic: standing.claim for topic, standing in found.items()} == {
            names.partials: ours,
            names.accumulate_changelog: ours,
        }
        for changes, holds in (
            ({"kafka_topic": names.partials}, "what workers tell each other; set KAFKA_TOPIC to another"),
            ({"kafka_topic": names.publish_changelog}, "what workers tell each other; set KAFKA_TOPIC to another"),
            ({"kafka_partials_topic": names.events}, "views; set KAFKA_PARTIALS_TOPIC to another"),
            ({"kafka_partials_topic": names.publish_changelog}, "checkpoints; set KAFKA_PARTIALS_TOPIC to another"),
        ):
            with pytest.raises(claims.TopicOfAnotherKind) as caught:
                await claims.check(settings.model_copy(update=changes), reader, ours)
            assert str(caught.value) == f"the topic {next(iter(changes.values()))} holds {holds}"
        for theirs in (
            msgspec.structs.replace(ours, group="other"),
            msgspec.structs.replace(ours, run=2, database="other", identity="y"),
            msgspec.structs.replace(ours, run=0, address="mongodb://b:1", identity=""),
        ):
            with pytest.raises(claims.TopicsShared) as shared:
                await claims.check(settings, reader, theirs)
            assert str(ours) in str(shared.value)
            assert str(theirs) in str(shared.value)


async def test_a_cursor_bears_the_claim_where_the_first_one_is_deleted(settings: Settings) -> None:
    ours = Claim(1, settings.kafka_group, "movies", "mongodb://a:1", "x")
    await topics.ensure(settings)
    cursor = msgspec.structs.replace(CURSOR, claim=ours)
    producer = await client.start_producer(settings)
    try:
        await producer.send_and_wait(Topics.of(settings).accumulate_changelog, checkpoint.encode(cursor), partition=0)
    finally:
        await client.stop_producer(producer)
    async with client.reader(settings) as reader:
        assert list(await claims.check(settings, reader, ours)) == [Topics.of(settings).accumulate_changelog]
        with pytest.raises(claims.TopicsShared):
            await claims.check(settings, reader, msgspec.structs.replace(ours, run=3, database="other", identity="y"))


def test_two_groups_with_one_database(settings: Settings) -> None:
    initialize(settings)
    with database(settings) as db:
        db["_workers"].insert_one(
            {
                "_id": "h-7-x",
                "host": "h",
                "pid": 7,
                "version": "0.1.0",
                "group": settings.kafka_group,
                "run": Int64(1),
                "started": datetime.now(UTC),
                "seen": datetime.now(UTC),
                "last_flush": None,
                "state": "running",
                "partitions": [],
            }
        )
    other = settings.model_copy(
        update={"kafka_group": f"{settings.kafka_group}-other", "kafka_partials_topic": "p-of-another-group"}
    )
    line = refused(other, "init")
    assert f"the database {settings.mongodb_database} is being filled by the group {settings.kafka_group}" in line
    assert f"the group {other.kafka_group} too" in line
