"""The Apache Kafka of the tests: acknowledged records survive a kill -9."""

from pathlib import Path

import pytest

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer


@pytest.mark.long
async def test_it_keeps_what_it_acknowledged(settings: Settings, tmp_path: Path) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(there)
        producer = await client.start_producer(there)
        sent = await producer.send_and_wait(there.kafka_topic, b"view", partition=0)
        await producer.stop()
        kafka.kill()
        kafka.start()
        kafka.wait_until_ready()
        async with client.reader(there) as reader:
            place = sent.topic_partition
            assert await offsets.ends(reader, [place]) == {place: sent.offset + 1}
