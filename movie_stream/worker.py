"""One worker: its connections, the run it belongs to, and the partitions its two agents own."""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from datetime import timedelta
from time import monotonic
from typing import Any, Final

import numpy as np
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError
from faust.types import TP

from movie_stream.agents.accumulate import Accumulate
from movie_stream.agents.owner import LEAVE_WITHIN_S, Owner
from movie_stream.agents.publish import Publish
from movie_stream.aggregates.accumulator import Rules
from movie_stream.aggregates.results import RESULTS
from movie_stream.errors import BrokerRefused, BrokerUnreachable, RunMismatch, WorkerFailed
from movie_stream.event import MICRO
from movie_stream.kafka import client, offsets, topics
from movie_stream.kafka.log import Broker
from movie_stream.kafka.topics import Topics, Topology
from movie_stream.mongo import runs
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.sink import Sink
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)

FORMAT: Final = 2
"""Of what stands in changelogs, partials and `_partials`; another format is another run."""


REPORT_EVERY_S: Final = 5.0
WATCH_EVERY_S: Final = 5.0
BROKER_AWAY_AT_MOST_S: Final = 45.0
"""A broker that restarts is back by then; a worker that ends is started again by whoever runs it."""


class FaustGroup:
    """The consumer group behind Faust's consumer; see agents.group.Group."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._committing: asyncio.Task[Any] | None = None

    def commit_soon(self) -> None:
        """Starts a commit unless one is under way; Faust's timer takes along what came meanwhile."""
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._consumer.commit())

    def highwater(self, topic: str, partition: int) -> int | None:
        place = TP(topic, partition)
        return self._consumer.highwater(place) if place in self._consumer.assignment() else None

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        place = {TP(topic, partition)}
        (self._consumer.pause_partitions if paused else self._consumer.resume_partitions)(place)

    async def settle(self) -> None:
        """Waits for the commit that is under way, for a bounded time."""
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=LEAVE_WITHIN_S)


def rules_of(settings: Settings) -> Rules:
    """The settings that change figures, in the units of the core."""
    return Rules(
        allowed_lateness_ms=settings.allowed_lateness // timedelta(milliseconds=1),
        future_tolerance_ms=settings.future_tolerance // timedelta(milliseconds=1),
        session_gap_ms=settings.session_gap // timedelta(milliseconds=1),
        timezone=settings.timezone,
        revenue_per_view_micro=int(np.rint(settings.revenue_per_view * MICRO)),
    )


def fingerprint(settings: Settings, topology: Topology) -> dict[str, Any]:
    """All that figures depend on besides the log: a run is the counting of one log under one of these."""
    names = Topics.of(settings)
    results = repr([(of.collection, of.window, of.grouped_by, of.prefix, of.fields, of.held) for of in RESULTS])
    return {
        "format": FORMAT,
        "topic": topology.identity,
        "partitions": topology.partitions[names.events],
        "partials_partitions": topology.partitions[names.partials],
        **{name.upper(): value for name, value in asdict(rules_of(settings)).items()},
        "results": hashlib.sha256(results.encode()).hexdigest()[:16],
    }


def changes(run: runs.Run, ours: Mapping[str, Any]) -> str:
    """What a run counts otherwise than we would, as "X was 3, is 4; ..."; empty where it is the same."""
    return "; ".join(
        f"{name} was {run.fingerprint.get(name)}, is {ours.get(name)}"
        for name in sorted(ours.keys() | run.fingerprint.keys())
        if run.fingerprint.get(name) != ours.get(name)
    )


async def open_run(settings: Settings, db: Database, topology: Topology) -> runs.Run:
    """The run that counts. Raises RunMismatch if it counts something else than we would."""
    ours = fingerprint(settings, topology)
    run = await runs.open_run(db, settings.kafka_group, ours)
    if changed := changes(run, ours):
        raise RunMismatch(where=f"what stands in MongoDB ({settings.mongodb_database})", what=changed)
    return run


@dataclass(frozen=True, slots=True)
class Tally:
    """What a worker has done since it was started."""

    events: int = 0
    """Records of `movie-events`, the bad and late ones among them."""
    bad: int = 0
    late: int = 0
    documents: int = 0
    """Documents inserted or replaced."""

    def since(self, before: Tally, seconds: float) -> str:
        """In a line what it is now, and at which speed it came from `before`.

        >>> Tally(1_250_000, 3, 1, 2_100).since(Tally(1_000_000, 3, 0, 2_000), seconds=5)
        'counted 1,250,000 events (50,000/s), 3 bad, 1 late; 20 documents/s'
        """
        events, documents = (self.events - before.events) / seconds, (self.documents - before.documents) / seconds
        return (
            f"counted {self.events:,} events ({events:,.0f}/s), {self.bad:,} bad, {self.late:,} late; "
            f"{documents:,.0f} documents/s"
        )

    def __str__(self) -> str:
        return (
            f"counted {self.events:,} events, {self.bad:,} bad, {self.late:,} late; wrote {self.documents:,} documents"
        )


class Worker:
    """Starts, hands chunks to the agents, restores what is assigned, flushes what goes, and says what is finished."""

    accumulate: Accumulate
    publish: Publish

    def __init__(self, settings: Settings) -> None:
        self.settings, self.topics = settings, Topics.of(settings)
        self._stack = AsyncExitStack()
        self.told = asyncio.Event()
        """Set once the group knows how far the partitions that this worker was given are counted in this run."""

    async def start(self, consumer: Any) -> None:
        """Connects and finds the run. Raises what the settings, the broker or MongoDB make impossible."""
        self._group = FaustGroup(consumer)
        self._topology = await topics.describe(self.settings)
        if wrong := topics.disagreements(self.settings, self._topology.partitions):
            raise BrokerRefused(
                doing="checking the topics",
                cause="; ".join(wrong),
                remedy="delete these topics, and make them anew with: movie-stream init",
            )
        db = await self._stack.enter_async_context(opened(self.settings))
        run = await open_run(self.settings, db, self._topology)
        producer = await client.start_producer(self.settings, linger_ms=5, max_batch_size=1 << 20)
        self._stack.push_async_callback(producer.stop)
        self._admin = await self._stack.enter_async_context(client.admin(self.settings))
        broker = Broker(self.settings, producer, self._admin)
        text = f"{run.number}:{hashlib.sha256(json.dumps(run.fingerprint, sort_keys=True).encode()).hexdigest()[:16]}"
        rules = rules_of(self.settings)
        self.accumulate = Accumulate(broker, self.topics, self._topology, rules, text, run.number, self._group)
        self.publish = Publish(
            broker,
            self.topics,
            self._topology,
            rules.allowed_lateness_ms,
            text,
            run.number,
            self._group,
            Sink(db),
            PartialsStore(db),
        )
        logger.info(
            "run %s of %s, %s partitions", run.number, self.topics.events, self._topology.partitions[self.topics.events]
        )

    @property
    def _owners(self) -> tuple[tuple[str, Owner[Any]], ...]:
        """None before the start."""
        if not hasattr(self, "accumulate"):
            return ()
        return (self.topics.events, self.accumulate), (self.topics.partials, self.publish)

    async def restore(self, assigned: set[TP]) -> dict[TP, int]:
        """Loads the state of what was assigned; where to go on. The topics must still be what they were."""
        topology = await topics.describe(self.settings)
        if topology != self._topology:
            raise RunMismatch(where="this worker", what=f"the topics were {self._topology}, are {topology}")
        owners, places = dict(self._owners), sorted(assigned)
        for owner in owners.values():
            owner.drop_all()
        asked = [TopicPartition(tp.topic, tp.partition) for tp in places]
        async with client.reader(self.settings) as reader:
            # Beginnings before the restore, ends after it: an owner who still goes on deletes what it has finished, but
            # not before the checkpoint that says so counts; and no position is past these ends.
            with client.explained(self.settings, "asking for offsets"):
                oldest = await offsets.beginnings(reader, asked)
            tables = await asyncio.gather(*(owners[tp.topic].restore(tp.partition) for tp in places))
            with client.explained(self.settings, "asking for offsets"):
                ends = await offsets.ends(reader, asked)
        positions = {
            tp: owners[tp.topic].take(tp.partition, table, oldest[at], ends[at])
            for tp, table, at in zip(places, tables, asked, strict=True)
        }
        self._group.commit_soon()  # what the group was told last may be of another run
        self._telling = asyncio.create_task(self._tell())
        return positions

    async def _tell(self) -> None:
        await self._group.settle()
        self.told.set()

    async def release(self, revoked: set[TP]) -> None:
        """Flushes what is taken from us, for a bounded time, and drops its state."""
        for topic, owner in self._owners:
            await owner.leave([tp.partition for tp in revoked if tp.topic == topic])

    def finished(self) -> dict[TP, int]:
        """Up to where everything is in a checkpoint that counts."""
        return {TP(topic, p): offset for topic, owner in self._owners for p, offset in owner.finished.items()}

    async def watch(self) -> None:
        """Raises WorkerFailed when an assigned partition has records to read but does not move, and
        BrokerUnreachable when the broker has been away for too long.
        """
        heard_s = monotonic()
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                async with asyncio.timeout(WATCH_EVERY_S):
                    await self._admin.describe_cluster()
                heard_s = monotonic()
            except (KafkaError, OSError, TimeoutError) as error:
                if monotonic() - heard_s > BROKER_AWAY_AT_MOST_S:
                    raise BrokerUnreachable(servers=self.settings.require_broker(), cause=error) from error
            for topic, owner in self._owners:
                stalled = owner.stalled()
                if stalled is not None:
                    raise WorkerFailed(what=f"{topic}, partition {stalled}, is assigned but does not move")

    async def flush(self) -> None:
        """Runs the flushes of both agents, for ever."""
        await asyncio.gather(*(owner.flush_for_ever() for _, owner in self._owners))

    async def release_all(self) -> None:
        """Flushes all that is owned, for a bounded time, and drops its state."""
        for _, owner in self._owners:
            await owner.leave(list(owner.owned))
            await self._group.settle()

    @property
    def tally(self) -> Tally:
        """What has been done so far."""
        if not self._owners:
            return Tally()
        refused = self.accumulate.refused
        return Tally(self.accumulate.applied, refused["bad"], refused["late"], self.publish.written)

    async def report(self) -> None:
        """Says every few seconds how it goes, while there is something to do."""
        before, before_s = self.tally, monotonic()
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            now, now_s = self.tally, monotonic()
            if now != before:
                logger.info("%s", now.since(before, now_s - before_s))
            before, before_s = now, now_s

    async def stop(self) -> None:
        """Disconnects."""
        logger.info("stops; %s", self.tally)
        await self._stack.aclose()
