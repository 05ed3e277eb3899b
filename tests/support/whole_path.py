"""Helpers for tests of the whole path: real commands as processes, the topic as it is, the documents as they are."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from aiokafka import TopicPartition
from pymongo import MongoClient

from movie_stream.aggregates.results import RESULTS
from movie_stream.events.chunk import REPLAY_OF
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.settings import Settings
from tests.support.reference import Record

COMMAND = str(Path(sys.executable).with_name("movie-stream"))
PATIENCE_S = 90.0


def environment(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a command that is to use these settings."""
    return {**os.environ, **settings.environment(), "COLUMNS": "80", **more}


def command(settings: Settings, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        env=environment(settings, **more),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def succeed(settings: Settings, *arguments: str, **more: str) -> str:
    """Runs a command that must end with 0; what it printed."""
    done = command(settings, *arguments, **more)
    assert done.returncode == 0, f"{arguments} ended with {done.returncode}: {done.stderr[-2000:]}"
    return done.stdout


@contextmanager
def started(settings: Settings, *arguments: str, log: Path, **more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A command that runs during the block; it is killed at the end if it still runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [COMMAND, *arguments], env=environment(settings, **more), stdout=output, stderr=output
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def records(settings: Settings, topic: str) -> list[list[tuple[Record, Mapping[str, bytes]]]]:
    """All records of a topic, by partition: the record as the reference takes it, and its headers."""
    return asyncio.run(_records(settings, topic))


async def _records(settings: Settings, topic: str) -> list[list[tuple[Record, Mapping[str, bytes]]]]:
    async with client.admin(settings) as admin:
        count = len((await admin.describe_topics([topic]))[0]["partitions"])
    places = [TopicPartition(topic, partition) for partition in range(count)]
    async with client.reader(settings) as consumer:
        ends = await offsets.ends(consumer, places)
        consumer.assign(places)
        for place in places:
            consumer.seek(place, 0)
        found: list[list[tuple[Record, Mapping[str, bytes]]]] = [[] for _ in places]
        while any([await consumer.position(place) < ends[place] for place in places]):
            for at, fetched in (await consumer.getmany(timeout_ms=100)).items():
                found[at.partition] += [((r.offset, r.timestamp, r.value), dict(r.headers)) for r in fetched]
        return found


def log_of(settings: Settings) -> list[list[Record]]:
    """The events as the reference takes them."""
    return [[record for record, _ in partition] for partition in records(settings, settings.kafka_topic)]


def copies_of(settings: Settings) -> dict[tuple[int, int], int]:
    """The copies of refused records among the events, as the reference takes them."""
    return {
        (partition, offset): int(headers[REPLAY_OF].split()[-1])
        for partition, events in enumerate(records(settings, settings.kafka_topic))
        for (offset, _, _), headers in events
        if REPLAY_OF in headers
    }


@contextmanager
def database(settings: Settings) -> Iterator[Any]:
    """The results' database, by PyMongo."""
    client: MongoClient[dict[str, Any]] = MongoClient(settings.require_mongodb(), tz_aware=True)
    try:
        yield client[settings.mongodb_database]
    finally:
        client.close()


def documents(db: Any) -> dict[str, dict[str, dict[str, Any]]]:
    """All result documents by collection and `_id`."""
    return {
        result.collection: {document["_id"]: document for document in db[result.collection].find()}
        for result in RESULTS
    }
