"""Two deployments on what can serve one only: the second is refused, and both are named."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from bson.int64 import Int64

from movie_stream.settings import Settings
from tests import reference
from tests.whole_path import PATIENCE_S, command, database, documents, log_of, started, succeed


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


@pytest.mark.timeout(240)
def test_one_group_fills_one_database_until_a_rebuild_takes_it_over(settings: Settings, tmp_path: Path) -> None:
    other, views, log = with_another(settings), tmp_path / "views.csv", tmp_path / "worker.log"
    succeed(settings, "init")
    assert_both_named(refused(other, "init"), settings, other)
    succeed(settings, "generate", "--output", str(views), "--count", "2000")
    succeed(settings, "produce", "--file", str(views))
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


@pytest.mark.timeout(240)
def test_two_groups_with_one_topic_of_partials(settings: Settings, tmp_path: Path) -> None:
    other = with_another(settings, kafka_group=f"{settings.kafka_group}-other")
    log = tmp_path / "worker.log"
    succeed(settings, "init")
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
        until(lambda: "counted 50 events" in log.read_text(), log)
        succeed(other, "rebuild", "--yes")
        assert worker.wait(PATIENCE_S) == 1, log.read_text()
    [error] = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
    assert f"of the group {other.kafka_group} with the database {other.mongodb_database}" in error


def test_a_topic_of_views_is_no_topic_of_partials_and_the_other_way_round(settings: Settings) -> None:
    succeed(settings, "init")
    succeed(settings, "generate", "--to-topic", "--count", "30")
    mine = with_another(settings, kafka_group=f"{settings.kafka_group}-other")
    swapped = mine.model_copy(update={"kafka_topic": settings.kafka_partials_topic, "kafka_partials_topic": "p-other"})
    line = refused(swapped, "init")
    assert f"the topic {settings.kafka_partials_topic} holds what workers tell each other" in line
    assert line.endswith("set KAFKA_TOPIC to another")
    swapped = mine.model_copy(update={"kafka_topic": "e-other", "kafka_partials_topic": settings.kafka_topic})
    line = refused(swapped, "init")
    assert f"the topic {settings.kafka_topic} holds views" in line
    assert line.endswith("set KAFKA_PARTIALS_TOPIC to another")


def test_two_groups_with_one_database(settings: Settings) -> None:
    succeed(settings, "init")
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


def until(holds: object, log: Path) -> None:
    assert callable(holds)
    deadline = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
