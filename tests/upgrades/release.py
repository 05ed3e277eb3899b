"""The stored data of a release: every record of its topics, every document and collection of its database.

Names end with PLACEHOLDER where a test's own end with eight characters of theirs, and topics have the ids that the
broker gave them. When a release is loaded, both are replaced by those of the test, and so is the hash of the run's
fingerprint, which holds the ids: all of them are as long as before, so that nothing else of a record changes.
"""

from __future__ import annotations

import asyncio
import lzma
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import bson
import msgspec
import orjson
from aiokafka import TopicPartition
from bson.raw_bson import RawBSONDocument

from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics, describe, ensure
from movie_stream.runs.fingerprint import hash_of
from movie_stream.settings import Settings
from tests.support.whole_path import database

PLACEHOLDER: Final = "recorded"
FOLDER: Final = Path(__file__).parents[1] / "data" / "releases"
ALERTS: Final = FOLDER / "alerts.toml"
"""The rules of those releases that have alerts."""
_PASSING: Final = frozenset({"_workers", "_deliveries"})
"""Collections of what runs at the moment."""


class StoredRecord(msgspec.Struct, array_like=True):
    """A record of a topic, with its partition, offset and all its fields."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]


class Collection(msgspec.Struct, array_like=True):
    """A collection: what its validator is, its indexes, and its documents, all in BSON."""

    options: bytes
    indexes: list[bytes]
    documents: list[bytes]


class Release(msgspec.Struct):
    """The state of one deployment. Topics by what they are for, partitions in order."""

    version: str
    identities: dict[str, str]
    topics: dict[str, list[list[StoredRecord]]]
    collections: dict[str, Collection]


def names_of(settings: Settings) -> dict[str, str]:
    """The topics by what they are for."""
    names = Topics.of(settings)
    return {
        "events": names.events,
        "partials": names.partials,
        "dead letters": names.dead_letters,
        **{f"{agent} changelog": topics.changelog for agent, topics in names.agents.items()},
    }


def named(settings: Settings, ending: str) -> Settings:
    """The settings with names of the deployment's own that end so."""
    return settings.model_copy(
        update={
            "kafka_topic": f"movie-events-{ending}",
            "kafka_partials_topic": f"movie-partials-{ending}",
            "kafka_group": f"movie-analytics-{ending}",
            "mongodb_database": f"movies_{ending}",
        }
    )


def releases() -> list[str]:
    """The releases that are stored."""
    return sorted(file.name.removesuffix(".msgpack.xz") for file in FOLDER.glob("*.msgpack.xz"))


def read(name: str) -> Release:
    """A stored release."""
    data = lzma.decompress((FOLDER / f"{name}.msgpack.xz").read_bytes())
    return msgspec.msgpack.decode(data, type=Release)


def write(name: str, release: Release) -> Path:
    """Stores a release; where."""
    file = FOLDER / f"{name}.msgpack.xz"
    file.write_bytes(lzma.compress(msgspec.msgpack.encode(release), preset=9))
    return file


def dump(settings: Settings, version: str) -> Release:
    """All data in the topics and the database of these settings."""
    identities, topics = asyncio.run(_dump_topics(settings))
    with database(settings) as db:
        collections = {
            found["name"]: Collection(
                bson.encode(found["options"]),
                [bson.encode(index.to_dict()) for index in db[found["name"]].list_indexes()],
                [bson.encode(document) for document in db[found["name"]].find().sort("_id")],
            )
            for found in db.list_collections()
            if found["type"] == "collection" and found["name"] not in {*_PASSING, "system.views"}
        }
    return Release(version, identities, topics, collections)


async def _dump_topics(settings: Settings) -> tuple[dict[str, str], dict[str, list[list[StoredRecord]]]]:
    topology, names = await describe(settings), names_of(settings)
    identities = {of: topology.identities[name] for of, name in names.items() if name in topology.identities}
    async with client.reader(settings) as reader:
        topics = {
            of: [
                await _all_of(reader, TopicPartition(name, partition)) for partition in range(settings.kafka_partitions)
            ]
            for of, name in names.items()
        }
    return identities, topics


async def _all_of(reader: Any, place: TopicPartition) -> list[StoredRecord]:
    end = (await offsets.ends(reader, [place]))[place]
    reader.assign([place])
    reader.seek(place, 0)
    found: list[StoredRecord] = []
    while await reader.position(place) < end:
        for records in (await reader.getmany(timeout_ms=200)).values():
            found += [StoredRecord(r.offset, r.timestamp, r.key, r.value, list(r.headers)) for r in records]
    return found


def load(release: Release, settings: Settings) -> None:
    """Puts all of it into the broker and the mongod of these settings, whose topics must not be there."""
    replaced = asyncio.run(_load_topics(release, settings))
    with database(settings) as db:
        for name, stored in release.collections.items():
            db.create_collection(name, **bson.decode(stored.options))
            for index in map(bson.decode, stored.indexes):
                if list(index["key"]) != ["_id"]:
                    options = {of: index[of] for of in ("name", "expireAfterSeconds", "unique") if of in index}
                    db[name].create_index(list(index["key"].items()), **options)
            if stored.documents:
                db[name].insert_many([RawBSONDocument(_replaced(document, replaced)) for document in stored.documents])


async def _load_topics(release: Release, settings: Settings) -> dict[bytes, bytes]:
    await ensure(settings)
    names, topology = names_of(settings), await describe(settings)
    replaced = {PLACEHOLDER.encode(): settings.kafka_topic.removeprefix("movie-events-").encode()}
    for of, identity in release.identities.items():
        replaced[identity.encode()] = topology.identities[names[of]].encode()
    replaced |= _hashes(release, replaced)
    producer = await client.start_producer(settings)
    try:
        for of, partitions in release.topics.items():
            for partition, records in enumerate(partitions):
                sent = [
                    await producer.send(
                        names[of],
                        None if record.value is None else _replaced(record.value, replaced),
                        key=record.key,
                        partition=partition,
                        timestamp_ms=record.timestamp_ms,
                        headers=[(name, _replaced(value, replaced)) for name, value in record.headers],
                    )
                    for record in records
                ]
                stand = [(await one).offset for one in sent]
                assert stand == [record.offset for record in records], f"{of}, {partition}"
    finally:
        await client.stop_producer(producer)
    return replaced


def _hashes(release: Release, replaced: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """The hash of the run's fingerprint, by which cursors name it, with the ids as they were and as they are now."""
    [run] = map(bson.decode, release.collections["_runs"].documents)
    text = run["fingerprint"].encode()
    before, now = (hash_of(orjson.loads(one)) for one in (text, _replaced(text, replaced)))
    return {before.encode(): now.encode()}


def _replaced(value: bytes, replaced: Mapping[bytes, bytes]) -> bytes:
    for before, now in replaced.items():
        assert len(before) == len(now), (before, now)
        value = value.replace(before, now)
    return value
