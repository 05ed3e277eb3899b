"""One worker: its connections, the run it belongs to, and the partitions its two agents own."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from math import inf
from time import monotonic
from typing import Any, Final, NoReturn

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import InconsistentGroupProtocolError
from faust.types import TP

from movie_stream.agents.accumulate import Accumulate
from movie_stream.agents.metrics import Figures, PartitionFigures
from movie_stream.agents.owner import LIVE, UNTIL_END, Owner
from movie_stream.agents.publish import Publish
from movie_stream.embedded.broker import CLUSTER_PREFIX
from movie_stream.errors import (
    BrokerForbids,
    BrokerRefused,
    BrokerUnreachable,
    LogTruncated,
    MovieStreamError,
    RunMismatch,
    TopicMissing,
    WorkerFailed,
)
from movie_stream.events.moment import datetime_of
from movie_stream.events.reasons import summed
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client, permissions, topics
from movie_stream.kafka.cluster.access import user_of
from movie_stream.kafka.cluster.diagnosis import why_closed, why_silent
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.kafka.group import members
from movie_stream.kafka.group.group_state import REMEDY, describe_group
from movie_stream.kafka.log import Broker
from movie_stream.mongo import runs, workers
from movie_stream.mongo.client import opened
from movie_stream.mongo.failures import MongoAway, MongoFailed
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.sink import Sink
from movie_stream.runs import claims
from movie_stream.runs.fingerprint import changes, fingerprint, open_run, rules_of, text_of
from movie_stream.runs.progress import ASK_EVERY_S
from movie_stream.settings import Settings
from movie_stream.tables.table import State

logger = logging.getLogger(__name__)

BATCH_BYTES: Final = 1 << 20
"""Of what is written at a time to a partition, where its topic takes so much."""
APPLIED_WITHIN_S: Final = 10.0
"""The longest that records which were fetched before one that cannot be read wait for their turn."""
TOLD_WITHIN_S: Final = 0.5
"""The longest that leaving waits for the group's last commit."""
REPORT_EVERY_S: Final = 5.0
WATCH_EVERY_S: Final = 5.0
LOOK_EVERY_S: Final = 0.5
ANSWER_WITHIN_S: Final = 10.0
ALL_KNOWN_WITHIN_S: Final = 10.0
ASK_AGAIN_S: Final = 0.5
HELD_BY_OTHERS_AT_MOST_S: Final = 8.0
"""A worker that is to end at the end, and has nothing to do, waits so long for what a stranger in the group holds."""
BROKER_AWAY_AT_MOST_S: Final = 45.0
"""A broker that restarts is back by then; a worker that ends is started again by whoever runs it."""
STARVED_AFTER_S: Final = 60.0
"""Where all members live, a rebalance is over by then: it is their rebalance timeout."""
STARVED_AT_MOST_S: Final = 180.0
"""The longest that a worker waits for its share of the partitions if it is to end at the end."""
OPEN_SAID_AFTER_S: Final = 60.0
"""A transaction that is still open then is worth a line of a worker's log: it is the longest by default in Kafka's own
clients."""
SAID_AGAIN_AFTER_S: Final = 300.0


class FaustGroup:
    """The consumer group behind Faust's consumer; see agents.group.Group."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._committing: asyncio.Task[Any] | None = None
        self._uncommitted = False
        self.committed = asyncio.Event()
        """Set after each commit that was tried."""

    def commit_soon(self) -> None:
        """Starts a commit; if one is under way, another one after it takes along what came meanwhile."""
        self._uncommitted = True
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())

    async def _commit(self) -> None:
        while self._uncommitted:
            self._uncommitted = False
            await self._consumer.commit()
            self.committed.set()

    def end(self, topic: str, partition: int) -> int | None:
        place = TP(topic, partition)
        return self._consumer.end(place) if place in self._consumer.assignment() else None

    def written(self, topic: str, partition: int) -> int | None:
        """Up to where it is written, as the last fetch told it: further than its end where a transaction is open."""
        place = TP(topic, partition)
        return self._consumer.written(place) if place in self._consumer.assignment() else None

    @property
    def waiting_s(self) -> float:
        """How long it has not come to the end of a rebalance, in seconds; 0 once this worker has its share, if only of
        nothing.
        """
        waiting_s: float = self._consumer.waiting_s
        return waiting_s

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        place = {TP(topic, partition)}
        (self._consumer.pause_partitions if paused else self._consumer.resume_partitions)(place)

    def refusal(self) -> BaseException | None:
        """Why it does not take us, if it does not."""
        refusal: BaseException | None = self._consumer.refusal()
        return refusal

    async def settle(self) -> None:
        """Waits for the commit that is under way, for a bounded time."""
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=TOLD_WITHIN_S)


@dataclass(frozen=True, slots=True)
class Tally:
    """What a worker has done since it was started."""

    events: int = 0
    """Records of `movie-events`, whatever became of them."""
    bad: int = 0
    late: int = 0
    again: int = 0
    """Copies of refused records of which one counts already."""
    documents: int = 0
    """Documents inserted or replaced."""

    def since(self, before: Tally, seconds: float) -> str:
        """In a line what it is now, and at which speed it came from `before`.

        >>> Tally(1_250_000, 3, 1, documents=2_100).since(Tally(1_000_000, 3, documents=2_000), seconds=5)
        'read 1,250,000 events (50,000/s): 1,249,996 counted, 3 bad, 1 late; 20 documents/s'
        """
        events, documents = (self.events - before.events) / seconds, (self.documents - before.documents) / seconds
        return f"read {self.events:,} events ({events:,.0f}/s): {self._verdicts}; {documents:,.0f} documents/s"

    def __str__(self) -> str:
        return f"read {self.events:,} events: {self._verdicts}; wrote {self.documents:,} documents"

    @property
    def counted(self) -> int:
        """Views that are in the results."""
        return self.events - self.bad - self.late - self.again

    @property
    def _verdicts(self) -> str:
        again = f", {self.again:,} copies of what counts already" if self.again else ""
        return f"{self.counted:,} counted, {self.bad:,} bad, {self.late:,} late{again}"


class Worker:
    """Starts, hands chunks to the agents, restores what is assigned, flushes what goes, and says what is finished."""

    accumulate: Accumulate
    publish: Publish

    def __init__(self, settings: Settings) -> None:
        self.settings, self.topics = settings, Topics.of(settings)
        self._stack = AsyncExitStack()
        self.cadence = LIVE
        """Of both agents; to be set before the start."""
        self.patience_s = inf
        """How long it waits for its share of the partitions before it ends."""
        self._starved_after_s = STARVED_AFTER_S
        """After how long a wait it is said that there is no share."""
        self.told = asyncio.Event()
        """Set once the group knows how far the partitions that this worker was given are counted in this run."""
        self._changed = False
        """Whether the topics were others than ours when they were looked at last."""
        self.broker_lost = False
        """Whether no broker answers, as far as is known."""
        self._state: workers.WorkerState = "starting"
        self._unsaved_said_again_s = 0.0
        self._open_since_s = dict[tuple[TopicPartition, int], float]()
        """Since when a transaction has been seen to be open, by its place and first offset; `inf` once it is said."""

    async def start(self, consumer: Any) -> None:
        """Connects and finds the run. Raises what the settings, the broker or MongoDB make impossible."""
        self._group = FaustGroup(consumer)
        self._admin = await self._stack.enter_async_context(client.admin(self.settings))
        self._topology = await topics.describe(self.settings)
        await self._check_permissions()
        if wrong := topics.disagreements(self.settings, self._topology.partitions):
            raise BrokerRefused(
                doing="checking the topics",
                cause="; ".join(wrong),
                remedy="delete these topics, and make them anew with: movie-stream init",
            )
        self._db = db = await self._stack.enter_async_context(opened(self.settings))
        await self._check_claims()
        self._run = run = await open_run(self.settings, db, self._topology)
        self._heartbeat = workers.Heartbeat(db, self._standing)
        broker = await self._broker_for_writing()
        text = text_of(run)
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
        self.accumulate.cadence = self.publish.cadence = self.cadence
        await self._claim(broker.producer)
        logger.info(
            "run %s of %s, %s partitions", run.number, self.topics.events, self._topology.partitions[self.topics.events]
        )

    async def _broker_for_writing(self) -> Broker:
        """Connections that send no batch that is larger than its topic takes. Raises BrokerRefused."""
        with client.explained(self.settings, "asking how large records may be"):
            limits = await topics.limits(self._admin, self.topics.written)
        topics.insist_on_limits(self.topics, limits)
        known = [limit for limit in limits.values() if limit is not None]
        batch_bytes = min([BATCH_BYTES, *known])
        producer = await client.start_producer(self.settings, linger_ms=5, max_batch_size=batch_bytes)
        self._stack.push_async_callback(client.stop_producer, producer)
        embedded = self._topology.identities[self.topics.events].startswith(CLUSTER_PREFIX)
        # Tansu closes the connection when it is asked to delete records.
        broker = Broker(self.settings, producer, self._admin, limits, deletes=not embedded)
        self._stack.push_async_callback(broker.large.stop)
        return broker

    async def _check_permissions(self) -> None:
        """Raises BrokerForbids: Faust would go on without what it may not read, and say nothing."""
        with client.explained(self.settings, "asking what is allowed"):
            lacking = await permissions.lacking(self._admin, self.topics.needs)
            lacking += await permissions.lacking_on_group(self._admin, self.settings.kafka_group)
        if lacking:
            raise BrokerForbids(user=user_of(self.settings), what=lacking)

    async def _check_claims(self) -> None:
        """Raises TopicsShared or DatabaseShared where another deployment uses what is ours; before a run is begun.

        Whether the topic of the views is one of views, its records say when they are counted.
        """
        await workers.insist_on_no_other_group(self._db, self.settings.kafka_group)
        ours = await runs.claim_of(self._db, self.settings.kafka_group)
        async with client.reader(self.settings) as reader:
            self._claims = await claims.check(self.settings, reader, ours, self.topics.deleted)

    async def _claim(self, producer: AIOKafkaProducer) -> None:
        """Says whose the topics are, where that is not said yet of this run."""
        ours = await runs.claim_of(self._db, self.settings.kafka_group)
        there = self._claims.get(self.topics.partials)
        if there is None or there.claim.run != ours.run:
            there = (await claims.claim(self.settings, producer, ours))[self.topics.partials]
        self.accumulate.claim = self.publish.claim = ours
        self.publish.claimed_at = there.offset

    @property
    def _owners(self) -> tuple[tuple[str, Owner[Any]], ...]:
        """None before the start."""
        if not hasattr(self, "accumulate"):
            return ()
        return (self.topics.events, self.accumulate), (self.topics.partials, self.publish)

    async def restore(self, assigned: set[TP]) -> dict[TP, int]:
        """Loads the state of what was assigned; where to go on. The topics must still be what they were."""
        await self._look_at_topics()
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
            reached = {at: table.state.position for at, table in zip(asked, tables, strict=True)}
            ends = await self._ends(reader, reached)
        try:
            positions = {
                tp: owners[tp.topic].take(tp.partition, table, oldest[at], ends[at])
                for tp, table, at in zip(places, tables, asked, strict=True)
            }
        except LogTruncated as error:  # once it is filled again, nobody would notice
            await runs.invalidate(self._db, self._run, self.settings.kafka_group, str(error))
            raise
        self._turned("running" if positions else "waiting for partitions")
        self._group.commit_soon()  # what the group was told last may be of another run
        self._telling = asyncio.create_task(self._tell())
        return positions

    async def group_told(self) -> None:
        """Waits until the group was told more since the last call, for a bounded time: others may have told it."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ASK_EVERY_S):
                await self._group.committed.wait()
        self._group.committed.clear()

    async def _tell(self) -> None:
        await self._group.settle()
        self.told.set()

    async def _ends(self, reader: AIOKafkaConsumer, reached: Mapping[TopicPartition, int]) -> offsets.Offsets:
        """Where partitions end. A broker that has just become the leader may for a moment not know all that it has."""
        deadline_s = monotonic() + ALL_KNOWN_WITHIN_S
        while True:
            with client.explained(self.settings, "asking for offsets"):
                ends = await offsets.ends(reader, list(reached))
            if monotonic() > deadline_s or all(ends[at] >= position for at, position in reached.items()):
                return ends
            await asyncio.sleep(ASK_AGAIN_S)

    async def _look_at_topics(self) -> None:
        """Raises RunMismatch or TopicMissing where they are not what they were when this worker was started."""
        now = await topics.describe(self.settings, self._admin)
        if changed := changes(self._run, fingerprint(self.settings, now)):
            raise RunMismatch(where="what this worker counts", what=changed)

    async def refuse(self, error: MovieStreamError, given: Mapping[TP, int]) -> NoReturn:
        """Raises the error, for which no more can be read, once what was given before it is in a checkpoint: the
        remedy may be to delete it. Both waits are bounded.
        """
        deadline_s = monotonic() + APPLIED_WITHIN_S
        while not self._applied(given):
            if monotonic() > deadline_s:
                break
            await asyncio.sleep(0.01)
        await self.release_all()
        raise error

    def _applied(self, given: Mapping[TP, int]) -> bool:
        """Whether the tables that are owned stand at these positions."""
        owners = dict(self._owners)
        held = ((owners[tp.topic].owned.get(tp.partition), position) for tp, position in given.items())
        return all(owned is None or owned.table.state.position >= position for owned, position in held)

    async def release(self, revoked: set[TP]) -> None:
        """Flushes what is taken from us, for a bounded time, and drops its state."""
        await asyncio.gather(
            *(owner.leave([tp.partition for tp in revoked if tp.topic == topic]) for topic, owner in self._owners)
        )
        self.given_nothing()

    def given_nothing(self) -> None:
        """The group has no partition for us at the moment."""
        if self._state != "stopping":
            self._turned("waiting for partitions")

    def finished(self) -> dict[TP, int]:
        """Up to where everything is in a checkpoint that counts."""
        return {TP(topic, p): offset for topic, owner in self._owners for p, offset in owner.finished.items()}

    async def watch(self) -> None:
        """Raises WorkerFailed when an assigned partition has records to read but does not move, or when no partitions
        come for longer than this worker waits for them, BrokerUnreachable or BrokerClosed when the broker has been away
        for too long, BrokerForbids or BrokerRefused when the group does not take us, RunMismatch or TopicMissing when
        topics are changed under the worker.
        """
        heard_s = monotonic()
        while True:
            await self._until_due_or_disconnected()
            if await self._broker_answers():
                heard_s = monotonic()
            elif monotonic() - heard_s > BROKER_AWAY_AT_MOST_S:
                raise await why_closed(self.settings)
            await self._say_whether_broker_answers(heard_s)
            await self._look_at_run()
            await self._look_at_refusal()
            await self._look_at_share()
            self._look_at_checkpoints()
            self._look_at_transactions()
            for topic, owner in self._owners:
                stalled = owner.stalled()
                if stalled is not None:
                    raise WorkerFailed(what=f"{topic}, partition {stalled}, is assigned but does not move")

    async def _look_at_share(self) -> None:
        """Says now and then that this worker is given no share of the partitions, if the broker answers; raises
        WorkerFailed at the end of its patience. More workers than partitions are no reason: their share is nothing.
        """
        waiting_s = self._group.waiting_s
        if waiting_s < STARVED_AFTER_S:
            self._starved_after_s = STARVED_AFTER_S
        if waiting_s < min(self._starved_after_s, self.patience_s):
            return
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                group = await describe_group(self.settings, self._admin)
        except (BrokerRefused, BrokerUnreachable, TimeoutError):
            return  # that the broker is away is looked at elsewhere
        what = f"it has been given no partitions for {waiting_s:.0f} s"
        cause = f"the group {self.settings.kafka_group}: {group}; likely, {group.why_nothing_is_shared_out}"
        if waiting_s >= self.patience_s:
            raise WorkerFailed(what=what, cause=cause, remedy=REMEDY)
        logger.warning("this worker waits: %s (%s); %s", what, cause, REMEDY)
        self._starved_after_s = waiting_s + SAID_AGAIN_AFTER_S

    def _look_at_checkpoints(self) -> None:
        """Says now and then that a partition moves, but has no checkpoint, and why."""
        for topic, owner in self._owners:
            found = owner.unsaved()
            if found is None or monotonic() < self._unsaved_said_again_s:
                continue
            partition, since_s, why = found
            logger.warning(
                "%s, partition %s, has had no checkpoint for %.0f s: waits %s; nothing is lost",
                *(topic, partition, since_s, why or "for its turn"),
            )
            self._unsaved_said_again_s = monotonic() + SAID_AGAIN_AFTER_S

    def _look_at_transactions(self) -> None:
        """Says once of each transaction that it stays open, and keeps what stands behind it from being counted."""
        held = {
            offsets.Held(TopicPartition(topic, partition), end, written - end)
            for topic, owner in self._owners
            for partition in owner.owned
            if (end := self._group.end(topic, partition)) is not None
            and (written := self._group.written(topic, partition)) is not None
            and end < written
        }
        now_s = monotonic()
        since_s = {(of.place, of.offset): self._open_since_s.get((of.place, of.offset), now_s) for of in held}
        for_long = [of for of in held if now_s - since_s[of.place, of.offset] > OPEN_SAID_AFTER_S]
        if for_long:
            logger.warning("%s; %s", offsets.said_of(sorted(for_long)), offsets.ENDED_BY)
        said = {(of.place, of.offset): inf for of in for_long}
        self._open_since_s = since_s | said

    async def _until_due_or_disconnected(self) -> None:
        """Returns when it is time to ask the broker again, and at once when it is found to have hung up."""
        for _ in range(round(WATCH_EVERY_S / LOOK_EVERY_S)):
            await asyncio.sleep(LOOK_EVERY_S)
            if not self.broker_lost and not self._admin.connected:
                return

    async def _say_whether_broker_answers(self, heard_s: float) -> None:
        """Once when it is lost, and once when it is back."""
        answers = monotonic() - heard_s < LOOK_EVERY_S
        if answers and self.broker_lost:
            logger.info("the broker at %s answers again", self.settings.require_broker())
            self.broker_lost = False
        elif not answers and not self.broker_lost and (why := await why_silent(self.settings)):
            logger.warning(
                "the broker at %s does not answer (%s): tries again for %.0f s, nothing is lost",
                *(self.settings.require_broker(), why, BROKER_AWAY_AT_MOST_S),
            )
            self.broker_lost = True

    async def look_at_group(self) -> None:
        """Names once who is in the group without being a worker, for ever.

        Raises WorkerFailed where such a one keeps a worker from the end at which it is to end.
        """
        named: list[members.Member] = []
        idle_s, before = monotonic(), self.tally
        while True:
            await asyncio.sleep(WATCH_EVERY_S)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    found = await self._strangers()
            except (BrokerRefused, BrokerUnreachable, TimeoutError):
                continue  # the watch deals with that
            if found and found != named:
                logger.warning("%s; %s", members.complaint(self.settings, found), members.REMEDY)
            elif named and not found:
                logger.info("in the group %s there are only workers now", self.settings.kafka_group)
            if not found or self.tally != before:
                idle_s, before = monotonic(), self.tally
            elif self.cadence is UNTIL_END and monotonic() - idle_s > HELD_BY_OTHERS_AT_MOST_S:
                raise WorkerFailed(what=members.complaint(self.settings, found), remedy=members.REMEDY)
            named = found

    async def _strangers(self) -> list[members.Member]:
        return members.strangers(self.settings, await members.members_of(self.settings, self._admin))

    async def _look_at_refusal(self) -> None:
        """Raises why the group does not take us, if it does not; whoever is no worker there may be the cause."""
        refusal = self._group.refusal()
        if refusal is None:
            return
        if isinstance(refusal, InconsistentGroupProtocolError) and (found := await self._strangers()):
            cause = f"the others there share out partitions in another way; {members.complaint(self.settings, found)}"
            raise BrokerRefused(doing=self._joining, cause=cause, remedy=members.REMEDY) from refusal
        with client.explained(self.settings, self._joining):
            raise refusal

    @property
    def _joining(self) -> str:
        return f"joining the group {self.settings.kafka_group}"

    async def _look_at_run(self) -> None:
        """Raises RunMismatch where MongoDB, if it answers, no longer has the run that we count."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                run = await runs.current(self._db, self.settings.kafka_group)
        except (MongoAway, MongoFailed, TimeoutError):
            return  # whoever writes deals with that
        if run is None or run.number != self._run.number:
            now = f"run {run.number}" if run else "none: was the database deleted?"
            raise RunMismatch(where="what this worker counts", what=f"it was run {self._run.number}, is {now}")

    async def _broker_answers(self) -> bool:
        """Whether it does, and the topics are what they were. Raises RunMismatch, TopicMissing, BrokerForbids."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                await self._look_at_topics()
        except (RunMismatch, TopicMissing):
            if self._changed:  # twice: a broker that is just starting may not know all of its topics yet
                raise
            self._changed = True
            return True
        except (BrokerRefused, BrokerUnreachable, TimeoutError):
            return False
        self._changed = False
        return True

    async def flush(self) -> None:
        """Runs the flushes of both agents, for ever."""
        await asyncio.gather(*(owner.flush_for_ever() for _, owner in self._owners))

    async def release_all(self) -> None:
        """Flushes all that is owned, for a bounded time, and drops its state."""
        if not self._owners:
            return
        self._turned("stopping")
        if not await self._broker_reachable():
            logger.warning(
                "the broker at %s does not answer: ends without a last checkpoint; nothing is lost, the next "
                "start goes on at the one before",
                self.settings.require_broker(),
            )
            self.broker_lost = True
            for _, owner in self._owners:
                owner.drop_all()
            return
        await asyncio.gather(*(owner.leave(list(owner.owned)) for _, owner in self._owners))
        await self._group.settle()

    async def _broker_reachable(self) -> bool:
        """Whether it is worth while to try a last flush."""
        if self.broker_lost:
            return False
        try:
            async with asyncio.timeout(TOLD_WITHIN_S):
                await self._look_at_topics()
        except (BrokerRefused, BrokerUnreachable, TimeoutError):
            return False
        except MovieStreamError:
            return True  # it answers
        return True

    @property
    def tally(self) -> Tally:
        """What has been done so far."""
        if not self._owners:
            return Tally()
        refused = Counter[str]()
        for (kind, _), count in self.accumulate.refused.items():
            refused[kind] += count
        again = self.accumulate.copies["again"]
        return Tally(self.accumulate.applied, refused["bad"], refused["late"], again, self.publish.written)

    @property
    def _refused_by_reason(self) -> Counter[str]:
        by_reason = Counter[str]()
        for (_, reason), count in self.accumulate.refused.items():
            by_reason[reason] += count
        return by_reason

    async def figures(self) -> Figures:
        """The same and more, for metrics."""
        tally = self.tally
        return Figures(
            events=tally.events,
            refused=dict(self.accumulate.refused) if self._owners else {},
            copies=dict(self.accumulate.copies) if self._owners else {},
            documents=tally.documents,
            parked=self.publish.parked if self._owners else 0,
            partitions=tuple(
                self._figures_of(topic, partition, owned.table.state)
                for topic, owner in self._owners
                for partition, owned in owner.owned.items()
            ),
        )

    def _figures_of(self, topic: str, partition: int, state: State) -> PartitionFigures:
        end = self._group.end(topic, partition)
        lag = None if end is None else max(end - state.position, 0)
        return PartitionFigures(topic, partition, state.position, lag, state.watermark_ms)

    async def beat(self) -> None:
        """Tells MongoDB where we stand, for ever."""
        await self._heartbeat.beat_for_ever()

    def _turned(self, state: workers.WorkerState) -> None:
        self._state = state
        if self._owners:
            self._heartbeat.beat_now()

    def _standing(self) -> workers.Standing:
        flushed = [owner.flushed_at for _, owner in self._owners if owner.flushed_at is not None]
        held = (
            self._figures_of(topic, partition, owned.table.state)
            for topic, owner in self._owners
            for partition, owned in owner.owned.items()
        )
        return workers.Standing(
            self.settings.kafka_group,
            self._state,
            self._run.number,
            max(flushed, default=None),
            tuple(
                workers.Holding(
                    *(of.topic, of.partition, of.position, of.lag),
                    None if of.watermark_ms is None else datetime_of(of.watermark_ms),
                )
                for of in held
            ),
        )

    async def report(self) -> None:
        """Says every few seconds how it goes, while there is something to do."""
        before, before_s, refused_before = self.tally, monotonic(), Counter[str]()
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            now, now_s, refused = self.tally, monotonic(), self._refused_by_reason
            if now != before:
                logger.info("%s", now.since(before, now_s - before_s))
            if fresh := refused - refused_before:
                logger.warning("refused, see movie-stream dead-letters list: %s", summed(fresh))
            before, before_s, refused_before = now, now_s, refused

    async def stop(self) -> None:
        """Disconnects."""
        logger.info("stops; %s", self.tally)
        if self._owners:
            await self._heartbeat.end()
        await self._stack.aclose()
