"""Every way in at a real Kafka, and every way in which it fails: one line that says what to do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from movie_stream.errors import BrokerClosed, MovieStreamError, SettingsError
from movie_stream.kafka import client, topics
from movie_stream.kafka.access import access_in_words, access_options
from movie_stream.settings import Settings
from tests.secured_kafka import PASSWORDS, SecuredKafka, Way, authority, secured_kafka


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    with secured_kafka(tmp_path_factory.mktemp("secured")) as running:
        yield running


async def connect(settings: Settings) -> None:
    async with client.admin(settings) as admin:
        await admin.describe_cluster()


async def refusal_of(settings: Settings) -> str:
    with pytest.raises(MovieStreamError) as refusal:
        await connect(settings)
    text = str(refusal.value)
    assert not any(secret in text for secret in PASSWORDS.values())
    return text


@pytest.mark.parametrize("way", ["PLAIN", "SCRAM", "MUTUAL"])
async def test_every_client_comes_in(kafka: SecuredKafka, settings: Settings, way: Way) -> None:
    there = kafka.settings(settings, way)
    await topics.ensure(there)
    assert "/" in (await topics.describe(there)).identity  # by a request of our own
    producer = await client.start_producer(there)
    sent = await producer.send_and_wait(there.kafka_topic, b"view", partition=0)
    await producer.stop()
    async with client.reader(there) as reader:
        assert await reader.end_offsets([sent.topic_partition]) == {sent.topic_partition: 1}
