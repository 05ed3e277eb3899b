"""Owning partitions: what a flush that is cut off, a MongoDB that is away and another owner do to a state."""

from __future__ import annotations

import asyncio
import gc
import json
import weakref
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from time import monotonic
from typing import Any

import numpy as np
import pytest

from movie_stream.agents import accumulate as module
from movie_stream.agents.accumulate import Accumulate
from movie_stream.agents.context import Context
from movie_stream.agents.flush_schedule import LIVE, UNTIL_END, Cadence, FlushSchedule
from movie_stream.agents.owner import QUIET_AFTER_S, Owned
from movie_stream.agents.publish import Publish
from movie_stream.aggregates import accumulator as accumulator_module
from movie_stream.aggregates import partial
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.document_keys import WindowKey
from movie_stream.aggregates.groups import BLOCK_BYTES, Block
from movie_stream.aggregates.results import RESULTS
from movie_stream.alerts.completeness import Completeness
from movie_stream.errors import ChangelogError, WorkerFailed
from movie_stream.events.chunk import chunk_of
from movie_stream.kafka.cluster.topics import AgentTopics, Topics, Topology
from movie_stream.mongo.failures import MongoAway
from movie_stream.mongo.report import WriteReport
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import EntryRecord, decode
from movie_stream.tables.table import Table
from tests.support.memory_log import MemoryLog, one_turn

TOPICS = Topics(
    "events",
    "letters",
    "partials",
    {
        "accumulate": AgentTopics("events", "accumulate-changelog"),
        "publish": AgentTopics("partials", "publish-changelog"),
    },
)
TOPOLOGY = Topology({"events": 1, "partials": 1}, {"events": "cluster/topic"})
VIEW: dict[str, Any] = {
    "movie_id": "m1",
    "title": "Alien",
    "genre": "Drama",
    "user_id": "u1",
    "timestamp": 1_730_385_000_000,
}


class Broker:
    """Acknowledges only while `open` is set."""

    def __init__(self) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.sent: list[bytes] = []
        self.asked = asyncio.Event()
        self.sends = 0
        self.letters: list[bytes] = []
        self.settings = Settings(kafka_bootstrap_servers="127.0.0.1:1")

    async def send(self, topic: str, partition: int, values: Sequence[bytes]) -> list[int]:
        self.asked.set()
        await self.open.wait()
        self.sent += values
        self.sends += 1
        return list(range(len(values)))

    async def send_record(self, topic: str, partition: int, key: bytes, value: bytes, headers: object) -> Any:
        self.letters.append(value)
        sent: asyncio.Future[object] = asyncio.get_running_loop().create_future()
        sent.set_result(None)
        return sent

    async def delete_before(self, topic: str, partition: int, offset: int) -> None:
        pass

    def block_bytes(self, *topics: str) -> int:
        return BLOCK_BYTES


class Group:
    def __init__(self) -> None:
        self.commits = 0
        self.committed = asyncio.Event()
        self.paused: list[tuple[int, bool]] = []
        self.ends: dict[tuple[str, int], int] = {}

    def commit_soon(self) -> None:
        self.commits += 1
        self.committed.set()

    def end(self, topic: str, partition: int) -> int | None:
        return self.ends.get((topic, partition))

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        self.paused.append((partition, paused))


class Away:
    """A sink that is away for a number of writes."""

    def __init__(self, times: int) -> None:
        self.times, self.written, self.marked = times, list[Any](), dict[int, int]()

    async def write(self, documents: Sequence[Any]) -> WriteReport:
        if self.times:
            self.times -= 1
            raise MongoAway(uri="mongodb://127.0.0.1:1")
        self.written += documents
        return WriteReport(sent=len(documents), changed=len(documents))

    async def mark(self, partition: int, run: int, known: int | None, position: int) -> bool:
        if self.marked.get(partition, 0) < (known or 0):
            return False
        self.marked[partition] = position
        return True


def context(broker: Broker, group: Group, sink: Any = None, store: Any = None, cadence: Cadence = LIVE) -> Context:
    as_broker: Any = broker
    return Context(as_broker, group, TOPICS, TOPOLOGY, Rules(), "run", 1, sink, store, cadence=cadence)


def accumulate(broker: Broker, group: Group, cadence: Cadence = LIVE) -> Accumulate:
    return Accumulate(context(broker, group, cadence=cadence), TOPICS.events)


def publish(broker: Broker, group: Group, sink: Away) -> Publish:
    return Publish(context(broker, group, sink, sink), TOPICS.partials)


def own(owner: Any, log: MemoryLog) -> Owned[Any]:
    table = Table(owner.new_state(0), log, "run")
    owned = owner.owned[0] = Owned(table, asyncio.Lock(), FlushSchedule(0, 0), FlushSchedule(0, 0), 0, 0.0)
    return owned


def partials() -> list[bytes]:
    state = Accumulator(0, 1, Rules())
    state.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    return [message for _, message in state.partials(1)]


async def test_a_state_whose_flush_was_cut_off_is_never_saved() -> None:
    broker, group, log = Broker(), Group(), MemoryLog()
    agent = accumulate(broker, group)
    owned = own(agent, log)
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    broker.open.clear()
    flushing = asyncio.create_task(agent._flush(0, owned))
    await asyncio.sleep(0)
    flushing.cancel()
    await asyncio.wait([flushing])
    broker.open.set()
    await agent.leave([0], ends=True)
    assert log.end == 0
    assert agent.owned == {}
    assert agent.finished == {}
    assert group.commits == 0


async def test_a_partition_that_moves_without_a_checkpoint_says_what_its_flush_waits_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    broker, group, log = Broker(), Group(), MemoryLog()
    agent = accumulate(broker, group)
    owned = own(agent, log)
    monkeypatch.setattr("movie_stream.agents.owner.UNSAVED_AFTER_S", 0.0)
    assert agent.unsaved() is None, "it has not moved"
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    broker.open.clear()
    flushing = asyncio.create_task(agent._flush(0, owned))
    await asyncio.sleep(0)
    found = agent.unsaved()
    assert found is not None
    assert found[::2] == (0, f"that the broker takes partials and dead letters ({TOPICS.partials})")
    assert found[1] > 0
    broker.open.set()
    await flushing
    assert agent.unsaved() is None


@pytest.mark.parametrize(("cadence", "checkpoints"), [(LIVE, 0), (UNTIL_END, 2)])
async def test_a_worker_that_ends_then_checkpoints_whatever_is_caught_up(cadence: Cadence, checkpoints: int) -> None:
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group, cadence)
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=2)
    owned = agent.owned[0]
    for offset in (0, 1):
        agent.apply(chunk_of(0, offset, [json.dumps(VIEW).encode()]))
        await agent._flush(0, owned)
    assert group.commits == checkpoints, "a live worker's first checkpoint waits for more to come"
    assert agent.finished == {0: checkpoints}


async def test_a_live_partition_is_flushed_as_one_while_some_records_are_on_their_way() -> None:
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group)
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=1)
    owned = agent.owned[0]
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    owned.flush.flushed(now_s=100.0, took_s=1.0)
    due = dict[int, float]()
    for behind in (0, agent.live_within, agent.live_within + 1):
        group.ends = {(agent.topic, 0): 1 + behind}
        due[behind] = agent._due_s(0, owned)
    assert list(due.values()) == [101.0, 101.0, 105.0]


async def test_what_is_counted_and_not_sent_is_a_backlog_for_what_reads_it() -> None:
    group = Group()
    counts, publishes = accumulate(Broker(), group), publish(Broker(), group, Away(0))
    publishes.upstream = counts
    of_views, of_partials = own(counts, MemoryLog()), own(publishes, MemoryLog())
    assert publishes._is_live(0, of_partials)
    of_views.flushed = 0
    for position, live in ((counts.live_within, True), (counts.live_within + 1, False)):
        of_views.table.state.position = position
        assert counts._is_live(0, of_views)
        assert publishes._is_live(0, of_partials) == live
    of_views.flushed = 1
    assert publishes._is_live(0, of_partials)


class Reports(Completeness):
    """What the rules for alerts hear of."""

    def __init__(self) -> None:
        self.heard: list[Mapping[int, int] | None] = []

    def is_used(self, collection: str) -> bool:
        return True

    def needs_report(self, partition: int, watermarks: Mapping[int, int]) -> bool:
        return not self.heard or self.heard[-1] != watermarks

    async def published(
        self, partition: int, watermarks: Mapping[int, int] | None, windows: Collection[WindowKey]
    ) -> None:
        assert windows
        self.heard.append(watermarks)


async def test_under_backlog_the_documents_of_open_windows_wait_for_a_checkpoint() -> None:
    """And so do the measurement of their delay, and the watermark that says that all before it is published."""
    group, sink, reports = Group(), Away(0), Reports()
    connected = replace(context(Broker(), group, sink, sink), completeness=reports)
    agent = Publish(connected, TOPICS.partials)
    owned = own(agent, MemoryLog())
    counted = Accumulator(0, 1, Rules())
    times_ms = VIEW["timestamp"] + np.arange(3) * 60_000
    views = [json.dumps(VIEW | {"timestamp": int(time_ms)}).encode() for time_ms in times_ms]
    counted.apply(chunk_of(0, 0, views))
    messages = [message for _, message in counted.partials(1)]
    agent.apply(chunk_of(0, 0, messages))
    group.ends = {(TOPICS.partials, 0): len(messages) + agent.live_within + 1}
    assert await agent.flush(0, owned, checkpoint=False) == 0
    written = {(document.collection, document.id) for document in sink.written}
    minutes = {("movies_aggregates", f"drama_2024-10-31T14:{minute}:00Z") for minute in (30, 31)}
    assert written == minutes
    assert sum(agent.delays.since_event.counts) == 0
    assert reports.heard == [None]
    assert not agent.idle(owned)
    assert await agent.flush(0, owned, checkpoint=True) == 0, "nothing is written again"
    of_minutes = [document.id for document in sink.written if document.collection == "movies_aggregates"]
    assert of_minutes == [f"drama_2024-10-31T14:{minute}:00Z" for minute in (30, 31, 32)]
    assert {document.collection for document in sink.written} == {result.collection for result in RESULTS}
    assert sum(agent.delays.since_event.counts) == len(views)
    assert reports.heard[1:] == [{0: int(times_ms[-1])}]
    assert agent.idle(owned)


async def test_of_a_backlog_a_pause_brings_no_checkpoint() -> None:
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group)
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=1)
    owned = agent.owned[0]
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    await agent._flush(0, owned)
    group.ends = {(agent.topic, 0): 2 + agent.live_within}
    assert agent._due_s(0, owned) == owned.checkpoint.due_s(live=False)


async def test_live_partitions_that_are_due_soon_are_flushed_with_one_that_is_due_now() -> None:
    broker, log = Broker(), MemoryLog()
    agent = accumulate(broker, Group())
    for partition, due_in_s in enumerate((-0.01, LIVE.flush_s / 3, LIVE.flush_s)):
        agent.take(partition, Table(agent.new_state(partition), log, "run"), oldest=0, end=1)
        agent.apply(chunk_of(partition, 0, [json.dumps(VIEW).encode()]))
        agent.owned[partition].flush.flushed(monotonic() + due_in_s - LIVE.flush_s, took_s=0.0)
        agent.owned[partition].checkpoint.flushed(monotonic(), took_s=0.0)
    running = dict[int, asyncio.Task[None]]()
    agent._start_flushes(running)
    assert list(running) == [0, 1]
    broker.open.clear()
    await broker.asked.wait()
    running[0].cancel()
    broker.open.set()
    await asyncio.wait(running.values())
    assert running[0].cancelled()
    assert running[1].exception() is None, "one that is cut off takes no other with it"
    assert broker.sends == 1
    messages = [partial.decode(message) for message in broker.sent]
    assert {message.partition for message in messages} == {0, 1}


async def test_a_partition_without_new_records_gets_its_checkpoint_soon() -> None:
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group)
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=1)
    owned = agent.owned[0]
    for offset in (0, 1):
        agent.apply(chunk_of(0, offset, [json.dumps(VIEW).encode()]))
        await agent._flush(0, owned)
    assert agent.finished == {0: 0}, "the checkpoint is not due"
    flushed_s = owned.flush.due_s(live=True) - LIVE.flush_s
    assert agent._due_s(0, owned) == max(owned.flush.due_s(live=True), owned.moved_at_s + QUIET_AFTER_S)
    assert agent._due_s(0, owned) < flushed_s + LIVE.checkpoint_s
    await agent._flush(0, owned)
    assert agent.finished == {0: 2}


async def test_leaving_saves_and_sends_the_leave_request() -> None:
    broker, group, log = Broker(), Group(), MemoryLog()
    agent = accumulate(broker, group)
    own(agent, log)
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    await agent.leave([0], ends=True)
    assert broker.sent
    assert log.end > 0
    assert group.commits == 1
    restored = Table(agent.new_state(0), log, "run")
    await restored.restore()
    assert restored.state.position == 1


async def returned(agent: Any, log: MemoryLog) -> Table[Any] | None:
    """The table that an owner kept of a partition which it is assigned again, if it may go on."""
    table: Table[Any] | None = await agent.resume(0, log.end)
    if table is not None:
        agent.take(0, table, oldest=0, end=10)
    return table


async def left(agent: Any, log: MemoryLog) -> Owned[Any]:
    """What an owner had of a partition that is revoked after a view."""
    owned = own(agent, log)
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    await agent.leave([0], ends=True)
    return owned


async def test_a_partition_that_comes_back_goes_on_with_its_state_and_saves_what_follows() -> None:
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group)
    owned = await left(agent, log)
    assert (agent.owned, agent.finished) == ({}, {})
    assert await returned(agent, log) is owned.table
    assert (agent.finished, agent.kept) == ({0: 1}, {})
    assert agent.idle(agent.owned[0])
    agent.apply(chunk_of(0, 1, [json.dumps(VIEW).encode()]))
    await agent._flush(0, agent.owned[0], leaving=True)
    assert agent.finished == {0: 2}


async def test_a_state_that_is_ahead_of_its_checkpoint_comes_back_with_its_dead_letters() -> None:
    """It had caught up, so the group did not wait for a flush."""
    broker, log = Broker(), MemoryLog()
    agent = accumulate(broker, Group())
    owned = own(agent, log)
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    await agent._flush(0, owned, leaving=True)
    agent.apply(chunk_of(0, 1, [b"x"]))
    await agent.leave([0])
    assert broker.letters == []
    assert await returned(agent, log) is owned.table
    assert (agent.finished, agent.owned[0].table.state.position) == ({0: 1}, 2)
    await agent._flush(0, agent.owned[0], leaving=True)
    assert broker.letters == [b"x"]
    assert agent.finished == {0: 2}


async def test_what_is_behind_is_flushed_before_it_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group)
    for end, commits in ((1 + agent.live_within, 0), (2 + agent.live_within, 1)):
        monkeypatch.setattr(group, "end", lambda topic, partition, end=end: end)
        own(agent, log)
        agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
        await agent.leave([0])
        assert group.commits == commits
        assert agent.kept[0].position == commits


async def test_what_could_not_be_written_in_time_is_kept_without_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.agents.publish.DOCUMENTS_AT_ONCE", len(RESULTS) - 1)
    group, sink = Group(), Away(0)
    group.ends = {(TOPICS.partials, 0): 1_000}
    agent = publish(Broker(), group, sink)
    own(agent, MemoryLog())
    agent.apply(chunk_of(0, 0, partials()))
    await agent.leave([0])
    assert sink.written == []
    assert len(agent.kept[0].state.dirty) == len(RESULTS)


def test_live_or_not_a_flush_is_due_within_the_bound() -> None:
    schedule = FlushSchedule(base_s=1.0, at_most_s=10.0, took_s=None)
    assert (schedule.wait_s(live=True), schedule.wait_s(live=False)) == (1.0, schedule.FIRST_S)
    schedule.flushed(now_s=0.0, took_s=3.0)
    assert [schedule.wait_s(live, partitions=12) for live in (True, False)] == [10.0, 10.0]
    schedule.flushed(now_s=1.0, took_s=None)
    assert schedule.due_s(live=True) == 1.0 + 3.0


def leave_in_time_until(asked: asyncio.Event, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time of `leave` is over once a last flush has asked: on a slow machine too, no earlier."""

    async def wait(tasks: Collection[asyncio.Task[None]], **_: object) -> tuple[set[Any], set[Any]]:
        await asyncio.wait_for(asked.wait(), 30)
        done = {task for task in tasks if task.done()}
        return done, {*tasks} - done

    monkeypatch.setattr("movie_stream.agents.owner.asyncio.wait", wait)


async def test_a_state_whose_last_flush_was_cut_off_does_not_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    broker, log = Broker(), MemoryLog()
    leave_in_time_until(broker.asked, monkeypatch)
    agent = accumulate(broker, Group())
    broker.open.clear()
    await left(agent, log)
    assert agent.kept == {}
    broker.open.set()  # too late
    assert await returned(agent, log) is None


class SlowLog(MemoryLog):
    """Takes records only while `open` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.open, self.asked = asyncio.Event(), asyncio.Event()
        self.open.set()

    async def append(self, values: Sequence[bytes]) -> list[int]:
        self.asked.set()
        await self.open.wait()
        return await super().append(values)


@pytest.mark.parametrize("under_way", [True, False])
async def test_what_comes_back_is_restored_after_the_checkpoint_that_was_on_its_way(
    monkeypatch: pytest.MonkeyPatch, under_way: bool
) -> None:
    """It would count before that of the restored table, which would take it for another worker's."""
    log, group = SlowLog(), Group()
    leave_in_time_until(log.asked, monkeypatch)
    monkeypatch.setattr("movie_stream.agents.owner.KafkaLog", lambda *_: log)
    agent = accumulate(Broker(), group, UNTIL_END)
    agent.take(0, await agent.restore(0), oldest=0, end=1)
    group.ends = {(agent.topic, 0): 2 + agent.live_within}
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    log.open.clear()
    if under_way:
        agent.owned[0].flush = agent.owned[0].checkpoint = FlushSchedule(0, 0)
        flushing = asyncio.create_task(agent._flush_if_due(0, agent.owned[0]))
        await log.asked.wait()
    await agent.leave([0])
    assert (agent.owned, agent.kept) == ({}, {})
    interrupted, restoring = (asyncio.create_task(agent.restore(0)) for _ in range(2))
    for _ in range(9):
        await asyncio.sleep(0)
    interrupted.cancel()
    assert not restoring.done()
    log.open.set()
    agent.take(0, await restoring, oldest=0, end=1)
    assert agent.finished == {0: 1}
    agent.apply(chunk_of(0, 1, [json.dumps(VIEW).encode()]))
    await agent._flush(0, agent.owned[0], leaving=True)
    assert agent.finished == {0: 2}
    if under_way:
        await flushing
    assert not agent._late


async def test_no_checkpoint_is_begun_of_a_partition_that_went() -> None:
    broker, log = Broker(), MemoryLog()
    agent = accumulate(broker, Group())
    owned = own(agent, log)
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    broker.open.clear()
    flushing = asyncio.create_task(agent._flush(0, owned, leaving=True))
    await broker.asked.wait()
    agent.drop_all()
    broker.open.set()
    await flushing
    assert (len(broker.sent) > 0, log.end) == (True, 0)


async def test_no_document_is_written_of_a_partition_that_went() -> None:
    sink = Away(times=0)
    agent = publish(Broker(), Group(), sink)
    owned = own(agent, MemoryLog())
    agent.apply(chunk_of(0, 0, partials()))
    agent.drop_all()
    await agent._flush(0, owned)
    assert sink.written == []


async def test_a_last_flush_that_fails_late_is_logged(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    group, log = Group(), SlowLog()
    leave_in_time_until(log.asked, monkeypatch)
    agent = accumulate(Broker(), group)
    own(agent, log)
    group.ends = {(agent.topic, 0): 2 + agent.live_within}
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    log.open.clear()

    async def lose(values: Sequence[bytes]) -> list[int]:
        log.asked.set()
        await log.open.wait()
        raise ConnectionError("the broker lost it")

    monkeypatch.setattr(log, "append", lose)
    await agent.leave([0])
    [late] = agent._late
    log.open.set()
    await asyncio.gather(late, return_exceptions=True)
    await asyncio.sleep(0)
    assert "a last flush failed after its partition was revoked: the broker lost it" in caplog.text
    assert not agent._late


async def test_a_foreign_record_behind_a_checkpoint_is_named_by_topic_and_partition() -> None:
    log = MemoryLog()
    agent = accumulate(Broker(), Group())
    owned = own(agent, log)
    await owned.table.restore()
    log.put(b"garbage")
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    with pytest.raises(ChangelogError, match=r"accumulate-changelog, partition 0: .* got b'garbage'"):
        await agent._flush(0, owned, leaving=True)


async def test_a_state_that_another_owner_has_overtaken_does_not_come_back() -> None:
    log = MemoryLog()
    agent = accumulate(Broker(), Group())
    await left(agent, log)
    other = Table(agent.new_state(0), log, "run")
    await other.restore()
    await other.checkpoint(other.freeze())
    assert await returned(agent, log) is None
    assert agent.kept == {}


async def test_what_goes_to_others_is_forgotten_and_its_memory_is_free() -> None:
    agent, log = accumulate(Broker(), Group()), MemoryLog()
    state = weakref.ref((await left(agent, log)).table.state)
    agent.forget_others([0])
    assert state() is not None
    agent.forget_others([1, 2])
    gc.collect()
    assert state() is None


async def test_nothing_is_applied_after_the_last_flush_has_begun() -> None:
    broker, group, log = Broker(), Group(), MemoryLog()
    agent = accumulate(broker, group)
    own(agent, log)
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    broker.open.clear()
    leaving = asyncio.create_task(agent.leave([0], ends=True))
    await asyncio.sleep(0)
    agent.apply(chunk_of(0, 1, [json.dumps(VIEW).encode()]))
    broker.open.set()
    await leaving
    assert agent.applied == 1, "the next owner counts it, and this one has not"


async def test_another_owners_checkpoint_ends_the_worker_that_still_holds_the_partition() -> None:
    broker, group, log = Broker(), Group(), MemoryLog()
    agent = accumulate(broker, group)
    owned = own(agent, log)
    other = Table(agent.new_state(0), log, "run")
    await other.restore()
    await other.checkpoint(other.freeze())
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    with pytest.raises(WorkerFailed, match="another worker has taken over"):
        await agent._flush(0, owned)
    assert group.commits == 0


async def test_who_waits_to_flush_a_partition_that_was_taken_over_writes_nothing() -> None:
    """Its partitions are revoked while a flush finds that another owner was first."""
    log = MemoryLog(one_turn)
    agent = accumulate(Broker(), Group())
    owned = own(agent, log)
    other = Table(agent.new_state(0), log, "run")
    await other.restore()
    await other.checkpoint(other.freeze())
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    flushing = asyncio.create_task(agent._flush_if_due(0, owned))
    await asyncio.sleep(0)
    leaving = asyncio.create_task(agent.leave([0], ends=True))
    with pytest.raises(WorkerFailed, match="another worker has taken over"):
        await flushing
    end = log.end
    await leaving
    assert log.end == end
    restored = Table(agent.new_state(0), log, "run")
    await restored.restore()
    assert restored.state.position == other.state.position


async def test_mongodb_away_holds_nothing_up_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.agents.mongo_requests.RETRY_AT_FIRST_S", 0.001)
    broker, group, log, sink = Broker(), Group(), MemoryLog(), Away(times=3)
    agent = publish(broker, group, sink)
    owned = own(agent, log)
    messages = partials()
    agent.apply(chunk_of(0, 0, messages))
    await agent._flush(0, owned)
    assert {document.collection for document in sink.written} == {
        *("movies_aggregates", "top_movies", "top_movies_daily", "top_movies_all_time", "category_stats"),
        *("active_users", "hourly_metrics", "daily_stats", "top_users", "data_quality"),
    }
    assert agent.finished == {0: len(messages)}


class SlowAtFirst(Away):
    """A sink whose first write waits until it is released."""

    def __init__(self) -> None:
        super().__init__(times=0)
        self.waits, self.released, self.took_another = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def write(self, documents: Sequence[Any]) -> WriteReport:
        if self.waits.is_set():
            self.took_another.set()
        else:
            self.waits.set()
            await self.released.wait()
        return await super().write(documents)


async def test_a_flush_that_waits_holds_up_no_other_partition() -> None:
    sink = SlowAtFirst()
    group = Group()
    agent = publish(Broker(), group, sink)
    for partition in (0, 1):
        agent.take(partition, Table(agent.new_state(partition), MemoryLog(), "run"), oldest=0, end=100)
    async with asyncio.timeout(30):
        flushes = asyncio.create_task(agent.run_flushes())
        agent.apply(chunk_of(0, 0, partials()))
        await sink.waits.wait()
        agent.apply(chunk_of(1, 0, partials()))
        await sink.took_another.wait()
        sink.released.set()
        while not all(map(agent.idle, agent.owned.values())):
            group.committed.clear()
            await group.committed.wait()
        flushes.cancel()
        await asyncio.wait([flushes])
    assert agent.finished == {partition: len(partials()) for partition in (0, 1)}


async def test_a_flush_that_fails_ends_the_flushes_with_its_error() -> None:
    agent = accumulate(Broker(), Group())
    log = MemoryLog()
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=100)
    other = Table(agent.new_state(0), log, "run")
    await other.restore()
    await other.checkpoint(other.freeze())
    agent.apply(chunk_of(0, 0, [json.dumps(VIEW).encode()]))
    with pytest.raises(WorkerFailed, match="another worker has taken over"):
        await asyncio.wait_for(agent.run_flushes(), 30)


@pytest.mark.parametrize("checkpoint", [False, True])
async def test_a_flush_ends_when_its_partition_goes_while_mongodb_is_away(
    monkeypatch: pytest.MonkeyPatch, checkpoint: bool
) -> None:
    monkeypatch.setattr("movie_stream.agents.mongo_requests.RETRY_AT_FIRST_S", 0.001)
    monkeypatch.setattr("movie_stream.agents.owner.LEAVE_WITHIN_S", 0.01)
    broker, group, log, sink = Broker(), Group(), MemoryLog(), Away(times=10**9)
    agent = publish(broker, group, sink)
    messages = partials()
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=len(messages))
    owned = own(agent, log) if checkpoint else agent.owned[0]
    agent.apply(chunk_of(0, 0, messages))
    async with owned.lock:
        flushing = asyncio.create_task(agent._flush(0, owned))
        await agent.leave([0], ends=True)
    await flushing
    assert log.end == 0
    assert agent.finished == {}


async def test_too_many_waiting_documents_pause_the_partition_until_they_are_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("movie_stream.agents.publish.DIRTY_AT_MOST", 3)
    broker, group, log, sink = Broker(), Group(), MemoryLog(), Away(times=0)
    agent = publish(broker, group, sink)
    messages = partials()
    group.ends[TOPICS.partials, 0] = 1_000  # a backlog: without a pause, documents of open windows would wait
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=1_000)
    owned = agent.owned[0]
    agent.apply(chunk_of(0, 0, messages))
    assert group.paused == [(0, True)]
    await agent._flush(0, owned)
    assert group.paused == [(0, True), (0, False)]
    assert (log.end, len(owned.table.state.dirty)) == (0, 0)
    assert sink.written


async def test_rows_that_are_new_are_bounded_until_they_are_sent_and_what_is_over_is_dropped_unsaved(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "ROWS_AT_MOST", 30)
    group, log = Group(), MemoryLog()
    agent = accumulate(Broker(), group)
    agent.take(0, Table(agent.new_state(0), log, "run"), oldest=0, end=9)
    owned = agent.owned[0]
    days = [json.dumps(VIEW | {"timestamp": VIEW["timestamp"] + day * 86_400_000}).encode() for day in range(9)]
    agent.apply(chunk_of(0, 0, days[:2]))
    assert (group.paused, agent.urgent(0)) == ([], False)
    agent.apply(chunk_of(0, 2, days[2:]))
    assert (group.paused, agent.urgent(0)) == ([(0, True)], True)
    rows = owned.table.state.rows_of_figures
    await agent._flush(0, owned)
    assert (group.paused, agent.urgent(0)) == ([(0, True), (0, False)], False)
    assert owned.table.state.rows_of_figures < rows / 2
    agent.apply(chunk_of(0, 9, days[-1:]))
    assert not agent.urgent(0), "the rows that are left do not count again"
    await agent._flush(0, owned, leaving=True)
    restored = Table(agent.new_state(0), log, "run")
    await restored.restore()
    assert restored.state.rows_of_figures == owned.table.state.rows_of_figures
    saved = [decode(value) for value in log.get(0, log.end)]
    starts = {
        start
        for entry in saved
        if isinstance(entry, EntryRecord)
        and isinstance(block := accumulator_module._DECODER.decode(entry.payload), Block)
        and block.collection == "movies_aggregates"
        for start in np.frombuffer(block.starts, np.int64).tolist()
    }
    assert starts == {VIEW["timestamp"] // 60_000 * 60_000 + day * 86_400_000 for day in (7, 8)}


async def test_dead_letters_are_bounded_by_their_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LETTER_BYTES_AT_MOST", 1_000)
    broker, group, log = Broker(), Group(), MemoryLog()
    agent = accumulate(broker, group)
    owned = own(agent, log)
    agent.apply(chunk_of(0, 0, [b"x" * 400, b"y" * 400]))
    assert (group.paused, agent.urgent(0)) == ([], False)
    agent.apply(chunk_of(0, 2, [b"z" * 400]))
    agent.apply(chunk_of(0, 3, [b"z" * 400]))
    assert (group.paused, agent.urgent(0)) == ([(0, True)], True)
    await agent._flush(0, owned)
    assert [value[:1] for value in broker.letters] == [b"x", b"y", b"z", b"z"]
    assert (group.paused, agent.urgent(0)) == ([(0, True), (0, False)], False)
