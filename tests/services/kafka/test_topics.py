"""The topics on the real broker: made once, by however many, with the partitions that belong together."""

from __future__ import annotations

import asyncio

import pytest
from aiokafka.admin import NewTopic

from movie_stream.errors import TopicMissing
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings


async def create(settings: Settings, name: str, partitions: int) -> None:
    async with client.admin(settings) as admin:
        await admin.create_topics([NewTopic(name, partitions, 1)])


async def test_all_are_made_once(settings: Settings) -> None:
    names = Topics.of(settings)
    assert sorted(await topics.ensure(settings)) == sorted(names.all)
    assert await topics.ensure(settings) == []
    topology = await topics.describe(settings)
    assert topology.partitions == dict.fromkeys(names.all, 3)
    assert topics.too_few_partitions(names, topology.partitions) == []


async def test_several_may_make_them_at_the_same_time(settings: Settings) -> None:
    made = await asyncio.gather(*(topics.ensure(settings) for _ in range(4)))
    assert {name for names in made for name in names} == set(Topics.of(settings).all)
    assert (await topics.describe(settings)).partitions == dict.fromkeys(Topics.of(settings).all, 3)


async def test_the_counts_follow_the_topics_that_are_there(settings: Settings) -> None:
    names = Topics.of(settings)
    await create(settings, names.events, 5)
    await create(settings, names.partials, 2)
    assert set(await topics.ensure(settings)) == {
        names.dead_letters,
        names.accumulate_changelog,
        names.publish_changelog,
    }
    assert (await topics.describe(settings)).partitions == {
        names.events: 5,
        names.dead_letters: 5,
        names.accumulate_changelog: 5,
        names.partials: 2,
        names.publish_changelog: 2,
    }


async def test_a_new_set_has_as_many_partitions_as_the_settings_say(settings: Settings) -> None:
    more = settings.model_copy(update={"kafka_partitions": 7})
    await topics.ensure(more)
    assert set((await topics.describe(more)).partitions.values()) == {7}


async def test_a_missing_topic_is_named_with_the_remedy(settings: Settings) -> None:
    names = Topics.of(settings)
    with pytest.raises(TopicMissing, match=f"{names.events} does not exist .* movie-stream init"):
        await topics.describe(settings)
    await create(settings, names.events, 3)
    with pytest.raises(TopicMissing, match=names.dead_letters):
        await topics.describe(settings)
    async with client.admin(settings) as admin:
        assert names.dead_letters not in await admin.list_topics(), "asking for a topic must not create it"


async def test_topics_that_are_too_narrow_for_the_events_are_named(settings: Settings) -> None:
    names = Topics.of(settings)
    counts = {**dict.fromkeys(names.all, 3), names.events: 4}
    assert topics.too_few_partitions(names, counts) == [
        f"{names.dead_letters} has 3 partitions, fewer than the 4 of {names.events}",
        f"{names.accumulate_changelog} has 3 partitions, fewer than the 4 of {names.events}",
    ]
    wider = {**dict.fromkeys(names.all, 4), names.events: 3}
    assert topics.too_few_partitions(names, wider) == []
    narrow = {**dict.fromkeys(names.all, 3), names.publish_changelog: 1}
    assert topics.too_few_partitions(names, narrow) == [
        f"{names.publish_changelog} has 1 partitions, fewer than the 3 of {names.partials}"
    ]


async def test_another_number_of_partitions_is_said_of_a_topic_that_the_broker_knows(settings: Settings) -> None:
    """In a cluster not every broker knows a topic that was just created."""
    wishes = Settings(**settings.model_dump() | {"kafka_partitions": 4})
    assert await topics.partition_count_mismatch(wishes) is None
    await create(settings, settings.kafka_topic, 3)
    said = await topics.partition_count_mismatch(wishes)
    assert said is not None
    assert said.startswith(f"{settings.kafka_topic} has 3 partitions and keeps them, though KAFKA_PARTITIONS is 4")
