"""The whole exactly-once protocol under one seeded scheduler: real agents, tables and figures over a simulated world.

`World` has a source log, `movie-partials`, changelogs and dead letters in memory, and a MongoDB that guards documents
by `_rev` and may fail over, which loses what no majority has. A `Process` is one agent that owns one partition. Every
turn of every coroutine is given by the scheduler, so that a process can be paused anywhere (it continues later, as
a zombie, while newer owners of its partition run), killed anywhere, or asked to leave, with a flush that is
interrupted anywhere. One that leaves may get its partition back later, whoever had it meanwhile, and then continues
with the state that it kept, if it may. A send may be lost with its sender, and arrive any time later, or arrive twice.
A seed is a trace.

After the storm fresh owners run to the end: every document must equal the naive reference's for the log, every bad and
late record must be a dead letter, nothing may ever have been incomparable, and no owner may have found a gap.
"""

from __future__ import annotations

import asyncio
import json
import logging
import random
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import Context, ContextVar, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import pytest

from movie_stream.agents import accumulate as accumulate_module
from movie_stream.agents import context as context_module
from movie_stream.agents import owner as owner_module
from movie_stream.agents import publish as publish_module
from movie_stream.agents.accumulate import Accumulate
from movie_stream.agents.owner import Owned
from movie_stream.agents.publish import Publish
from movie_stream.aggregates import eviction as eviction_module
from movie_stream.aggregates import groups as groups_module
from movie_stream.aggregates import merger as merger_module
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.merger import Merger
from movie_stream.aggregates.refused import replay_header
from movie_stream.aggregates.results import RESULTS
from movie_stream.events.chunk import chunk_of
from movie_stream.kafka.cluster.topics import AgentTopics, Topics, Topology
from movie_stream.mongo.failures import MongoAway
from movie_stream.mongo.guard import GuardedDocument, Rev, compare, guarded
from movie_stream.mongo.report import WriteReport
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import Chain, Cursor, decode
from movie_stream.tables.table import WriterFenced
from tests.support import reference
from tests.support.memory_log import MemoryLog

SOURCES: Final = 3
TARGETS: Final = 2
MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
START_MS: Final = 1_730_332_800_000
RUN: Final = 1
SLOW_SAVE: Final = 60
"""The turns that MongoDB takes at times."""
AGENTS: Final = {
    "accumulate": AgentTopics("events", "accumulate"),
    "publish": AgentTopics("partials", "publish"),
}
TOPICS: Final = Topics("events", "dead", "partials", AGENTS)
FIELD_RULES: Final = Rules(allowed_lateness_ms=6 * HOUR_MS, session_gap_ms=20 * MINUTE_MS, timezone="Asia/Kolkata")
_PARTIALS: Final = "_partials"


class Dead(Exception):
    """The process ends, which is always safe."""


class Wrong(AssertionError):
    """The protocol broke a promise."""


async def turn() -> None:
    """Gives the turn back to the scheduler."""
    await asyncio.sleep(0)


_PROCESS: ContextVar[Process] = ContextVar("process")


class Loop(asyncio.BaseEventLoop):
    """An event loop without a clock: callbacks wait with their process until the scheduler runs them.

    Time limits and pauses end whenever the scheduler likes.
    """

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> asyncio.Handle:  # type: ignore[override]
        return self.call_at(0, callback, *args, context=context)

    def call_at(  # type: ignore[override]
        self, when: float, callback: Any, *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        context = context or copy_context()
        handle = asyncio.TimerHandle(when, callback, args, self, context)
        context[_PROCESS].ready.append(handle)
        return handle

    def time(self) -> float:
        return 0.0

    def create_task(self, coro: Any, *, name: object = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, context=context)
        (context or copy_context())[_PROCESS].tasks.append(task)
        return task


@dataclass(eq=False)
class Process:
    """One agent that owns one partition."""

    world: World
    kind: str
    partition: int
    name: str
    asleep_until: int = 0
    leaving: bool = False
    back_at: int = 0
    """When it gets back its partition, which is revoked; 0 if it is not."""
    ready: list[asyncio.Handle] = field(default_factory=list)
    tasks: list[asyncio.Task[Any]] = field(default_factory=list)
    owned: Owned[Any] | None = None

    def start(self) -> None:
        """Begins with the restore."""
        context = copy_context()
        context.run(_PROCESS.set, self)
        self.world.loop.create_task(self.live(), context=context)

    def step(self) -> bool:
        """One turn of one of its coroutines; False if it has ended."""
        while self.ready:
            handle = self.ready.pop(self.world.rng.randrange(len(self.ready)))
            if not handle.cancelled():
                handle._run()
                break
        life = self.tasks[0]
        if not life.done():
            return True
        if not life.cancelled() and life.exception() is not None:
            error = life.exception()
            if isinstance(error, AttributeError | NameError | TypeError):
                raise error  # no rule was broken: the program or a mutant is
            if not isinstance(error, Dead | WriterFenced):
                raise Wrong(f"{self.name}: {type(error).__name__}: {error}") from error
            self.world.note(self.name, f"ends: {error}")
        return False

    def kill(self) -> None:
        """It never continues. Its sent messages may still arrive."""
        for task in self.tasks:
            task.cancel()
        while self.ready:
            handle = self.ready.pop()
            if not handle.cancelled():
                handle._run()
        for task in self.tasks:
            if not task.cancelled():
                task.exception()

    async def live(self) -> None:
        """Owns its partition again and again, until it leaves for good or, when the storm is over, nothing is left."""
        agent = self.world.agent(self)
        while True:
            await self.take(agent)
            await self.serve(agent)
            if not self.back_at:
                return
            self.world.note(self.name, "has its partition revoked")
            while self.back_at:
                await turn()

    async def take(self, agent: Any) -> None:
        """Goes on with the state that it kept, or restores."""
        world, log = self.world, self.world.log(self.source, self.partition)
        oldest = log.start
        if refusal := world.refusal(world.mongo.acknowledged):
            raise Wrong(f"{self.name}: refuses, and nothing was set back: {refusal}")
        await turn()
        changelog = world.log(agent.changelog, self.partition)
        counted = last_counted(changelog)
        table = await agent.resume(self.partition, changelog.end)
        how = "restored" if table is None else "goes on"
        if agent.kept.keys() - {self.partition} or (agent.kept and table is None):
            raise Wrong(f"{self.name}: keeps a state that it will not use")
        if table is None:
            table = await agent.restore(self.partition)
        await turn()
        if table.position < counted:
            raise Wrong(f"{self.name}: {how} at {table.position}, and a checkpoint at {counted} had counted before")
        if table.state.position < oldest:
            raise Wrong(f"{self.name}: {how} at {table.state.position}, the log begins at {oldest}")
        agent.take(self.partition, table, oldest, log.end)
        world.note(self.name, f"{how} at {table.state.position}, saved up to {table.position}")

    async def serve(self, agent: Any) -> None:
        """Reads and flushes, until its partition is revoked or nothing is left to do."""
        world, log = self.world, self.world.log(self.source, self.partition)
        owned = self.owned = agent.owned[self.partition]
        reading = asyncio.get_running_loop().create_task(self.read(agent, log, owned))
        try:
            while not (world.draining and owned.checkpointed == log.end and agent.idle(owned)):
                await turn()
                if reading.done():
                    reading.result()
                if self.leaving or self.back_at:
                    await agent.leave([self.partition], ends=self.leaving or world.chance(0.6))
                    return
                if not agent.idle(owned) and (world.draining or world.chance(0.4)):
                    async with owned.lock:
                        await agent.flush_whole(self.partition, owned, checkpoint=world.draining or world.chance(0.5))
        finally:
            reading.cancel()

    async def read(self, agent: Any, log: MemoryLog, owned: Owned[Any]) -> None:
        """Applies chunks of any length, the first of which may have been applied before."""
        while True:
            await turn()
            state = owned.table.state
            at = state.position
            if at < log.start:
                raise Dead("offset out of range")
            if at < log.end and self.partition not in agent.paused and (self.world.draining or self.world.chance(0.7)):
                start = max(log.start, at - self.world.rng.choice((0, 0, 0, 2)))
                end = at + self.world.rng.choice(self.chunks)
                values = log.get(start, log.end if self.world.draining else end)
                agent.apply(chunk_of(self.partition, start, values, replays=self.replays(start, start + len(values))))

    def replays(self, start: int, end: int) -> dict[int, bytes]:
        """The headers of copies."""
        of_each = {offset: self.world.copies.get((self.partition, offset)) for offset in range(start, end)}
        return {
            offset: replay_header("memory", self.partition, original)
            for offset, original in of_each.items()
            if original is not None and self.kind == "accumulate"
        }

    @property
    def source(self) -> str:
        return AGENTS[self.kind].source

    @property
    def chunks(self) -> tuple[int, ...]:
        return (1, 2, 3, 9) if self.kind == "accumulate" else (1, 4, 15, 40)


def last_counted(changelog: MemoryLog) -> int:
    """The position of the last checkpoint that counts in a changelog as it is; 0 if there is none."""
    chain = Chain("run")
    chain.set_start(changelog.start)
    counted = [chain.read(value) for value in changelog.get(changelog.start, changelog.end)]
    return max((each.cursor.position for each in counted if each is not None), default=0)


BACKLOG = 100_000
"""Records, more than any partition may have to read and is still live."""


class Group:
    """What the agents need of the consumer group."""

    def __init__(self, world: World) -> None:
        self._world = world

    def commit_soon(self) -> None:
        """The group's commits are for monitoring: nothing here reads them."""

    def pause(self, topic: str, partition: int, pause: bool) -> None:
        """What is paused is not read, see Process.read."""
        self._world.note(topic, f"{partition} {'is paused' if pause else 'goes on'}")

    def end(self, topic: str, partition: int) -> int | None:
        """In some worlds there is a backlog all the time."""
        return self._world.log(topic, partition).end + (BACKLOG if self._world.has_backlog else 0)


class FakeBroker:
    """Sends into the world's logs: acknowledged; or acknowledged and once more later; or the sender dies of it."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.settings = _SETTINGS

    async def send(self, topic: str, partition: int, values: Sequence[bytes]) -> list[int]:
        world, log, offsets = self._world, self._world.log(topic, partition), []
        if "early acknowledgement" in world.off and topic == TOPICS.partials:
            world.limbo.extend(partial(log.put, value) for value in values)
            return []
        for value in values:
            luck = 1 if world.draining else world.rng.random()
            if luck < 0.02:
                world.limbo.append(partial(log.put, value))
                if luck < 0.005:
                    raise Dead("send lost")
            await turn()
            offsets += await log.append([world.relabel(value, _PROCESS.get()) if topic == TOPICS.partials else value])
        return offsets

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        await self._world.log(topic, partition).delete_before(offset)

    def block_bytes(self, *topics: str) -> int:
        return 600_000

    def log(self, topic: str, partition: int) -> FakeLog:
        return FakeLog(self, self._world.log(topic, partition), topic, partition)

    async def send_record(
        self,
        topic: str,
        partition: int,
        key: bytes | None,
        value: bytes | None,
        headers: Sequence[tuple[str, bytes]],
    ) -> asyncio.Future[None]:
        """Takes a dead letter."""
        await turn()
        said = dict(headers)
        place = int(said["source-partition"]), int(said["source-offset"])
        kind, original = said["kind"].decode(), said.get("original-offset")
        sent = self._world.log(TOPICS.events, place[0]).get(place[1], place[1] + 1)
        assert [value] == (sent if kind in ("bad", "late") else [None])
        assert (original and int(original)) == self._world.copies.get(place)
        assert int(said["run"]) == RUN
        self._world.letters.add((*place, kind))
        acknowledged = asyncio.get_running_loop().create_future()
        acknowledged.set_result(None)
        return acknowledged


@dataclass
class FakeLog:
    """A changelog: appended to through the broker, with its faults."""

    broker: FakeBroker
    log: MemoryLog
    topic: str
    partition: int

    async def append(self, values: Sequence[bytes]) -> list[int]:
        return await self.broker.send(self.topic, self.partition, values)

    def read(self, start: int | None, until: int | None) -> Any:
        return self.log.read(start, until)

    async def oldest(self) -> int:
        return await self.log.oldest()

    async def delete_before(self, offset: int) -> None:
        await self.log.delete_before(offset)


class FakeMongo:
    """Documents by collection and `_id`, guarded by `_rev`; it is the sink and the store of the agents too."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.documents: dict[tuple[str, str], GuardedDocument] = {}
        self._majority = self.documents
        self._older = False
        self._term = 0

    def replace(self, document: GuardedDocument) -> None:
        """Takes a document if it is newer."""
        place = document.collection, document.id
        held = self.documents.get(place)
        order = "newer" if held is None else compare(document.rev, held.rev)
        unguarded = "unguarded" in self._world.off and document.collection != _PARTIALS
        if order == "newer" or unguarded:
            self.documents[place] = document
        elif order == "incomparable" and not self._older:  # then it is an alarm in the log, and nothing is written
            raise Wrong(f"incomparable: {place} {document.rev} and {held}")

    async def write(self, documents: Sequence[GuardedDocument]) -> WriteReport:
        world, term = self._world, self._term
        if "early acknowledgement of documents" in world.off:
            for document in documents:
                world.limbo.append(partial(self.replace, document))
            return WriteReport()
        for document in documents:
            luck = 1 if world.draining else world.rng.random()
            if luck < 0.01:
                world.limbo.append(partial(self.replace, document))
                raise Dead("write lost") if luck < 0.005 else MongoAway(uri="memory", cause="no answer")
            await turn()
            if document.is_new and (document.collection, document.id) in self.documents:  # a duplicate key
                if "duplicate keys" in world.off:
                    continue
                await turn()
            self.replace(document)
        await turn()
        if "no majority" not in world.off:
            if term != self._term:
                raise MongoAway(uri="memory", cause="another primary")
            self._majority = dict(self.documents)
        return WriteReport()

    async def save(self, partials: Sequence[tuple[str, Rev, int, bytes]]) -> WriteReport:
        if "eviction without store" in self._world.off:
            return WriteReport()
        if not self._world.draining and self._world.chance(0.25):
            for _ in range(SLOW_SAVE):  # long enough for what is being moved to change
                await turn()
        return await self.write(
            [guarded(_PARTIALS, key, rev, run, {"payload": load}) for key, rev, run, load in partials]
        )

    async def load(self, keys: Sequence[str], run: int) -> AsyncIterator[tuple[str, bytes]]:
        for key in keys:
            if self._world.chance(0.1):
                await turn()
            if not self._world.draining and self._world.chance(0.005):
                raise MongoAway(uri="memory", cause="no answer")
            document = self.documents.get((_PARTIALS, key))
            if document is not None:
                yield key, document.body["payload"]

    async def marks(self, partitions: Iterable[int], run: int) -> dict[int, int]:
        found = {partition: self.documents.get((_PARTIALS, f"mark {partition}")) for partition in partitions}
        return {partition: document.rev[0] for partition, document in found.items() if document is not None}

    async def mark(self, partition: int, run: int, known: int | None, position: int) -> bool:
        there = (await self.marks([partition], run)).get(partition, 0)
        if there < (known or 0):
            return False
        await self.write([guarded(_PARTIALS, f"mark {partition}", (position,), run, {})])
        return True

    @property
    def acknowledged(self) -> Mapping[tuple[str, str], GuardedDocument]:
        """What a majority has."""
        return self._majority

    def put_back(self, documents: Mapping[tuple[str, str], GuardedDocument]) -> None:
        """Has what was acknowledged when a backup was made, and forgets the rest."""
        self._majority, self._older = dict(documents), True
        self.fail_over()

    def fail_over(self) -> None:
        """Another primary has what a majority has."""
        self.documents = dict(self._majority)
        self._term += 1


class World:
    """Everything there is, made of a seed; `off` names the rules that the world itself breaks."""

    @staticmethod
    def relabel(value: bytes, process: Process) -> bytes:
        """What becomes of a partial on its way; mutants change it."""
        return value

    def __init__(self, seed: int, off: frozenset[str] = frozenset(), length: int = 300) -> None:
        self.rng, self.off, self._length = random.Random(seed), off, length
        self.has_backlog = seed % 3 == 2
        self.is_tight = seed % 5 == 4
        """Whether partitions are paused for little that was not sent."""
        self.results = tuple(self.rng.sample(RESULTS, 3))
        """Not all at once, for the sake of speed."""
        self._logs: dict[tuple[str, int], MemoryLog] = {}
        self.mongo, self.group = FakeMongo(self), Group(self)
        self.limbo: list[Callable[[], object]] = []
        """What is under way without its sender."""
        self.letters: set[tuple[int, int, str]] = set()
        self.copies: dict[tuple[int, int], int] = {}
        """Of each copy of a refused record, by partition and offset, the offset of its original."""
        self.draining = False
        self.trace: list[str] = []
        self._clocks_ms, self._processes = [START_MS] * SOURCES, list[Process]()
        self._idle = self.rng.random() / 2

    def note(self, name: str, text: str) -> None:
        self.trace.append(f"{name}: {text}")

    def chance(self, probability: float) -> bool:
        return self.rng.random() < probability

    def log(self, topic: str, partition: int) -> MemoryLog:
        if (topic, partition) not in self._logs:
            self._logs[topic, partition] = MemoryLog(turn)
        return self._logs[topic, partition]

    def agent(self, process: Process) -> Any:
        broker: Any = FakeBroker(self)
        topology = Topology({TOPICS.events: SOURCES, TOPICS.partials: TARGETS}, {TOPICS.events: "memory"})
        mongo: Any = self.mongo
        context = context_module.Context(broker, self.group, TOPICS, topology, FIELD_RULES, "run", RUN, mongo, mongo)
        if process.kind == "accumulate":
            agent: Any = Accumulate(context, TOPICS.events)
            accumulator = partial(
                Accumulator, partitions=SOURCES, rules=FIELD_RULES, run=RUN, results=self.results, topic="memory"
            )
            agent.new_state = accumulator
        else:
            agent = Publish(context, TOPICS.partials)
            agent.new_state = lambda partition: Merger(SOURCES, RUN, self.results)
        return agent

    def refusal(self, documents: Mapping[tuple[str, str], GuardedDocument]) -> str | None:
        """Why a worker would not start on these documents, by the marks, as runs/set_back.py compares them."""
        for partition in range(TARGETS):
            held = documents.get((_PARTIALS, f"mark {partition}"))
            mark = 0 if held is None else held.rev[0]
            changelog = self.log(AGENTS["publish"].changelog, partition)
            read = (decode(value) for value in changelog.get(changelog.start, changelog.end) if value is not None)
            said = max((cursor.position for cursor in read if isinstance(cursor, Cursor) and cursor.marked), default=0)
            if mark < said:
                return f"MongoDB is older: partition {partition} is published up to {said}, and here to {mark}"
            if (end := self.log(TOPICS.partials, partition).end) < mark:
                return f"Kafka is older: partition {partition} ends at {end}, and is published up to {mark}"
        return None

    # ---- what happens ----------------------------------------------------------------------------------------------

    def produce(self) -> None:
        """One more record; of some time, mostly its partition's present. The last partition is idle at times."""
        rng = self.rng
        user = rng.choice((0, 1, 3, 4) if self.chance(self._idle) else (0, 1, 2, 3, 4, 5))
        partition = user % SOURCES
        self._clocks_ms[partition] += MINUTE_MS * rng.choice((0, 1, 1, 15, 40, 120, 300))
        now_ms = self._clocks_ms[partition]
        event = {
            "movie_id": rng.choice("fghi"),
            "title": rng.choice("xyz"),
            "genre": rng.choice(("Drama", "drama ", "Noir")),
            "user_id": f"u{user}",
            "timestamp": now_ms - MINUTE_MS * rng.choice((0, 0, 0, 5, 30, 60, 200, 350, 400, 900, 1800)),
            "rating": rng.choice((None, 1, 4.5, 4.1, 9 if self.chance(0.2) else 0)),
            "duration": rng.choice((None, 0, 30, 90, 600)),
            "price": rng.choice((None, 0.1, 1e9)),
        }
        log = self.log(TOPICS.events, partition)
        if log.end and self.chance(0.25):
            self.replay(partition, log)
        else:
            log.put(json.dumps(event).encode())

    def replay(self, partition: int, log: MemoryLog) -> None:
        """A copy of a record, mostly of one that was refused, perhaps of one of which there are copies, or changed."""
        refused = [offset for of, offset, kind in sorted(self.letters) if of == partition and kind in ("bad", "late")]
        place = self.rng.choice(refused) if refused and self.chance(0.8) else self.rng.randrange(log.end)
        event = json.loads(log.get(place, place + 1)[0] or b"")
        fix = self.rng.choice(({}, {"rating": 3}, {"rating": 3, "timestamp": self._clocks_ms[partition]}))
        self.copies[partition, log.end] = self.copies.get((partition, place), place)
        log.put(json.dumps({**event, **fix}).encode())

    def start(self, kind: str, partition: int) -> Process:
        process = Process(self, kind, partition, f"{kind} {partition} #{len(self._processes)}")
        self._processes.append(process)
        process.start()
        return process

    def kill(self, process: Process) -> None:
        """What it was sending may still arrive."""
        self.note(process.name, "killed")
        process.kill()
        for log in self._logs.values():
            self.limbo.extend(partial(log.put, value) for value in log.in_flight)
            log.in_flight.clear()

    def storm(self) -> list[Process]:
        """The processes that are still there in the end, most of them zombies."""
        alive = [self.start(*place) for place in PLACES]
        for now in range(self._length):
            luck = self.rng.random()
            if luck < 0.08:
                for _ in range(self.rng.choice((1, 2, 3))):
                    self.produce()
            elif luck < 0.10:
                alive.append(self.start(*self.rng.choice(PLACES)))
            elif luck < 0.17 and alive:
                self._misfortune(alive, now)
            elif luck < 0.20 and self.limbo:
                self.limbo.pop(self.rng.randrange(len(self.limbo)))()
            elif luck < 0.21:
                self.mongo.fail_over()
            else:
                self._let_go_on(alive, [process for process in alive if process.asleep_until <= now])
            self._assign(alive, now)
        for process in alive:
            process.back_at = 0
        return alive

    def _assign(self, alive: list[Process], now: int) -> None:
        """Those get their partitions back whose time it is; what nobody has goes to somebody else, by and by."""
        for process in alive:
            if process.back_at <= now:
                process.back_at = 0
        for place in PLACES:
            there = any((p.kind, p.partition) == place and max(p.asleep_until, p.back_at) <= now for p in alive)
            if not there and self.chance(0.2):
                alive.append(self.start(*place))

    def _misfortune(self, alive: list[Process], now: int) -> None:
        """A process is killed, asked to leave, has its partition revoked for a while, or is paused."""
        process, luck = self.rng.choice(alive), self.rng.random()
        if luck < 0.3:
            alive.remove(process)
            self.kill(process)
        elif luck < 0.4:
            process.leaving = True
        elif luck < 0.65:
            process.back_at = now + self.rng.choice((1, 5, 20, 60))
        else:
            process.asleep_until = now + self.rng.randint(5, 200)

    def _let_go_on(self, alive: list[Process], awake: list[Process]) -> None:
        if not awake:
            return
        process = self.rng.choice(awake)
        for _ in range(self.rng.choice((1, 4, 20, 60))):
            if not process.step():
                alive.remove(process)
                return

    def finish(self, kind: str, partition: int) -> None:
        """A healthy owner reaches the end, whatever it finds."""
        for _ in range(4):
            process = self.start(kind, partition)
            for _ in range(20_000):
                if not process.step():
                    break
            else:
                raise Wrong(f"{process.name} does not come to an end")
            if process.tasks[0].exception() is None:
                return
        raise Wrong(f"{kind} {partition} cannot start")

    def check(self) -> None:
        """Runs everything. Raises Wrong."""
        with self._running():
            zombies = self.storm()
            self.mongo.fail_over()
            self.draining = True
            for _ in range(2):  # healthy owners; then the zombies and what is still under way; and healthy owners again
                while self.limbo and self.chance(0.8):
                    self.limbo.pop(self.rng.randrange(len(self.limbo)))()
                for place in PLACES:
                    self.finish(*place)
                self.compare()
                for zombie in zombies:
                    for _ in range(self.rng.randint(0, 150)):
                        if not zombie.step():
                            break
            self.mongo.fail_over()
            self.compare()

    def compare(self) -> None:
        """All documents and dead letters against the reference."""
        logs = [self.log(TOPICS.events, partition) for partition in range(SOURCES)]
        rules = reference.Rules(
            allowed_lateness_ms=FIELD_RULES.allowed_lateness_ms,
            session_gap_ms=FIELD_RULES.session_gap_ms,
            timezone=FIELD_RULES.timezone,
        )
        wanted = reference.expected(
            [[(offset, None, value) for offset, value in enumerate(log.get(0, log.end))] for log in logs],
            rules,
            self.copies,
        )
        found: dict[str, dict[str, Any]] = {}
        for (collection, name), document in self.mongo.documents.items():
            if collection != _PARTIALS:
                found.setdefault(collection, {})[name] = {"_id": name, **document.body}
        collections = {result.collection for result in self.results}
        documents = {name: of for name, of in wanted.documents.items() if name in collections and (of or name in found)}
        differences = reference.same(found, documents)
        if differences:
            raise Wrong(f"{len(differences)} differences, the first: {differences[0]}")
        if self.letters != wanted.dead_letters:
            raise Wrong(f"dead letters: {self.letters ^ wanted.dead_letters}")

    @contextmanager
    def _running(self) -> Iterator[None]:
        self.loop = Loop()
        asyncio._set_running_loop(self.loop)
        try:
            with pytest.MonkeyPatch.context() as patch:
                if self.is_tight:
                    patch.setattr(accumulate_module, "ROWS_AT_MOST", 0)
                    patch.setattr(publish_module, "DIRTY_AT_MOST", 3)
                yield
        finally:
            for process in self._processes:
                process.kill()
            asyncio._set_running_loop(None)
            self.loop.close()


PLACES: Final = [("accumulate", p) for p in range(SOURCES)] + [("publish", q) for q in range(TARGETS)]
_SETTINGS: Final = Settings.model_construct()


def _small(patch: pytest.MonkeyPatch) -> None:
    """Changelogs in memory; and everything that is bounded has a small bound, so that it happens."""
    patch.setattr(owner_module, "KafkaLog", lambda broker, topic, partition: broker.log(topic, partition))
    patch.setattr(publish_module, "DOCUMENTS_AT_ONCE", 7)
    patch.setattr(publish_module, "ROWS_IN_MEMORY", 3)
    patch.setattr(publish_module, "BYTES_IN_MEMORY", 0)
    patch.setattr(eviction_module, "EVICTED_AT_ONCE", 8)
    patch.setattr(eviction_module, "PARTS", 3)
    patch.setattr(merger_module, "DROPPED_AT_ONCE", 12)
    patch.setattr(groups_module, "BLOCK_BYTES", 250)


@contextmanager
def small_and_quiet() -> Iterator[None]:
    """Everything bounded has a small bound; what the agents say of the many faults is not kept."""
    logging.disable(logging.ERROR)
    try:
        with pytest.MonkeyPatch.context() as patch:
            _small(patch)
            yield
    finally:
        logging.disable(logging.NOTSET)


def wrong_in(seed: int) -> str | None:
    """What goes wrong in a schedule."""
    try:
        World(seed).check()
    except Wrong as wrong:
        return str(wrong)
    return None


def main(first: int, count: int) -> None:
    """Tries many schedules, and says which are wrong."""
    with small_and_quiet():
        wrong = {seed: what for seed in range(first, first + count) if (what := wrong_in(seed)) is not None}
    print(f"{count} schedules, {len(wrong)} wrong", *list(wrong.items())[:5], sep="\n  ")  # noqa: T201


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
