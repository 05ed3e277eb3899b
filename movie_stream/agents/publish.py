"""The second agent: merges the partials of all source partitions and writes the documents to MongoDB."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar, Final

import msgspec

from movie_stream.agents.context import Context
from movie_stream.agents.delay import Delays
from movie_stream.agents.mongo_requests import MongoRequests
from movie_stream.agents.owner import Owned, Owner
from movie_stream.agents.tally import Tally
from movie_stream.aggregates.merger import DocumentKey, Evicted, Merger, OtherRun, StoreKey, WindowKey
from movie_stream.errors import ChangelogError, WorkerFailed
from movie_stream.events.chunk import Chunk
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.mongo.guard import GuardedDocument, Rev
from movie_stream.mongo.report import WriteReport
from movie_stream.tables.claim import PARTITION, encode
from movie_stream.tables.table import Table

logger = logging.getLogger(__name__)

OTHER_RUN: Final = (
    "start it again; if that run is of another database, which movie-stream doctor names, give each a group of its own "
    "(KAFKA_GROUP, KAFKA_PARTIALS_TOPIC) and count afresh with: movie-stream rebuild"
)
CLAIM_EVERY: Final = 500
"""Records of `movie-partials` after which the claim on it is renewed, so that what stands before it may be deleted."""
DOCUMENTS_AT_ONCE: Final = 500
ROWS_IN_MEMORY: Final = 60_000
"""Rows of partials of a partition, but for those of all time, which never go, beyond which old windows are moved into
MongoDB; with a sketch one has 2 kB or so.
"""
DIRTY_AT_MOST: Final = 100_000
"""Documents waiting for MongoDB beyond which a partition is not read on."""


class Publish(Owner[Merger]):
    """Owns partitions of `movie-partials`."""

    flushes_at_once: ClassVar[int] = 2  # nearly all of such a flush is waiting for MongoDB

    def __init__(self, context: Context, topic: str) -> None:
        super().__init__(context, topic)
        self._sources = context.topology.partitions[context.topics.events]
        self._block_bytes = context.broker.block_bytes(self.changelog)
        self._sink, self._store = context.sink, context.store
        self._run_number = context.run_number
        self._claimed_at = None if context.claim is None else context.claim.offset
        """Where the claim on `movie-partials` stands, as far as is known; an older place only has more kept."""
        self.written = 0
        """Documents inserted or replaced, since the start of the process."""
        self.parked = 0
        """Documents that a validator refused, since the start of the process."""
        self.incomparable = 0
        """Documents that were left as they are, since the start of the process: neither theirs nor ours was newer."""
        self.evictions = 0
        """Keys of old windows that were moved into MongoDB, since the start of the process."""
        self._marks: dict[int, int] = {}
        """Up to where MongoDB says that partitions are published, as far as is known."""
        self.delays, self._mongodb = Delays(), MongoRequests()

    def done(self) -> Tally:
        return Tally(documents=self.written, parked=self.parked)

    @property
    def delay_ms(self) -> float | None:
        return self.delays.median_ms

    def rows(self, state: Merger) -> int:
        return len(state)

    def tell(self, values: Values) -> None:
        super().tell(values)
        self._mongodb.tell(values)
        values.set(catalogue.DOCUMENTS, self.written)
        values.set(catalogue.PARKED, self.parked)
        values.set(catalogue.INCOMPARABLE, self.incomparable)
        values.set(catalogue.EVICTIONS, self.evictions)
        values.set(catalogue.DELAY, self.delays.since_kafka)
        values.set(catalogue.EVENT_DELAY, self.delays.since_event)
        for partition, owned in self.owned.items():
            values.set(catalogue.WAITING, len(owned.table.state.dirty), self.topic, str(partition))

    def new_state(self, partition: int) -> Merger:
        if self._context.completeness is not None:
            self._context.completeness.forget(partition)
        return Merger(self._sources, self._run_number, self._context.results, self._block_bytes)

    def receive(self, owned: Owned[Merger], chunk: Chunk) -> None:
        state = owned.table.state
        try:
            state.apply(chunk)
        except OtherRun as error:
            raise WorkerFailed(what=str(error), remedy=OTHER_RUN) from error
        except msgspec.DecodeError as error:
            raise ChangelogError(
                topic=self.topic, partition=chunk.partition, expected="partials", got=str(error)
            ) from error
        if len(state.dirty) > DIRTY_AT_MOST:
            self.paused.add(chunk.partition)
            self._group.pause(self.topic, chunk.partition, True)

    def missed(self, partition: int, position: int, oldest: int) -> None:
        if not position:
            return  # an earlier run has published what it deleted
        raise WorkerFailed(
            what=f"the records of {self.topic}, partition {partition}, from {position} to before {oldest} were deleted "
            "before they were published",
            remedy="count the whole topic afresh with: movie-stream rebuild",
        )

    async def flush(self, partition: int, owned: Owned[Merger], checkpoint: bool) -> None:
        """The order of a flush, from one instant's copy:

        1. the documents, acknowledged by a majority and on disk; and where there are rules for alerts, what of it has
           to be evaluated again, and up to when all is published; for a checkpoint, the mark that says so
        2. the checkpoint's entries, acknowledged
        3. its cursor, acknowledged, and it counts
        4. the group's commit, see group.py; and what is below the cursor is deleted from `movie-partials`
        """
        table, state = owned.table, owned.table.state

        def held() -> bool:
            return self.holds(partition, owned)

        owned.waits_for = "that MongoDB takes its documents"
        await self._fetch(state, held)
        frozen = table.freeze() if checkpoint else None
        came, happened = state.arrivals.came.take(), state.arrivals.happened.take()
        watermarks, windows = dict(state.watermarks), set[WindowKey]()
        await self._write(state, set(state.dirty), held, windows)  # 1
        self.delays.written(came, happened)
        if (completeness := self._context.completeness) is not None:
            told = partial(completeness.published, partition, watermarks, windows)
            await self._mongodb.patiently("progress", told, held)
        if partition in self.paused:
            self.paused.remove(partition)
            self._group.pause(self.topic, partition, False)
        if frozen is not None:
            await self._mark(partition, frozen.position, held)
            owned.waits_for = f"that its checkpoint is written, and read back where it must be ({self.changelog})"
            with self.timings.taking(catalogue.CHECKPOINT):
                await table.checkpoint(frozen, marked=True)  # 2, 3
            self._finish(partition, owned, frozen.position)  # 4
            await self._broker.delete_before(self.topic, partition, await self._needless(partition, frozen.position))
            await self._evict(state, held)

    async def _mark(self, partition: int, position: int, held: Callable[[], bool]) -> None:
        """Says in MongoDB that all below a position is published. Raises WorkerFailed where what it said is gone."""
        known = self._marks.get(partition)
        told = partial(self._store.mark, partition, self._run_number, known, position)
        if not await self._mongodb.patiently("progress", told, held):
            raise WorkerFailed(
                what="another run has begun"
                if known is None
                else f"MongoDB no longer says that {self.topic}, partition {partition}, is published up to offset "
                f"{known}: it was set back, or another run has begun",
                remedy="start it again: it says what to do",
            )
        self._marks[partition] = max(position, known or 0)

    async def restore(self, partition: int) -> Table[Merger]:
        table = await super().restore(partition)
        self._marks.pop(partition, None)
        if table.marked is not None:
            self._marks[partition] = table.marked
        return table

    async def _needless(self, partition: int, position: int) -> int:
        """Up to which offset nobody needs the records: below the position, and below the claim."""
        claim = self._context.claim
        if partition != PARTITION or claim is None:
            return position
        if self._claimed_at is None or position - self._claimed_at > CLAIM_EVERY:
            [self._claimed_at] = await self._broker.send(self.topic, partition, [encode(claim.claim)])
        return min(position, self._claimed_at)

    def idle(self, owned: Owned[Merger]) -> bool:
        return super().idle(owned) and not owned.table.state.dirty and not self._is_untold(owned)

    def _is_untold(self, owned: Owned[Merger]) -> bool:
        """Whether rules for alerts do not know yet how far the partition is."""
        completeness = self._context.completeness
        if completeness is None:
            return False
        partition = next((partition for partition, of in self.owned.items() if of is owned), None)
        return partition is not None and completeness.untold(partition, owned.table.state.watermarks)

    async def _write(
        self, state: Merger, due: set[DocumentKey], held: Callable[[], bool], windows: set[WindowKey]
    ) -> None:
        """Writes the documents of all keys in `due` as they are by now; adds to `windows` what rules look at."""
        completeness = self._context.completeness
        while due:
            await self._fetch(state, held)
            documents = state.documents(DOCUMENTS_AT_ONCE)
            guarded = [
                GuardedDocument(document.key.collection, document.id, document.rev, self._run_number, document.body)
                for document in documents
            ]
            try:
                report = await self._mongodb.patiently("write", partial(self._sink.write, guarded), held)
                self.written += report.changed
                self._say(report)
                if completeness is not None:
                    keys = (document.key for document in documents)
                    windows.update((of.collection, of.start_ms) for of in keys if completeness.concerns(of.collection))
            except BaseException:  # also when it is cancelled: what was not written is still to be written
                state.mark_dirty(document.key for document in documents)
                raise
            due.difference_update(document.key for document in documents)

    def _say(self, report: WriteReport) -> None:
        for outranked in report.outranked:
            raise WorkerFailed(
                what=f"run {outranked.run} has begun; this worker belongs to run {self._run_number}",
                remedy=OTHER_RUN,
            )
        for parked in report.parked:
            self.parked += 1
            logger.error("%s: %s is left out, MongoDB refuses it: %s", parked.collection, parked.id, parked.reason)
        for alarm in report.incomparable:
            self.incomparable += 1
            logger.error(
                "%s: %s is left as it is: its _rev %s is neither older nor newer than ours, %s",
                *(alarm.collection, alarm.id, list(alarm.theirs), list(alarm.mine)),
            )

    async def _fetch(self, state: Merger, held: Callable[[], bool]) -> None:
        """Brings back what was moved into MongoDB of keys that change again."""
        while state.unfetched:
            asked = list(state.unfetched)[:DOCUMENTS_AT_ONCE]
            await self._mongodb.patiently("load", partial(self._load, state, asked), held)
            state.fetched((), asked)

    async def _load(self, state: Merger, keys: Sequence[DocumentKey]) -> None:
        """Merges what the store has, payload by payload: all of them at once may be large."""
        ids = [store_key.id for key in keys for store_key in state.store_keys(key)]
        async for _, payload in self._store.load(ids, self._run_number):
            state.fetched((payload,), ())

    async def _evict(self, state: Merger, held: Callable[[], bool]) -> None:
        """Moves keys of old windows into MongoDB when there are too many. What cannot go now is passed over."""
        tried: set[WindowKey] = set()
        while windows := state.evictable(self._context.rules.allowed_lateness_ms, ROWS_IN_MEMORY, tried):
            tried.update(windows)
            stored: dict[StoreKey, Rev] = {}
            for some in state.packed(windows):
                stored |= await self._store_some(state, some, held)
            state.evict(stored)
            self.evictions += len(stored)

    async def _store_some(
        self, state: Merger, some: Sequence[Evicted], held: Callable[[], bool]
    ) -> dict[StoreKey, Rev]:
        """Stores what is packed; what of it is in the store then. Keys that MongoDB does not take are told of once."""
        store_keys = {evicted.store_key.id: evicted.store_key for evicted in some}
        rows = [(evicted.store_key.id, evicted.rev, self._run_number, evicted.payload) for evicted in some]
        report = await self._mongodb.patiently("store", partial(self._store.save, rows), held)
        self._say(WriteReport(outranked=report.outranked, incomparable=report.incomparable))
        for parked in report.parked:
            if (key := store_keys[parked.id].key) not in state.staying:
                state.staying.add(key)
                logger.error(
                    "%s: the partial results of %s stay in memory, MongoDB refuses to keep them: %s",
                    *(parked.collection, key.text, parked.reason),
                )
        not_stored = {alarm.id for alarm in report.incomparable} | {parked.id for parked in report.parked}
        return {evicted.store_key: evicted.rev for evicted in some if evicted.store_key.id not in not_stored}
