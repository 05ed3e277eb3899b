"""Ownership of partitions: tables are restored on assignment, flushed while held, and kept aside on revocation.

A revocation says only that the partitions are shared out anew, and most come back. So a table that is whole is kept
until it is known who has its partition. If that is this worker, and no checkpoint has counted meanwhile, it goes on as
if it had been paused. Its state may then be ahead of its last cursor, as between any two flushes: it knows what of it
was not sent yet. A state whose flush was cut off does not, so it is dropped and restored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from time import monotonic
from typing import Any, ClassVar, Final, Generic

from movie_stream.agents.context import Context
from movie_stream.agents.flush_schedule import FlushSchedule
from movie_stream.agents.tally import Tally
from movie_stream.agents.timings import Timings
from movie_stream.errors import ChangelogError, LogTruncated, WorkerFailed
from movie_stream.events.chunk import Chunk
from movie_stream.kafka.fetch.waiting import CHUNK_EVERY_S
from movie_stream.kafka.log import KafkaLog
from movie_stream.metrics import catalogue
from movie_stream.metrics.metered import Meter
from movie_stream.metrics.values import Values
from movie_stream.tables.checkpoint import BrokenChangelog
from movie_stream.tables.table import Frozen, S, Table, WriterFenced

logger = logging.getLogger(__name__)

LEAVE_WITHIN_S: Final = 2.5
"""The longest that a rebalance waits for the flush of revoked partitions; a state whose flush is late is forgotten."""

LEFT_AT_ONCE: Final = 2
"""Revoked partitions that are flushed side by side: each holds its output in memory."""

STALLED_AFTER_S: Final = 60.0
"""A partition with records to read that has not moved for this long ends the process."""

UNSAVED_AFTER_S: Final = 60.0
"""A partition that has moved has a checkpoint by then; one that has none is logged."""

QUIET_AFTER_S: Final = 3 * CHUNK_EVERY_S
"""A partition without new records for this long gets its checkpoint before that is due."""

LOOK_EVERY_S: Final = 0.1
"""The longest that a flush which has become due goes unnoticed."""


@dataclass
class Owned(Generic[S]):
    """A partition that this worker owns."""

    table: Table[S]
    lock: asyncio.Lock
    flush: FlushSchedule
    checkpoint: FlushSchedule
    checkpointed: int
    """The position of the last checkpoint that counts."""
    moved_at_s: float
    """When the position moved last, by the monotonic clock."""
    saved_at_s: float = field(default_factory=monotonic)
    """When a checkpoint last counted, or there was nothing to save, by the monotonic clock."""
    flush_blocked_on: str = ""
    """The condition that its flush waits for, as a clause of a log line."""
    flushed: int = -1
    """The position when the last flush began."""
    leaving: bool = False
    """Whether its last flush has begun; from then on no records may be applied."""
    whole: bool = True
    """Whether no flush is under way and none was cut off: the state then knows what of it was not sent yet."""


class Owner(ABC, Generic[S]):
    """The partitions of one topic that this worker owns. `finished` maps each to the offset that may be committed."""

    flushes_at_once: ClassVar[int] = 1
    """Flushes under backlog that run side by side: each holds its output in memory."""
    live_within: ClassVar[int] = 0
    """Records that a partition may have to read and is still flushed as a live one: while records arrive all the time,
    some are always on their way.
    """

    def __init__(self, context: Context, topic: str) -> None:
        self._context, self._broker, self._group = context, context.broker, context.group
        self.topic, self.changelog = topic, context.topics.changelogs[topic]
        self.upstream: Owner[Any] | None = None
        """The owner whose output this one reads, if it is known."""
        self.owned: dict[int, Owned[S]] = {}
        self.kept: dict[int, Table[S]] = {}
        """The tables of revoked partitions, until it is known who has these."""
        self.finished: dict[int, int] = {}
        self.paused: set[int] = set()
        self._unfinished: dict[int, asyncio.Lock] = {}
        """The lock of each partition that went while it was flushed: held until that flush ends."""
        self._late: set[asyncio.Task[None]] = set()
        """Last flushes that were not waited for to their end."""
        self._flushing = asyncio.Semaphore(self.flushes_at_once)
        self._leaving = asyncio.Semaphore(LEFT_AT_ONCE)
        self._arrived = asyncio.Event()
        """Set when records are applied."""
        self.applied = 0
        """Records applied since the start of the process."""
        self.flushed_at: datetime | None = None
        """When the last flush of any partition ended."""
        self.timings = Timings(context.topics.agent_of(topic))

    async def __call__(self, chunks: AsyncIterable[Chunk]) -> None:
        """Runs the agent: applies chunks as they arrive."""
        async for chunk in chunks:
            self.apply(chunk)
            await asyncio.sleep(0)  # yields to the flushes and the fetcher

    def done(self) -> Tally:
        """The counts of what this agent has done."""
        return Tally()

    @property
    def flush_every_s(self) -> float:
        """The least seconds between two flushes of a partition."""
        return self._context.cadence.flush_s

    @property
    def delay_ms(self) -> float | None:
        """The recent median delay of views into MongoDB, in milliseconds; None if this agent does not measure it."""
        return None

    def rows(self, state: S) -> int | None:
        """The number of rows of a state; None if it has no rows."""
        return None

    def lag(self, partition: int, state: S) -> int | None:
        """Records up to the last stable offset that are not applied, as of the last fetch; None before the first."""
        end = self._group.end(self.topic, partition)
        return None if end is None else max(end - state.position, 0)

    def export(self, values: Values) -> None:
        """Adds the metrics that are exported to Prometheus; subclasses add their own."""
        self.timings.export(values)
        for partition, owned in self.owned.items():
            state, labels = owned.table.state, (self.topic, str(partition))
            values.set(catalogue.POSITION, state.position, *labels)
            values.set(catalogue.BYTES, owned.table.stored_bytes, *labels)
            values.set(catalogue.PAUSED, partition in self.paused, *labels)
            if (lag := self.lag(partition, state)) is not None:
                values.set(catalogue.LAG, lag, *labels)
            if state.watermark_ms is not None:
                values.set(catalogue.WATERMARK, state.watermark_ms / 1_000, *labels)
            if (rows := self.rows(state)) is not None:
                values.set(catalogue.ROWS, rows, *labels)

    @abstractmethod
    def new_state(self, partition: int) -> S:
        """An empty state."""

    @abstractmethod
    async def flush(self, partition: int, owned: Owned[S], checkpoint: bool) -> float:
        """Writes the changes since the last flush, with a checkpoint if `checkpoint` is set. Returns the share of what
        was written that replaces earlier output: by that share of their time flushes are spaced.
        """

    @abstractmethod
    def receive(self, owned: Owned[S], chunk: Chunk) -> None:
        """Applies a chunk to a state."""

    @abstractmethod
    def missed(self, partition: int, position: int, oldest: int) -> None:
        """Logs that records were deleted before they were applied; raises if the state is useless without them.

        `position` is 0 if nothing was ever saved: the log may have begun later than 0 when this run began.
        """

    def idle(self, owned: Owned[S]) -> bool:
        """Whether a flush would have nothing to write."""
        return owned.table.state.position == owned.checkpointed

    async def resume(self, partition: int, end: int) -> Table[S] | None:
        """The table kept of an assigned partition, if it may go on; None if it has to be restored. `end` is the present
        end of its changelog.
        """
        table = self.kept.get(partition)
        if table is None:
            return None
        with self._explained(partition):
            if await table.resume(end):
                return table
        self.forget(partition)
        return None

    async def restore(self, partition: int) -> Table[S]:
        """The table of an assigned partition, restored from its changelog: once no checkpoint of this worker is on its
        way there, which would count before those of this table.
        """
        async with self._unfinished.get(partition, contextlib.nullcontext()):
            self._unfinished.pop(partition, None)
        log, claim = KafkaLog(self._broker, self.changelog, partition), self._context.claim
        table = Table(self.new_state(partition), log, self._context.run, None if claim is None else claim.claim)
        with self._explained(partition), self.timings.taking(catalogue.RESTORE):
            await table.restore()
        return table

    @contextlib.contextmanager
    def _explained(self, partition: int) -> Iterator[None]:
        """Turns BrokenChangelog into ChangelogError."""
        try:
            yield
        except BrokenChangelog as error:
            raise ChangelogError(
                topic=self.changelog, partition=partition, expected="checkpoints", got=str(error)
            ) from error

    def take(self, partition: int, table: Table[S], oldest: int, end: int) -> int:
        """Takes ownership of a partition whose table was resumed or restored; returns the offset to resume at.
        `oldest` is from before that, `end` from after it.
        """
        state = table.state
        kept = self.kept.pop(partition, None) is table
        if state.position > end:
            raise LogTruncated(
                what=f"{self.topic}, partition {partition}, ends at offset {end}, before {state.position}, up to which "
                "it has been counted: the broker has lost records",
                remedy="count what it has afresh with: movie-stream rebuild",
            )
        if state.position < oldest:
            self.missed(partition, state.position, oldest)
            state.position = oldest
        cadence = self._context.cadence
        flush = FlushSchedule(self.flush_every_s, at_most_s=5.0)
        checkpoint = FlushSchedule(cadence.checkpoint_s, at_most_s=10.0, now_s=monotonic(), took_s=None)
        self.owned[partition] = Owned(table, asyncio.Lock(), flush, checkpoint, table.position, monotonic())
        self.finished[partition] = table.position
        how = ", with the state that it had" if kept else ""
        logger.info("%s, partition %s: goes on at offset %s%s", self.topic, partition, state.position, how)
        return state.position

    def apply(self, chunk: Chunk) -> None:
        """Applies a chunk, if its partition is (still) ours."""
        owned = self.owned.get(chunk.partition)
        if owned is not None and not owned.leaving:
            self.receive(owned, chunk)
            owned.moved_at_s = monotonic()
            self.applied += len(chunk)
            self._arrived.set()

    async def run_flushes(self) -> None:
        """Flushes each partition when it is due, beside the others: much of a flush is waiting."""
        running: dict[int, asyncio.Task[None]] = {}
        arrival = asyncio.create_task(self._arrived.wait())
        try:
            while True:
                if arrival.done():
                    self._arrived.clear()
                    arrival = asyncio.create_task(self._arrived.wait())
                within_s = self._start_flushes(running)
                waited_for = [*running.values(), arrival]
                await asyncio.wait(waited_for, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
                for partition, task in [*running.items()]:
                    if task.done():
                        del running[partition]
                        await task  # raises what it raised
        finally:
            for each in (*running.values(), arrival):
                each.cancel()
            await asyncio.gather(*running.values(), arrival, return_exceptions=True)

    def _start_flushes(self, running: dict[int, asyncio.Task[None]]) -> float:
        """Starts the flushes that are due; returns in how many seconds the next one is, as far as is known."""
        now, next_s = monotonic(), LOOK_EVERY_S
        waits_s = {
            partition: self._due_s(partition, owned) - now
            for partition, owned in self.owned.items()
            if partition not in running and not self.idle(owned)
        }
        any_due = min(waits_s.values(), default=1.0) <= 0
        for partition, wait_s in waits_s.items():
            owned = self.owned[partition]
            if any_due and wait_s <= self._early_s(partition, owned):
                running[partition] = asyncio.create_task(self._flush_if_due(partition, owned))
            else:
                next_s = min(next_s, max(wait_s, 0))
        return next_s

    def _early_s(self, partition: int, owned: Owned[S]) -> float:
        """How much too early it is flushed with others: what reads their output has all of it then, up to about the
        same time.
        """
        return owned.flush.wait_s(self._is_live(partition, owned), len(self.owned)) / 2

    async def _flush_if_due(self, partition: int, owned: Owned[S]) -> None:
        """Flushes it; under backlog, `flushes_at_once` run side by side."""
        async with contextlib.nullcontext() if self._is_live(partition, owned) else self._flushing:
            due_s = self._due_s(partition, owned) - self._early_s(partition, owned)
            if monotonic() >= due_s and not self.idle(owned):
                async with owned.lock:
                    if self.holds(partition, owned):
                        await self._flush(partition, owned)

    def urgent(self, partition: int) -> bool:
        """Whether a flush is due regardless of the schedule, since too much waits for it."""
        return False

    def _due_s(self, partition: int, owned: Owned[S]) -> float:
        if self.urgent(partition):
            return 0.0
        live = self._is_live(partition, owned)
        due_s = owned.flush.due_s(live, len(self.owned))
        if owned.flushed == owned.table.state.position:  # nothing has arrived; what is left waits for a checkpoint
            quiet_s = owned.moved_at_s + QUIET_AFTER_S if live else inf
            return max(due_s, min(owned.checkpoint.due_s(live, len(self.owned)), quiet_s))
        return due_s

    @property
    def has_sent_all(self) -> bool:
        """Whether no partition has a backlog, nor much that is counted and was not sent yet."""
        return all(
            self._is_live(partition, owned)
            and (owned.flushed < 0 or owned.table.state.position - owned.flushed <= self.live_within)
            for partition, owned in self.owned.items()
        )

    def _is_live(self, partition: int, owned: Owned[S]) -> bool:
        """Whether it has no backlog, and none is coming from the agent of this worker whose output it reads."""
        return self._caught_up(partition, owned, self.live_within) and (
            self.upstream is None or self.upstream.has_sent_all
        )

    def _caught_up(self, partition: int, owned: Owned[S], within: int = 0) -> bool:
        """Whether all records are applied, or at most `within` are not."""
        end = self._group.end(self.topic, partition)
        return end is None or owned.table.state.position + within >= end

    async def _flush(self, partition: int, owned: Owned[S], leaving: bool = False) -> None:
        position = owned.table.state.position
        due = monotonic() >= owned.checkpoint.due_s(self._is_live(partition, owned), len(self.owned))
        checkpoint = leaving or due or owned.flushed == position  # the last: no records are arriving
        taken = Meter()
        try:
            with self.timings.taking(catalogue.FLUSH):
                repeated = await taken.run(self.flush_whole(partition, owned, checkpoint))
        except WriterFenced as error:
            if self.holds(partition, owned):
                self._drop(partition, owned)  # waiters for the lock may not flush it again
                raise WorkerFailed(
                    what=f"another worker has taken over {self.topic}, partition {partition}", cause=error
                ) from error
            return  # it went while the flush waited
        except BaseException:
            self._drop(partition, owned)  # it is no longer whole
            raise
        now = monotonic()
        self.flushed_at = datetime.now(UTC)
        owned.flushed = position
        owned.flush.flushed(now, None if checkpoint else repeated * taken.s)  # a checkpoint is more work
        if checkpoint:
            owned.checkpoint.flushed(now, taken.s)

    async def flush_whole(self, partition: int, owned: Owned[S], checkpoint: bool) -> float:
        """See `flush`; notes whether it was cut off: part of it may then not have been acknowledged, and the state does
        not know which.
        """
        owned.whole = False
        with self._explained(partition):
            repeated = await self.flush(partition, owned, checkpoint)
        owned.whole = True
        return repeated

    def holds(self, partition: int, owned: Owned[S]) -> bool:
        """Whether the partition is still ours, under the same assignment."""
        return self.owned.get(partition) is owned

    def pause(self, partition: int, paused: bool) -> None:
        """Stops reading a partition, or goes on."""
        (self.paused.add if paused else self.paused.discard)(partition)
        self._group.pause(self.topic, partition, paused)

    async def _checkpoint(self, partition: int, owned: Owned[S], frozen: Frozen, marked: bool = False) -> None:
        """The last steps of a flush: a checkpoint's entries, its cursor, and the commit. Raises WriterFenced if it does
        not count, or the partition went: its next owner may have restored it.
        """
        if not self.holds(partition, owned):
            raise WriterFenced("the partition went before its checkpoint was written")
        owned.flush_blocked_on = f"that its checkpoint is written, and read back where it must be ({self.changelog})"
        with self.timings.taking(catalogue.CHECKPOINT):
            await owned.table.checkpoint(frozen, marked)
        self._finish(partition, owned, frozen.position)

    def _finish(self, partition: int, owned: Owned[S], position: int) -> None:
        """Notes that a checkpoint counts, and starts a flush's last step: the commit, described in group.py."""
        owned.checkpointed, owned.saved_at_s = position, monotonic()
        if self.holds(partition, owned):
            self.finished[partition] = position
            self._group.commit_soon()

    def _drop(self, partition: int, owned: Owned[S]) -> None:
        if self.holds(partition, owned):
            del self.owned[partition]
            self.finished.pop(partition, None)
            self.paused.discard(partition)
            if owned.whole:
                self.kept[partition] = owned.table
            else:
                self._unfinished[partition] = owned.lock
                self.forget(partition)

    def drop_all(self) -> None:
        """Drops the partitions left over from an assignment that was cut short; their tables are kept aside."""
        for partition, owned in list(self.owned.items()):
            self._drop(partition, owned)

    def forget_others(self, partitions: Collection[int]) -> None:
        """Forgets the tables that are kept of other partitions than these, which frees their memory."""
        for partition in self.kept.keys() - set(partitions):
            self.forget(partition)

    def forget(self, partition: int) -> None:
        """Forgets all that is kept of a partition that this worker does not own."""
        self.kept.pop(partition, None)

    async def leave(self, partitions: Iterable[int], ends: bool = False) -> None:
        """Drops revoked partitions; tables that are whole are kept aside. Those that are behind are flushed first,
        LEFT_AT_ONCE side by side, and all of them if the worker `ends`; it is waited for a bounded time.

        Of the others, whoever gets them counts again what came since the last checkpoint; the group would wait for a
        flush.
        """
        revoked = [(p, self.owned[p]) for p in partitions if p in self.owned]
        for _, owned in revoked:
            owned.leaving = True
        last = [asyncio.create_task(self._flush_last(partition, owned, ends)) for partition, owned in revoked]
        done, late = await asyncio.wait(last, timeout=LEAVE_WITHIN_S) if last else (set(), set())
        for partition, owned in revoked:
            self._drop(partition, owned)
        if late:
            logger.warning("%s: leaves without a last checkpoint; the next owner repeats the rest", self.topic)
        for task in late:  # not cut off: what it has sent may still arrive, and `restore` waits for that
            self._late.add(task)
            task.add_done_callback(self._end_late)
            if ends:
                task.cancel()
        for task in done:
            task.result()  # raises what it raised

    def _end_late(self, task: asyncio.Task[None]) -> None:
        self._late.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("%s: a last flush failed after its partition was revoked: %s", self.topic, error)

    async def _flush_last(self, partition: int, owned: Owned[S], ends: bool) -> None:
        owned.table.defer_snapshot = True
        async with self._leaving, owned.lock:  # a flush that is under way comes to its end
            if (
                self.holds(partition, owned)
                and not self.idle(owned)
                and (ends or self._is_worth_a_flush(partition, owned))
            ):
                await self._flush(partition, owned, leaving=True)

    def _is_worth_a_flush(self, partition: int, owned: Owned[S]) -> bool:
        """Whether a revoked partition is so far behind that the next owner should not count again what came since the
        last checkpoint.
        """
        return not self._caught_up(partition, owned, self.live_within)

    def stalled(self) -> int | None:
        """A partition that has records to read but has not moved for too long; None if there is none."""
        for partition, owned in self.owned.items():
            if partition in self.paused or self._caught_up(partition, owned):
                owned.moved_at_s = monotonic()
            elif monotonic() - owned.moved_at_s > STALLED_AFTER_S:
                return partition
        return None

    def unsaved(self) -> tuple[int, float, str] | None:
        """A partition that has moved but has had no checkpoint for too long, for how many seconds, and the
        condition that its flush waits for; None if there is none.
        """
        for partition, owned in self.owned.items():
            if self.idle(owned):
                owned.saved_at_s = monotonic()
            elif (since_s := monotonic() - owned.saved_at_s) > UNSAVED_AFTER_S:
                return partition, since_s, owned.flush_blocked_on
        return None


Owners = dict[str, Owner[Any]]
"""The owners of one worker, by the topic whose partitions each owns."""


def total_tally(owners: Owners) -> Tally:
    """The sum of what all owners have done."""
    return sum((owner.done() for owner in owners.values()), Tally())
