"""Whether a topic is still the one that it was."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from movie_stream.kafka import client
from movie_stream.kafka.identity import topic_identity
from movie_stream.settings import Settings


async def test_a_topic_is_the_same_until_it_is_made_anew(settings: Settings) -> None:
    topic = settings.kafka_topic
    async with client.admin(settings) as admin:
        await admin.create_topics([NewTopic(topic, 2, 1), NewTopic(f"{topic}-2", 2, 1)])
        identity = await topic_identity(admin, topic)
        assert await topic_identity(admin, topic) == identity
        assert await topic_identity(admin, f"{topic}-2") != identity
        async with client.admin(settings) as another:
            assert await topic_identity(another, topic) == identity
        await admin.delete_topics([topic])
        await admin.create_topics([NewTopic(topic, 2, 1)])
        assert await topic_identity(admin, topic) != identity


async def test_an_old_broker_is_known_by_its_cluster_and_the_topics_name(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No such broker starts here: what aiokafka raises for it is raised in its place.
    async def refuse(*_: object) -> None:
        raise NotImplementedError

    async with client.admin(settings) as admin:
        cluster = (await admin.describe_cluster())["cluster_id"]
        with monkeypatch.context() as patch:
            patch.setattr(AIOKafkaAdminClient, "_send_request", refuse)
            patch.setattr(AIOKafkaAdminClient, "describe_cluster", _described(cluster))
            assert await topic_identity(admin, "movie-events") == f"{cluster}/movie-events"


def _described(cluster: str) -> object:
    async def describe(_: object) -> dict[str, str]:
        return {"cluster_id": cluster}

    return describe
