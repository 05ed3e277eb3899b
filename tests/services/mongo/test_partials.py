"""Partials out of memory: guarded, opaque, and read from the primary."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from movie_stream.mongo.bulk import LARGEST_DOCUMENT
from movie_stream.mongo.client import Database, linearizable, opened
from movie_stream.mongo.failures import MongoAway
from movie_stream.mongo.partials import PartialsStore
from movie_stream.settings import Settings
from tests.support.mongo.mongo_server import MongoServer


async def loaded(store: PartialsStore, keys: Sequence[str], run: int) -> dict[str, bytes]:
    return {key: payload async for key, payload in store.load(keys, run)}


async def test_what_was_saved_is_loaded_byte_by_byte(db: Database) -> None:
    store = PartialsStore(db)
    payload = bytes(range(256))
    report = await store.save([("hourly|1", (3, 0), 1, payload), ("empty", (1,), 1, b"")])
    assert (report.changed, report.parked) == (2, [])
    assert await loaded(store, ["hourly|1", "empty", "nobody"], 1) == {"hourly|1": payload, "empty": b""}
    assert await loaded(store, [], 1) == {}
    assert (await store.save([])).sent == 0


async def test_only_a_newer_one_replaces(db: Database) -> None:
    store = PartialsStore(db)
    await store.save([("k", (2, 2), 1, b"first")])
    assert (await store.save([("k", (2, 1), 1, b"older"), ("k", (2, 2), 1, b"same")])).changed == 0
    assert await loaded(store, ["k"], 1) == {"k": b"first"}
    report = await store.save([("k", (3, 1), 1, b"incomparable")])
    assert [(alarm.id, alarm.mine, alarm.theirs) for alarm in report.incomparable] == [("k", (3, 1), (2, 2))]
    await store.save([("k", (2, 3), 1, b"newer")])
    assert await loaded(store, ["k"], 1) == {"k": b"newer"}


async def test_a_run_sees_only_its_own(db: Database) -> None:
    store = PartialsStore(db)
    await store.save([("k", (9,), 1, b"old run")])
    assert await loaded(store, ["k"], 2) == {}
    await store.save([("k", (1,), 2, b"new run")])
    assert [alarm.run for alarm in (await store.save([("k", (99,), 1, b"zombie")])).outranked] == [2]
    assert await loaded(store, ["k"], 2) == {"k": b"new run"}
    assert await loaded(store, ["k"], 1) == {}


async def test_what_no_document_holds_is_parked_and_the_others_are_stored(db: Database) -> None:
    store = PartialsStore(db)
    largest = random.Random(3).randbytes(LARGEST_DOCUMENT - 200)
    report = await store.save([("larger", (1,), 1, largest + bytes(200)), ("large", (1,), 1, largest)])
    assert (report.changed, [parked.id for parked in report.parked]) == (1, ["larger"])
    assert await loaded(store, ["large", "larger"], 1) == {"large": largest}


@pytest.fixture
def replica_set(tmp_path: Path) -> Iterator[MongoServer]:
    with MongoServer(tmp_path, replica_set=True) as server:
        yield server


async def test_a_replica_set_is_asked_for_what_no_deposed_primary_can_give(
    replica_set: MongoServer, settings: Settings
) -> None:
    uri = f"{replica_set.uri}&readPreference=secondaryPreferred&socketTimeoutMS=1000"
    of_set = settings.with_services(bootstrap_servers="127.0.0.1:1", mongodb_uri=uri)
    async with opened(of_set) as db:
        store = PartialsStore(db)
        assert (await linearizable(db["_partials"])).read_concern.level == "linearizable"
        many = [(f"k{n}", (n,), 1, b"x" * 20_000) for n in range(2_500)]  # more than one request and one reply
        assert (await store.save(many)).changed == 2_500
        assert await loaded(store, [key for key, _, _, _ in many], 1) == {key: load for key, _, _, load in many}
        with replica_set.paused(), pytest.raises(MongoAway):
            await loaded(store, ["k1"], 1)
        assert set(await loaded(store, ["k1"], 1)) == {"k1"}
