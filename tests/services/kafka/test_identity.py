"""Whether a topic is still the one that it was."""

from __future__ import annotations

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.identity import identities
from movie_stream.settings import Settings


async def test_a_topic_is_the_same_until_it_is_made_anew(settings: Settings) -> None:
    names = [settings.kafka_topic, f"{settings.kafka_topic}-2"]
    async with client.admin(settings) as admin:
        await admin.create_topics([NewTopic(name, 2, 1) for name in names])
        before = await identities(admin, names)
        assert list(before) == names
        assert before[names[0]] != before[names[1]]
        async with client.admin(settings) as another:
            assert await identities(another, names) == before
        await admin.delete_topics(names[:1])
        await admin.create_topics([NewTopic(names[0], 2, 1)])
        after = await identities(admin, names)
        assert after[names[0]] != before[names[0]]
        assert after[names[1]] == before[names[1]]


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
            assert await identities(admin, ["movie-events"]) == {"movie-events": f"{cluster}/movie-events"}


def _described(cluster: str) -> object:
    async def describe(_: object) -> dict[str, str]:
        return {"cluster_id": cluster}

    return describe
