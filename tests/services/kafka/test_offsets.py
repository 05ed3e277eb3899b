"""Where partitions begin and end, on the real broker."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import NewTopic
from aiokafka.admin.records_to_delete import RecordsToDelete
from aiokafka.errors import NodeNotReadyError

from movie_stream.embedded.launch import free_port
from movie_stream.errors import BrokerUnreachable, PartitionSilent
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer
from tests.support.whole_path import PATIENCE_S, command


async def test_ends_are_right_whatever_the_last_batch_holds(settings: Settings) -> None:
    await topics.ensure(settings)
    empty, one, many, both = places = [TopicPartition(settings.kafka_topic, p) for p in range(3)] + [
        TopicPartition(settings.kafka_partials_topic, 0)
    ]
    producer = await client.start_producer(settings)
    try:
        for place, sizes in ((one, [1]), (many, [40]), (both, [3, 1, 12])):
            for size in sizes:
                batch = producer.create_batch()
                for n in range(size):
                    batch.append(key=b"k", value=b"%d" % n, timestamp=None)
                await (await producer.send_batch(batch, place.topic, partition=place.partition))
    finally:
        await producer.stop()
    async with client.reader(settings) as reader:
        assert await offsets.ends(reader, places) == {empty: 0, one: 1, many: 40, both: 16}
        assert await offsets.ends(reader, places[:1]) == {empty: 0}
        assert await offsets.ends(reader, places) == {empty: 0, one: 1, many: 40, both: 16}, "a reader may ask again"
        assert await offsets.beginnings(reader, places) == dict.fromkeys(places, 0)
        assert reader.paused() == {one, many, both}, "nothing is fetched in the background"
        assert reader._client._topics == {place.topic for place in places}, "nor is metadata of other topics"


async def test_a_partition_that_does_not_answer_is_named_in_time(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    await topics.ensure(settings)
    places = [TopicPartition(settings.kafka_topic, partition) for partition in range(2)]
    producer = await client.start_producer(settings)
    for place in places:
        await producer.send_and_wait(place.topic, b"x", partition=place.partition)
    await producer.stop()
    monkeypatch.setattr(offsets, "ANSWERED_WITHIN_S", 0.3)
    async with client.reader(settings) as reader:
        told = reader.highwater
        monkeypatch.setattr(reader, "highwater", lambda place: None if place.partition == 1 else told(place))
        with pytest.raises(PartitionSilent, match=rf"^no answer: {settings.kafka_topic}, partition 1;"):
            await offsets.ends(reader, places)


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_partition_without_a_leader_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        port = free_port()
        second = {
            "process.roles": "broker",
            "node.id": "2",
            "controller.quorum.voters": kafka.quorum,
            "listeners": f"PLAINTEXT://127.0.0.1:{port}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{port}",
        }
        names = topics.Topics.of(there)
        with KafkaServer(tmp_path / "second", properties=second):
            async with client.admin(there) as admin:
                async with asyncio.timeout(PATIENCE_S):
                    while len((await admin.describe_cluster())["brokers"]) < 2:
                        pass
                await admin.create_topics([NewTopic(names.partials, -1, -1, {0: [1], 1: [2]})])
                for topic in (names.events, *names.written):
                    if topic != names.partials:
                        await admin.create_topics([NewTopic(topic, -1, -1, {0: [1], 1: [1]})])
                async with asyncio.timeout(PATIENCE_S):
                    while await topics.leaderless(admin, names.all):
                        pass
        found: list[str] = []
        async with asyncio.timeout(PATIENCE_S):
            while not found:
                await asyncio.sleep(0.2)
                with suppress(BrokerUnreachable, NodeNotReadyError):  # it is given up some seconds after its end
                    async with client.admin(there) as admin:
                        found = await topics.leaderless(admin, names.all)
        assert found == [f"{names.partials}, partition 1"]
        said = await asyncio.to_thread(command, there, "doctor")
        words = f"no leader: {names.partials}, partition 1; start the brokers again that hold"
        assert (said.returncode, words in " ".join(said.stdout.split())) == (1, True)
        async with client.reader(there) as reader:
            monkeypatch.setattr(reader, "_request_timeout_ms", 500)
            with pytest.raises(PartitionSilent, match=words):
                await offsets.ends(reader, [TopicPartition(names.partials, number) for number in range(2)])
            with pytest.raises(PartitionSilent, match=words):
                await offsets.beginnings(reader, [TopicPartition(names.partials, number) for number in range(2)])


async def test_ends_are_right_though_the_last_record_is_deleted_meanwhile(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(there)
        place = TopicPartition(there.kafka_partials_topic, 0)
        producer = await client.start_producer(there)
        for _ in range(5):
            await producer.send_and_wait(place.topic, b"x", partition=0)
        await producer.stop()
        async with client.reader(there) as reader, client.admin(there) as admin:
            ask = reader.beginning_offsets

            async def delete_afterwards(places: list[TopicPartition]) -> object:
                oldest = await ask(places)
                await admin.delete_records({place: RecordsToDelete(before_offset=5)})
                return oldest

            monkeypatch.setattr(reader, "beginning_offsets", delete_afterwards)
            assert await offsets.ends(reader, [place]) == {place: 5}
            assert await offsets.beginnings(reader, [place]) == {place: 5}
