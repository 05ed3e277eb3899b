"""Commands of users with the least ACLs that docs/how-to/security.md lists, and with one less, against a real Kafka."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from movie_stream.kafka.cluster import topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings
from tests.support.kafka.secured_kafka import SecuredKafka, allow, secured_kafka
from tests.support.whole_path import command, database, succeed

Rule = tuple[str, str, str]
VIEWS = """\
movie_id,title,genre,user_id,timestamp,rating
a,Alien,Horror,u1,1730419199999,5
b,Brazil,Comedy,u2,1730419200000,4
"""


def rules_of_worker(names: Topics, group: str) -> list[Rule]:
    """As docs/how-to/security.md lists them."""
    return [
        ("Read", "group", group),
        *((operation, "topic", topic) for topic, operations in names.needs.items() for operation in operations),
        *(("Delete", "topic", topic) for topic in names.deleted),
    ]


def rules_of_init(names: Topics) -> list[Rule]:
    return [(operation, "topic", topic) for topic in names.all for operation in ("Create", "DescribeConfigs")]


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured"), acls=True) as running:
        yield running


@pytest.fixture
def views(tmp_path: Path) -> Path:
    path = tmp_path / "views.csv"
    path.write_text(VIEWS)
    return path


@pytest.mark.long
def test_the_least_that_each_needs_is_enough(kafka: SecuredKafka, settings: Settings, views: Path) -> None:
    names, group = Topics.of(settings), settings.kafka_group
    admin = kafka.settings(settings, "SCRAM", "admin")
    maker = kafka.settings(settings, "MUTUAL", "maker")
    producer = kafka.settings(settings, "PLAIN", "producer")
    worker = kafka.settings(settings, "SCRAM", "worker")
    asyncio.run(allow(admin, "maker", *rules_of_init(names)))
    assert f"created  topic       {names.events}" in succeed(maker, "init")
    asyncio.run(allow(admin, "producer", ("Write", "topic", names.events)))
    succeed(producer, "produce", "--file", str(views))
    asyncio.run(allow(admin, "worker", *rules_of_worker(names, group)))
    said = succeed(worker, "worker", "--until-end")
    assert "WARNING" not in said
    with database(settings) as db:
        assert db["category_stats"].count_documents({}) == 2
    found = " ".join(succeed(worker, "doctor").split())
    assert "SASL_SSL, as worker by SCRAM-SHA-512" in found
    succeed(worker, "rebuild", "--yes")
    succeed(worker, "worker", "--until-end")


def test_a_user_without_permissions_gets_the_missing_ones_named(
    kafka: SecuredKafka, settings: Settings, views: Path
) -> None:
    asyncio.run(topics.ensure(kafka.settings(settings, "PLAIN", "admin")))
    stranger = kafka.settings(settings, "PLAIN", "stranger")
    names = Topics.of(settings)
    for words in (["worker"], ["produce", "--file", str(views)], ["init"], ["rebuild", "--yes"]):
        done = command(stranger, *words)
        assert done.returncode == 1
        [line] = done.stderr.splitlines()
        assert line.startswith("error: the Kafka user stranger lacks permissions")
        assert names.events in line
    done = command(stranger, "doctor")
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "the Kafka user stranger lacks permissions: Read on the topic" in text
    assert "have its ACLs set as docs/how-to/security.md lists them" in text


@pytest.mark.long
@pytest.mark.parametrize(
    "without", ["Read group", "Read events", "Write dead letters", "Write partials", "Read changelog"]
)
def test_each_permission_that_lacks_is_named(kafka: SecuredKafka, settings: Settings, without: str) -> None:
    names, group = Topics.of(settings), settings.kafka_group
    admin = kafka.settings(settings, "SCRAM", "admin")
    asyncio.run(topics.ensure(admin))
    missing: Rule = {
        "Read group": ("Read", "group", group),
        "Read events": ("Read", "topic", names.events),
        "Write dead letters": ("Write", "topic", names.dead_letters),
        "Write partials": ("Write", "topic", names.partials),
        "Read changelog": ("Read", "topic", names.publish_changelog),
    }[without]
    rules = [rule for rule in rules_of_worker(names, group) if rule != missing]
    asyncio.run(allow(admin, "worker", *rules, ("Describe", *missing[1:])))
    done = command(kafka.settings(settings, "SCRAM", "worker"), "worker", "--until-end")
    assert done.returncode == 1, done.stdout
    [line] = done.stderr.splitlines()
    assert "lacks permissions" in line
    assert missing[2] in line
