"""What the admin client asks for, and what it deletes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import LeaderNotAvailableError, OffsetOutOfRangeError

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer


@pytest.mark.long
async def test_records_are_deleted_with_the_metadata_of_their_topic_alone(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(there)
        places = [TopicPartition(there.kafka_topic, partition) for partition in (0, 1)]
        producer = await client.start_producer(there)
        for place in places:
            for _ in range(3):
                await producer.send_and_wait(place.topic, b"x", partition=place.partition)
        await producer.stop()
        async with client.reader(there) as reader, client.admin(there) as admin:
            asked, ask = list[Any](), admin._get_cluster_metadata

            async def noted(names: Any = None) -> Any:
                asked.append(names)
                return await ask(names)

            monkeypatch.setattr(admin, "_get_cluster_metadata", noted)
            wanted = {place: RecordsToDelete(before_offset=place.partition + 1) for place in places}
            assert await admin.delete_records(wanted) == {places[0]: 1, places[1]: 2}
            assert asked == [[there.kafka_topic]]
            assert await offsets.beginnings(reader, places) == {places[0]: 1, places[1]: 2}
            with pytest.raises(OffsetOutOfRangeError):
                await admin.delete_records({places[0]: RecordsToDelete(before_offset=9)})
            with pytest.raises(LeaderNotAvailableError):
                await admin.delete_records({TopicPartition(there.kafka_topic, 99): RecordsToDelete(before_offset=1)})
