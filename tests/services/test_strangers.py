"""A consumer that is no worker in the workers' group: what it takes is never taken for counted, and it is named."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import GroupLoadInProgressError

from movie_stream.commands.doctor.findings import Findings
from movie_stream.commands.doctor.workers import check_workers
from movie_stream.embedded.process import GuardedProcess
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.group import consumer_group
from movie_stream.kafka.group.group_state import describe_group
from movie_stream.kafka.group.members import Member, members_of, strangers
from movie_stream.mongo import schema
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer, jars
from tests.support.whole_path import PATIENCE_S, command, database, started

BILLING = "billing"
VIEWS = 100
ONE_CONSUMER = (
    "000000000200000003673107537461626c65000000010000000108756e69666f726d02174f5a51346a506a5154453262586e65784e6c59785167"
    "0000000000010862696c6c696e670b2f3132372e302e302e31020365310102d77307abfb4b44778349ae947ef678c90365310400000000000000"
    "0100000002000002d77307abfb4b44778349ae947ef678c903653104000000000000000100000002000000800000000000"
)
NO_CONSUMER_GROUP = (
    "000000000200451847726f7570206e6f626f6479206e6f7420666f756e642e076e6f626f64790100000000000000000101800000000000"
)


@contextmanager
def in_the_group(settings: Settings, assignors: Sequence[Any] = (RoundRobinPartitionAssignor,)) -> Iterator[None]:
    """A plain consumer with automatic commits is in the workers' group during the block, and reads on."""
    joined, leaves = threading.Event(), threading.Event()

    async def consume() -> None:
        consumer = AIOKafkaConsumer(
            settings.kafka_topic,
            bootstrap_servers=settings.require_broker(),
            client_id=BILLING,
            group_id=settings.kafka_group,
            auto_offset_reset="earliest",
            auto_commit_interval_ms=100,
            partition_assignment_strategy=assignors,
            session_timeout_ms=6_000,
            heartbeat_interval_ms=500,
        )
        await consumer.start()
        try:
            while not leaves.is_set():
                await consumer.getmany(timeout_ms=100)
                if consumer.assignment():
                    joined.set()
        finally:
            await consumer.stop()

    thread = threading.Thread(target=asyncio.run, args=[consume()], name=BILLING)
    thread.start()
    try:
        assert joined.wait(PATIENCE_S)
        yield
    finally:
        leaves.set()
        thread.join()


@contextmanager
def shared_out_by_the_broker(settings: Settings) -> Iterator[None]:
    """The same with a consumer whose group has the broker share out the partitions (KIP-848)."""
    source = Path(__file__).parents[1] / "data" / "kafka" / "Consume.java"
    arguments = [settings.require_broker(), settings.kafka_topic, settings.kafka_group, BILLING]
    with GuardedProcess(BILLING, ["java", "-Xmx256m", "-cp", f"{jars()}/*", str(source), *arguments]) as consumer:
        deadline = time.monotonic() + PATIENCE_S
        while "given " not in consumer.log():
            assert consumer.exit_code() is None, consumer.log()
            assert time.monotonic() < deadline, consumer.log()
            time.sleep(0.05)
        yield


def with_views(settings: Settings) -> None:
    asyncio.run(send_views(settings))


async def send_views(settings: Settings) -> None:
    """Makes all that a worker needs, and sends views of 100 users."""
    await topics.ensure(settings)
    async with opened(settings) as db:
        await schema.ensure(db)
    rest = '"movie_id": "m1", "title": "Alien", "genre": "Drama", "timestamp": 1730385000000'
    producer = await client.start_producer(settings)
    try:
        for number in range(VIEWS):
            user = f"u{number}"
            await producer.send(settings.kafka_topic, f'{{"user_id": "{user}", {rest}}}'.encode(), key=user.encode())
    finally:
        await producer.stop()


def test_a_worker_that_is_to_end_does_not_take_what_a_stranger_holds_for_counted(
    settings: Settings, tmp_path: Path
) -> None:
    with_views(settings)
    log = tmp_path / "worker.log"
    with in_the_group(settings), started(settings, "worker", "--until-end", log=log) as worker:
        assert worker.wait(PATIENCE_S) == 1, log.read_text()
        told = log.read_text()
        [error] = [line for line in told.splitlines() if line.startswith("error: ")]
        [warning] = [line for line in told.splitlines() if "WARNING" in line and "the group" in line]
        for line in (error, warning):
            assert f"in the group {settings.kafka_group} there is a consumer that is no worker" in line
            assert BILLING in line
            assert line.endswith("; stop it, or give it a group of its own")


@pytest.mark.long
@pytest.mark.timeout(240)
def test_apache_kafka_tells_what_a_stranger_holds(settings: Settings, tmp_path: Path) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        with_views(there)
        log = tmp_path / "worker.log"
        with started(there, "worker", log=log) as worker, in_the_group(there):
            deadline = time.monotonic() + PATIENCE_S
            while "a consumer that is no worker" not in log.read_text():
                assert worker.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            found = asyncio.run(look(there))
            assert len(found) == 2
            [stranger] = strangers(topics.Topics.of(there), found)
            assert (stranger.client, stranger.host, stranger.topics) == (
                BILLING,
                "127.0.0.1",
                frozenset({there.kafka_topic}),
            )
            assert {place.topic for place in stranger.partitions} == {there.kafka_topic}
            assert str(stranger) in log.read_text()
            findings = asyncio.run(doctor(there))
            group = next(row for row in findings.rows if row.check == "group")
            assert (group.state, str(stranger) in group.what) == ("fail", True)
            waiting = f"{VIEWS - counted(there)} of {VIEWS} events wait"
            assert waiting in findings.rows[0].what, "what the stranger has, whatever it commits"


@pytest.mark.long
@pytest.mark.timeout(300)
def test_a_stranger_to_whom_the_broker_shares_out_is_named_everywhere(settings: Settings, tmp_path: Path) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        with_views(there)
        with shared_out_by_the_broker(there):
            [stranger] = strangers(topics.Topics.of(there), asyncio.run(look(there)))
            assert (stranger.client, stranger.host) == (BILLING, "127.0.0.1")
            assert stranger.partitions == tuple(TopicPartition(there.kafka_topic, number) for number in range(3))
            refused = command(there, "rebuild", "--yes")
            assert refused.returncode == 1
            assert f"there is a consumer that is no worker, and what it is given is not counted: {BILLING} at " in (
                refused.stderr
            )
            assert refused.stderr.endswith("; stop it, or give it a group of its own, then do this again\n")
            log = tmp_path / "worker.log"
            with started(there, "worker", "--until-end", log=log) as worker:
                deadline = time.monotonic() + PATIENCE_S
                while "WARNING" not in log.read_text():
                    assert worker.poll() is None, log.read_text()
                    assert time.monotonic() < deadline, log.read_text()
                    time.sleep(0.05)
                rows = asyncio.run(doctor(there)).rows
                assert [row.state for row in rows if row.check == "group"] == ["fail"]
                assert worker.wait(PATIENCE_S) == 1, log.read_text()
            [error] = [line for line in log.read_text().splitlines() if line.startswith("error: ")]
            assert f"there is a consumer that is no worker, and what it is given is not counted: {BILLING} at " in error


def test_what_a_broker_says_of_a_group_to_whom_it_shares_out() -> None:
    """As Apache Kafka 4.1 has answered."""

    def answer(text: str) -> consumer_group.ConsumerGroup | None:
        return consumer_group.group_in(consumer_group.ConsumerGroupDescribeResponse.decode(bytes.fromhex(text)))

    assert answer(ONE_CONSUMER) == consumer_group.ConsumerGroup(
        "Stable",
        (
            consumer_group.ConsumerMember(
                "OZQ4jPjQTE2bXnexNlYxQg",
                BILLING,
                "/127.0.0.1",
                frozenset({"e1"}),
                tuple(TopicPartition("e1", number) for number in range(3)),
            ),
        ),
    )
    assert answer(NO_CONSUMER_GROUP) is None
    with pytest.raises(GroupLoadInProgressError):
        answer(NO_CONSUMER_GROUP.replace("0045", "000e", 1))
    hidden = answer(NO_CONSUMER_GROUP.replace("0045", "001d", 1))
    assert hidden is not None
    assert "may not see" in hidden.members[0].client, "one that workers would read nothing of"


async def test_where_nobody_is_in_the_group_it_has_no_members(settings: Settings) -> None:
    async with client.admin(settings) as admin:
        assert await consumer_group.describe(admin, settings.kafka_group) is None
        assert await members_of(settings, admin) == []
        assert (await describe_group(settings, admin)).members == frozenset()


async def doctor(settings: Settings) -> Findings:
    findings = Findings("workers")
    await check_workers(settings, findings)
    return findings


def counted(settings: Settings) -> int:
    with database(settings) as db:
        return sum(hour["total_views"] for hour in db["hourly_metrics"].find())


async def look(settings: Settings) -> list[Member]:
    async with client.admin(settings) as admin:
        return await members_of(settings, admin)


def test_a_worker_of_another_deployment_is_a_stranger(settings: Settings) -> None:
    names = topics.Topics.of(settings)
    ours = Member("movie-stream-worker", "", frozenset({names.events, names.partials}), ())
    other = Member("movie-stream-worker", "h", frozenset({names.events, "p"}), (TopicPartition(names.events, 0),))
    unknown = Member("movie-stream-worker", "", frozenset(), ())
    assert strangers(names, [ours, other, unknown]) == [other]
