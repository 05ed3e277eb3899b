"""What leaves the memory of the second agent, and what cannot: over a real MongoDB, with a changelog in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pytest

from movie_stream.agents import publish as module
from movie_stream.agents.flush_schedule import FlushSchedule
from movie_stream.agents.owner import Owned
from movie_stream.agents.publish import Publish
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.merger import Merger
from movie_stream.aggregates.results import RESULTS
from movie_stream.events.chunk import chunk_of
from movie_stream.kafka.cluster.topics import Topology
from movie_stream.mongo import bulk
from movie_stream.mongo.changed import Changed, Subscriber
from movie_stream.mongo.client import Database
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.report import Parked, WriteReport
from movie_stream.mongo.sink import Sink
from movie_stream.tables.table import Table
from tests.support import reference
from tests.support.memory_log import MemoryLog
from tests.unit.agents.test_owner import TOPICS, Broker, Group, context

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 24 * HOUR_MS
START_MS: Final = 1_730_332_800_000
COLLECTIONS: Final = [result.collection for result in RESULTS]
TOPOLOGY: Final = Topology({"events": 2, "partials": 1}, {"events": "cluster/topic"})


class Stage:
    """Two source partitions, the second agent, and all views so far."""

    def __init__(self, db: Database, store: Any = None, subscribers: Sequence[Subscriber] = ()) -> None:
        self.db, self.log = db, MemoryLog()
        self.views: tuple[list[bytes], list[bytes]] = [], []
        self.sources = [Accumulator(partition, 2, Rules()) for partition in range(2)]
        self.group = Group()
        given = context(Broker(), self.group, Sink(db, subscribers), store or PartialsStore(db))
        self.agent = Publish(replace(given, topology=TOPOLOGY), TOPICS.partials)
        self.own(Table(self.agent.new_state(0), self.log, "run"))

    def own(self, table: Table[Merger]) -> None:
        self.agent.owned[0] = Owned(table, asyncio.Lock(), FlushSchedule(0, 0), FlushSchedule(0, 0), 0, 0.0)

    @property
    def state(self) -> Merger:
        return self.agent.owned[0].table.state

    async def view(self, *events: dict[str, Any], source: int = 0) -> None:
        """Counts views up to MongoDB, and checkpoints."""
        values, state = [value or b"" for _, _, value in reference.views(*events)], self.sources[source]
        self.views[source].extend(values)
        state.apply(chunk_of(source, state.position, values))
        messages = [message for _, message in state.partials(1)]
        self.agent.apply(chunk_of(0, self.state.position, messages))
        await self.agent.flush(0, self.agent.owned[0], checkpoint=True)

    async def restart(self) -> None:
        """Another owner takes over."""
        table = Table(self.agent.new_state(0), self.log, "run")
        await table.restore()
        self.own(table)

    def windows(self, collection: str) -> set[int]:
        """The starts, as hours since START_MS, of the windows in memory."""
        return {
            (start - START_MS) // HOUR_MS
            for (of, _), groups in self.state._held.items()
            if of == collection
            for start in groups.starts.tolist()
        }

    async def differences(self) -> list[str]:
        """The differences of MongoDB from the reference."""
        wanted = reference.expected([list(_records(views)) for views in self.views]).documents
        found = {name: await self.db[name].find().to_list(None) for name in wanted}
        return reference.same(found, wanted)


def _records(views: Sequence[bytes]) -> Iterator[reference.Record]:
    return ((offset, None, value) for offset, value in enumerate(views))


def films(hour: int, count: int) -> list[dict[str, Any]]:
    return [{"timestamp": START_MS + hour * HOUR_MS, "movie_id": f"m{n}", "title": f"Title {n}"} for n in range(count)]


async def large_hour_and_six(stage: Stage, scale: int) -> None:
    """An hour with very many films, two days later six hours of fewer, then views on later days."""
    await stage.view(*films(0, 220 * scale))
    for hour in range(48, 54):
        await stage.view(*films(hour, 30 * scale))
    for day in (4, 6, 8):
        await stage.view(*films(24 * day, 1))


async def test_an_hour_larger_than_a_document_is_evicted_in_parts_and_loaded_again(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_IN_MEMORY", 0)
    monkeypatch.setattr(module, "BYTES_IN_MEMORY", 0)
    monkeypatch.setattr(bulk, "LARGEST_DOCUMENT", 20_000)
    stage = Stage(db)
    await large_hour_and_six(stage, scale=10)
    assert stage.windows("top_movies") == stage.windows("top_movies_daily") == {192}
    parts = [place["_id"] async for place in db["_partials"].find({"_id": {"$regex": r"^top_movies\|"}}, {"_id": 1})]
    assert len({part for part in parts if part.startswith(f"top_movies|{START_MS}|")}) == 64
    assert await stage.differences() == []
    await stage.restart()
    await stage.view(*({**film, "user_id": "u2"} for film in films(0, 3)), source=1)  # it is far behind
    assert stage.windows("top_movies") == {0, 144, 192}, "what left after the last checkpoint is there again too"
    assert await stage.differences() == []


class RefusingStore:
    """Takes nothing of one collection."""

    def __init__(self, store: PartialsStore, refused: str) -> None:
        self._store, self._refused = store, refused
        self.asked = 0

    async def save(self, partials: Sequence[Any]) -> WriteReport:
        refused = [partial for partial in partials if partial[0].startswith(f"{self._refused}|")]
        self.asked += len(refused)
        report = await self._store.save([partial for partial in partials if partial not in refused])
        report.parked += [Parked("_partials", partial[0], "too large") for partial in refused]
        return report

    async def mark(self, *arguments: Any) -> bool:
        return await self._store.mark(*arguments)


async def test_a_key_that_cannot_be_evicted_is_logged_once_and_the_others_are_evicted(
    db: Database, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "ROWS_IN_MEMORY", 0)
    monkeypatch.setattr(module, "BYTES_IN_MEMORY", 0)
    store = RefusingStore(PartialsStore(db), "top_movies")
    stage = Stage(db, store)
    await large_hour_and_six(stage, scale=1)
    assert stage.windows("top_movies") == {0, *range(48, 54), 96, 144, 192}
    assert stage.windows("top_movies_daily") == stage.windows("hourly_metrics") == {192}
    told = [record.getMessage() for record in caplog.records if "stay in memory" in record.getMessage()]
    assert len(told) == len(set(told)) == 9
    assert told[0] == (
        f"_partials: the partial results of top_movies|{START_MS}| stay in memory, "
        "MongoDB refuses to keep them: too large"
    )
    asked = store.asked
    await stage.view(*films(193, 1))
    assert store.asked == asked, "what was refused is not packed again and again"
    await stage.restart()
    assert stage.windows("top_movies") == {0, *range(48, 54), 96, 144, 192, 193}
    assert await stage.differences() == []


async def test_films_of_all_time_never_leave_and_make_no_others_leave(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "ROWS_IN_MEMORY", 200)
    monkeypatch.setattr(module, "BYTES_IN_MEMORY", 0)
    stage = Stage(db)
    for day in range(4):
        await stage.view(*({**film, "movie_id": f"{day}-{n}"} for n, film in enumerate(films(48 * day, 20))))
    assert len(stage.state) > 200, "with the 80 films of all time"
    assert stage.windows("hourly_metrics") == {0, 48, 96, 144}
    await stage.view(*films(24 * 9, 60))
    assert {0, 48} & stage.windows("top_movies") == set()
    assert len(stage.state._held["top_movies_all_time", 0]) == 140
    assert await stage.differences() == []


async def test_the_last_report_of_a_document_to_a_subscriber_is_the_stored_one(db: Database) -> None:
    told: dict[tuple[str, str], Changed] = {}

    def note(changed: Sequence[Changed]) -> None:
        for of in changed:
            place = of.document.collection, of.document.id
            assert of.old == (told[place].document.body if place in told else None)
            told[place] = of

    stage = Stage(db, subscribers=[note])
    for hour in range(3):
        await stage.view(*films(hour, 3))
    await stage.restart()
    await stage.view(*({**film, "user_id": "u2"} for film in films(1, 5)), source=1)
    assert await stage.differences() == [], "nothing else is done than without it"
    stored = {(name, of["_id"]): tuple(of["_rev"]) for name in COLLECTIONS async for of in db[name].find()}
    assert {place: of.document.rev for place, of in told.items()} == stored


async def test_a_subscriber_that_raises_ends_the_flush_before_its_checkpoint(db: Database) -> None:
    def full(changed: Sequence[Changed]) -> None:
        raise asyncio.QueueFull

    stage = Stage(db, subscribers=[full])
    with pytest.raises(asyncio.QueueFull):
        await stage.view(*films(0, 1))
    assert (stage.log.end, stage.group.commits, stage.agent.finished) == (0, 0, {})
    assert stage.state.dirty, "all of it is written again"
