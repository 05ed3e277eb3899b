"""Guarded writes against a real mongod: races, duplicates, refusals, and its death in the middle."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from movie_stream.errors import MongoDiskFull, MongoRefused
from movie_stream.mongo.changed import Changed
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.failures import MongoAway, MongoFailed
from movie_stream.mongo.guard import GuardedDocument, Rev, guarded
from movie_stream.mongo.report import Incomparable, Outranked
from movie_stream.mongo.sink import Sink
from movie_stream.settings import Settings
from tests.support.mongo.mongo_server import MongoServer


@pytest.fixture
async def db(empty_db: Database) -> Database:
    return empty_db


def document(name: str, *rev: int, run: int = 1, collection: str = "c", **body: Any) -> GuardedDocument:
    """One that is taken for new or not: what a writer believes of that changes nothing."""
    made = guarded(collection, name, rev, run, body or {"figure": sum(rev)})
    return made._replace(is_new=sum(rev) % 2 == 1)


async def stored_revs(db: Database, collection: str = "c") -> dict[str, Rev]:
    return {d["_id"]: tuple(d["_rev"]) for d in await db[collection].find().to_list(None)}


async def test_new_and_replaced_documents_change_and_others_do_not(db: Database) -> None:
    sink = Sink(db)
    first = await sink.write([document("a", 1, 0), document("b", 5, 5), document("a", 3, collection="d")])
    assert (first.sent, first.changed) == (3, 3)
    second = await sink.write([document("a", 1, 1), document("b", 5, 5), document("b", 4, 5)])
    assert (second.sent, second.changed, second.incomparable, second.parked) == (3, 1, [], [])
    assert await stored_revs(db) == {"a": (1, 1), "b": (5, 5)}
    assert await db["c"].find_one("a") == {"_id": "a", "figure": 2, "_rev": [1, 1], "_run": 1}
    assert (await sink.write([])).sent == 0


async def test_what_is_taken_for_new_and_is_not_is_compared_as_ever(db: Database) -> None:
    sink = Sink(db)
    before = {"older": (2, 2), "equal": (2, 1), "newer": (1, 0), "incomparable": (0, 3)}
    await sink.write([document(name, *rev) for name, rev in before.items()])
    report = await sink.write([document(name, 2, 1) for name in (*before, "none")])
    assert (report.sent, report.changed) == (5, 2)
    assert [alarm.id for alarm in report.incomparable] == ["incomparable"]
    after = {"newer": (2, 1), "none": (2, 1)}
    assert await stored_revs(db) == before | after


async def test_the_largest_wins_whatever_the_order_of_many_writers(db: Database, settings: Settings) -> None:
    chance = random.Random(1)
    versions = []
    for n in range(40):
        rev = [0, 0, 0]
        for _ in range(12):
            rev[chance.randrange(3)] += chance.randint(1, 5)
            versions.append(document(f"d{n}", *rev))
        last_run = document(f"d{n}", 1, run=2) if n % 2 else document(f"d{n}", *(3 * r for r in rev))
        versions.append(last_run)

    async def writer(seed: int) -> int:
        mine = [*versions, *random.Random(seed).sample(versions, 100)]  # duplicates too
        random.Random(seed).shuffle(mine)
        async with opened(settings) as own:
            sink = Sink(own)
            reports = [await sink.write(mine[at : at + 50]) for at in range(0, len(mine), 50)]
        assert not any(report.incomparable or report.parked for report in reports)
        return sum(report.changed for report in reports)

    changed = sum(await asyncio.gather(*map(writer, range(6))))
    assert 40 <= changed <= len(versions), "no version can replace what is stored twice"
    latest = {v.id: v for v in versions}
    assert await stored_revs(db) == {name: v.rev for name, v in latest.items()}
    assert {d["_run"] for d in await db["c"].find().to_list(None)} == {1, 2}


async def test_races_for_the_first_insertion(db: Database) -> None:
    sink = Sink(db)
    for round_ in range(20):
        same = [document(f"{round_}-{n}", 1) for n in range(20)]
        reports = await asyncio.gather(*(sink.write(same) for _ in range(8)))
        assert sum(report.changed for report in reports) == 20
    assert await db["c"].count_documents({}) == 400


async def test_more_than_one_request_holds(db: Database) -> None:
    many = [document(f"d{n}", n) for n in range(4_001)]
    large = [document(f"large{n}", 1, text="x" * 5_000_000) for n in range(4)]
    report = await Sink(db).write([*many, *large])
    assert report.changed == report.sent == len(many) + 4


async def test_requests_may_be_compressed(server: MongoServer, settings: Settings) -> None:
    async with opened(settings_for(server, settings, "&compressors=zlib")) as db:
        for figure in (1, 2):
            report = await Sink(db).write([document(f"d{n}", n + figure, text="x" * 100) for n in range(100)])
            assert report.changed == 100
        assert await stored_revs(db) == {f"d{n}": (n + 2,) for n in range(100)}


async def test_a_document_refused_by_the_validator_is_parked_and_the_others_are_written(db: Database) -> None:
    entry = {"bsonType": "object", "required": ["title"], "properties": {"title": {"bsonType": "string"}}}
    schema = {
        "required": ["views"],
        "properties": {
            "views": {"bsonType": ["int", "long"], "minimum": 0},
            "top": {"bsonType": "array", "items": entry},
        },
    }
    await db.create_collection("c", validator={"$jsonSchema": schema})
    report = await Sink(db).write(
        [
            document("good", 1, views=1),
            document("text", 1, views="1"),
            document("negative", 1, views=-1),
            document("missing", 1, more=1),
            document("entry", 1, views=2, top=[{"title": "a"}, {"title": 7}]),
            document("entries", 1, views=2, top=[{}]),
            document("good too", 1, views=2**40),
        ]
    )
    assert {parked.id: parked.reason for parked in report.parked} == {
        "text": "Document failed validation: views must have bsonType ['int', 'long'], got '1'",
        "negative": "Document failed validation: views must have minimum 0, got -1",
        "missing": "Document failed validation: it must have views",
        "entry": "Document failed validation: top[1].title must have bsonType 'string', got 7",
        "entries": "Document failed validation: top[0] must have title",
    }
    assert report.changed == 2
    assert set(await stored_revs(db)) == {"good", "good too"}


async def test_what_is_too_large_is_parked(db: Database) -> None:
    report = await Sink(db).write([document("too large", 1, text="x" * 16_000_000), document("good", 1)])
    assert [parked.id for parked in report.parked] == ["too large"]
    assert set(await stored_revs(db)) == {"good"}


async def test_incomparable_is_an_alarm_and_never_a_write(db: Database) -> None:
    sink = Sink(db)
    await sink.write([document("a", 2, 0, 9), document("b", 1)])
    report = await sink.write([document("a", 1, 1), document("b", 2)])
    assert report.incomparable == [Incomparable("c", "a", (1, 1), (2, 0, 9))]
    assert report.changed == 1
    assert await stored_revs(db) == {"a": (2, 0, 9), "b": (2,)}


async def test_a_newer_run_outranks_everything(db: Database) -> None:
    sink = Sink(db)
    await sink.write([document("a", 9, 9)])
    assert (await sink.write([document("a", 1, run=2)])).changed == 1
    report = await sink.write([document("a", 99, 99), document("b", 1)])
    assert (report.outranked, report.incomparable) == ([Outranked("c", "a", 2)], [])
    assert await stored_revs(db) == {"a": (1,), "b": (1,)}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[MongoServer]:
    with MongoServer(tmp_path) as server:
        yield server


def settings_for(server: MongoServer, settings: Settings, options: str = "") -> Settings:
    return settings.with_services(
        bootstrap_servers="127.0.0.1:1",
        mongodb_uri=f"{server.uri}?serverSelectionTimeoutMS=3000&socketTimeoutMS=1000{options}",
    )


async def test_kill_9_in_the_middle_loses_nothing_acknowledged(server: MongoServer, settings: Settings) -> None:
    acknowledged: dict[str, int] = {}
    enough = asyncio.Event()

    async def write_until_it_dies(name: str, db: Database) -> None:
        sink = Sink(db)
        for version in range(1, 1_000_000):
            await sink.write([document(f"{name}-{n}", version) for n in range(20)])
            acknowledged.update({f"{name}-{n}": version for n in range(20)})
            if sum(acknowledged.values()) > 2_000:
                enough.set()

    async with opened(settings_for(server, settings)) as db:
        writers = [asyncio.create_task(write_until_it_dies(f"w{n}", db)) for n in range(4)]
        await enough.wait()
        server.kill()
        for outcome in await asyncio.gather(*writers, return_exceptions=True):
            assert isinstance(outcome, MongoAway)
            assert f"127.0.0.1:{server.port}" in str(outcome)

        server.start()
        server.wait_until_ready()
        found = await stored_revs(db)
        assert {name: found[name][0] >= version for name, version in acknowledged.items()} == dict.fromkeys(
            acknowledged, True
        )
        again = [document(name, version) for name, version in acknowledged.items()]
        assert (await Sink(db).write(again)).incomparable == []


async def test_a_mongod_that_hangs_is_away(server: MongoServer, settings: Settings) -> None:
    async with opened(settings_for(server, settings)) as db:
        await Sink(db).write([document("a", 1)])
        with server.paused(), pytest.raises(MongoAway) as away:
            await Sink(db).write([document("a", 2)])
        assert away.value.retry_after.total_seconds() > 0
        assert (await Sink(db).write([document("a", 2)])).incomparable == []
        assert await stored_revs(db) == {"a": (2,)}


@pytest.mark.parametrize(
    ("how", "meaning", "words"),
    [
        ({"errorCode": 10107}, MongoAway, "no MongoDB answers"),
        ({"errorCode": 11602}, MongoAway, "no MongoDB answers"),
        ({"closeConnection": True}, MongoAway, "no MongoDB answers"),
        (
            {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}},
            MongoAway,
            "timed out",
        ),
        ({"writeConcernError": {"code": 91, "errmsg": "shutting down"}}, MongoAway, "shutting down"),
        ({"errorCode": 14031}, MongoDiskFull, "disk"),
        ({"errorCode": 13}, MongoRefused, "readWrite"),
        ({"errorCode": 8}, MongoFailed, "movie-stream doctor"),
    ],
)
async def test_a_write_that_is_not_acknowledged_is_an_error(
    server: MongoServer, settings: Settings, how: dict[str, Any], meaning: type[Exception], words: str
) -> None:
    async with opened(settings_for(server, settings, "&retryWrites=false&heartbeatFrequencyMS=500")) as db:
        with server.failing("insert", "update", **how), pytest.raises(meaning, match=words):
            await Sink(db).write([document("a", 1), document("b", 1, collection="d")])
        assert (await Sink(db).write([document("a", 1)])).incomparable == []


def told(changes: list[list[Changed]]) -> list[tuple[str, Rev, bool, object]]:
    """What the last call said: id, `_rev`, whether it is certain, and the figure that was reported before."""
    return [(of.document.id, of.document.rev, of.certain, (of.old or {}).get("figure")) for of in changes[-1]]


async def test_subscribers_are_notified_which_documents_changed(db: Database) -> None:
    changes: list[list[Changed]] = []
    sink, other = Sink(db, [lambda changed: changes.append(list(changed))]), Sink(db)
    await sink.write([document("a", 1), document("b", 5), document("c", 1, collection="d")])
    assert sorted(told(changes)) == [("a", (1,), True, None), ("b", (5,), True, None), ("c", (1,), True, None)]
    await sink.write([document("a", 2), document("b", 6)])
    assert told(changes) == [("a", (2,), True, 1), ("b", (6,), True, 5)], "all were replaced"
    await other.write([document("b", 9), document("e", 9)])
    await sink.write([document("a", 3), document("b", 7), document("e", 8), document("f", 1)])
    assert sorted(told(changes)) == [("a", (3,), False, 2), ("f", (1,), True, None)], "an older one changes nothing"
    await sink.write([document("b", 8)])
    assert len(changes) == 3, "nobody is called for nothing"
    await sink.write([document("b", 10)])
    assert told(changes) == [("b", (10,), True, 6)], "what this sink has reported before"


async def test_parked_incomparable_or_outranked_documents_did_not_change(db: Database) -> None:
    await db.create_collection("c", validator={"$jsonSchema": {"properties": {"figure": {"minimum": 0}}}})
    changes: list[list[Changed]] = []
    sink = Sink(db, [lambda changed: changes.append(list(changed))])
    await Sink(db).write([document("incomparable", 2, 0), document("outranked", 1, run=2)])
    report = await sink.write(
        [document("incomparable", 1, 1), document("outranked", 9), document("parked", 1, figure=-1), document("new", 1)]
    )
    assert (len(report.incomparable), len(report.outranked), len(report.parked), report.changed) == (1, 1, 1, 1)
    assert told(changes) == [("new", (1,), True, None)]


async def test_a_change_is_reported_though_its_acknowledgement_was_lost(
    server: MongoServer, settings: Settings
) -> None:
    changes: list[list[Changed]] = []
    unacknowledged = {"writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"}}
    async with opened(settings_for(server, settings, "&retryWrites=false&heartbeatFrequencyMS=500")) as db:
        sink = Sink(db, [lambda changed: changes.append(list(changed))])
        with server.failing("insert", "update", **unacknowledged), pytest.raises(MongoAway):
            await sink.write([document("a", 1)])
        assert await stored_revs(db) == {"a": (1,)}
        assert changes == [], "it may be undone still"
        assert (await sink.write([document("a", 1)])).changed == 0
        assert told(changes) == [("a", (1,), False, None)]


async def test_every_document_is_reported_as_stored_whatever_many_writers_do(db: Database, settings: Settings) -> None:
    """The last report of a document is the stored one."""
    newest: dict[str, Rev] = {}

    def note(changed: Sequence[Changed]) -> None:
        newest.update({of.document.id: max(newest.get(of.document.id, ()), of.document.rev) for of in changed})

    async def writer(seed: int) -> None:
        versions = [document(f"d{n}", rev) for n in range(30) for rev in range(1, 15)]
        random.Random(seed).shuffle(versions)
        async with opened(settings) as own:
            sink = Sink(own, [note])
            for at in range(0, len(versions), 30):
                await sink.write(versions[at : at + 30])

    await asyncio.gather(*map(writer, range(4)))
    assert newest == await stored_revs(db) == {f"d{n}": (14,) for n in range(30)}


async def test_what_a_subscriber_raises_is_an_error(db: Database) -> None:
    def full(changed: Sequence[Changed]) -> None:
        raise asyncio.QueueFull

    with pytest.raises(asyncio.QueueFull):
        await Sink(db, [full]).write([document("a", 1)])
    assert await stored_revs(db) == {"a": (1,)}
