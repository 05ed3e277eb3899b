"""Views that touch all that is stored: late and refused ones, copies of these, more users than a sketch keeps alone."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aiokafka import TopicPartition

from movie_stream.aggregates.refused import replay_header
from movie_stream.events.chunk import REPLAY_OF
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import describe
from movie_stream.settings import Settings

BEGIN_MS: Final = 1_730_332_800_000
"""2024-10-31T00:00:00Z, a few days after the clocks went back in Berlin."""
STEP_MS: Final = 72_000
HOUR_MS: Final = 3_600_000
RULES: Final[Mapping[str, str]] = {"ALLOWED_LATENESS": "6h", "TIMEZONE": "Europe/Berlin", "REVENUE_PER_VIEW": "0.25"}
"""Settings that change figures, none of which has its default."""


def views(first: int, end: int) -> list[dict[str, Any]]:
    """The views of these numbers, each made of its number alone; one in 25 is refused for its rating or its time."""
    return [_view(number, random.Random(number)) for number in range(first, end)]


def _view(number: int, rng: random.Random) -> dict[str, Any]:
    user, film = rng.randrange(1_500), int(40 * rng.random() ** 2)
    late_ms = 20 * HOUR_MS if number > 100 and rng.random() < 0.02 else rng.randrange(4 * HOUR_MS) // 4
    event: dict[str, Any] = {
        "movie_id": f"film {film}",
        "title": f"Été {film}" if rng.random() < 0.9 else f"Title {film}",
        "genre": rng.choice(("Sci-Fi", "sci-fi", "Drama", "Film  Noir", "Comedy")),
        "user_id": f"u{user}" if user % 7 else f"a user of a long name, number {user}",
        "timestamp": BEGIN_MS + number * STEP_MS - late_ms,
        "rating": 9 if rng.random() < 0.02 else rng.choice((None, rng.randrange(51) / 10)),
    }
    if rng.random() < 0.8:
        event["duration"] = rng.randrange(200)
    if rng.random() < 0.6:
        event["price"] = rng.randrange(2_000) / 100
    return event


def send(settings: Settings, events: Sequence[Mapping[str, Any]]) -> None:
    """Sends views, keyed by user, and waits until they are acknowledged."""
    asyncio.run(_send(settings, events))


async def _send(settings: Settings, events: Sequence[Mapping[str, Any]]) -> None:
    producer = await client.start_producer(settings)
    try:
        for event in events:
            await producer.send(settings.kafka_topic, json.dumps(event).encode(), key=event["user_id"].encode())
        await producer.flush()
    finally:
        await client.stop_producer(producer)


def send_copies(settings: Settings, events: Sequence[Mapping[str, Any]]) -> int:
    """Sends copies, with a rating and a time that count, of what was refused of these views, and of some that were not;
    how many.
    """
    return asyncio.run(_send_copies(settings, events))


async def _send_copies(settings: Settings, events: Sequence[Mapping[str, Any]]) -> int:
    topology = await describe(settings)
    topic, identity = settings.kafka_topic, topology.identities[settings.kafka_topic]
    newest_ms = max(event["timestamp"] for event in events)
    producer, sent = await client.start_producer(settings), 0
    try:
        async with client.reader(settings) as reader:
            for partition in range(topology.partitions[topic]):
                for offset, event in await _read(reader, TopicPartition(topic, partition)):
                    if event["rating"] == 9 or offset % 50 == 0:
                        value = json.dumps({**event, "rating": 3, "timestamp": newest_ms}).encode()
                        header = (REPLAY_OF, replay_header(identity, partition, offset))
                        key = event["user_id"].encode()
                        await producer.send(topic, value, key=key, partition=partition, headers=[header])
                        sent += 1
        await producer.flush()
    finally:
        await client.stop_producer(producer)
    return sent


async def _read(reader: Any, place: TopicPartition) -> list[tuple[int, Any]]:
    end = (await offsets.ends(reader, [place]))[place]
    reader.assign([place])
    reader.seek(place, 0)
    found: list[tuple[int, Any]] = []
    while await reader.position(place) < end:
        for records in (await reader.getmany(timeout_ms=200)).values():
            found += [(record.offset, json.loads(record.value)) for record in records]
    return found
