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
from movie_stream.aggregates.arrivals import Arrivals
from movie_stream.aggregates.document_keys import DocumentKey, StoreKey, WindowKey
from movie_stream.aggregates.eviction import Evicted
from movie_stream.aggregates.merger import Merger, RunSuperseded
from movie_stream.errors import ChangelogError, WorkerFailed
from movie_stream.events.chunk import Chunk
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.mongo.guard import GuardedDocument, Rev
from movie_stream.mongo.report import WriteReport
from movie_stream.tables.claim import PARTITION, encode
from movie_stream.tables.table import Table

logger = logging.getLogger(__name__)

RUN_SUPERSEDED: Final = (
    "start it again; if that run is of another database, which movie-stream doctor names, give each a group of its own "
    "(KAFKA_GROUP, KAFKA_PARTIALS_TOPIC) and count afresh with: movie-stream rebuild"
)
CLAIM_EVERY: Final = 500
"""Records of `movie-partials` after which its claim is renewed, so that the records before it may be deleted."""
DOCUMENTS_AT_ONCE: Final = 2_000
"""Documents in one request: each waits for the journal once. Making them blocks everything else, for some 20 ms."""
ROWS_IN_MEMORY: Final = 60_000
"""Rows of partials of a partition above which windows that are final are dropped. The rows of all time, which are never
evicted, are not included.
"""
BYTES_IN_MEMORY: Final = 60 << 20
"""About the bytes of more rows above which old windows, though they may change, are evicted to MongoDB: a row with a
large sketch has 2 kB or so, others a tenth. To store them and to load them again costs more than all else of a row.
"""
ROWS_LEFT: Final = 0.75
"""The share of the rows that an eviction leaves, so that there is not one for every few rows more."""
DIRTY_AT_MOST: Final = 50_000
"""Documents waiting for MongoDB above which a partition is paused."""


class Publish(Owner[Merger]):
    """Owns partitions of `movie-partials`."""

    flushes_at_once: ClassVar[int] = 2  # nearly all of such a flush is waiting for MongoDB
    live_within: ClassVar[int] = 30  # about what flushes of a few sources send, without a checkpoint

    def __init__(self, context: Context, topic: str) -> None:
        super().__init__(context, topic)
        self._sources = context.topology.partitions[context.topics.events]
        self._block_bytes = context.broker.block_bytes(self.changelog)
        self._sink, self._store = context.sink, context.store
        self._run_number = context.run_number
        self._claimed_at = None if context.claim is None else context.claim.offset
        """The known offset of the claim on `movie-partials`; with an older one, only more records are kept."""
        self.written = 0
        """Documents inserted or replaced since the start of the process."""
        self.parked = 0
        """Documents that a validator refused since the start of the process."""
        self.incomparable = 0
        """Documents left as they are since the start of the process: neither the stored nor our revision was newer."""
        self.evictions = 0
        """Keys of old windows evicted to MongoDB since the start of the process."""
        self._marks: dict[int, int] = {}
        """The offset up to which MongoDB records each partition as published, as far as is known."""
        self.delays, self._mongodb = Delays(), MongoRequests()

    def done(self) -> Tally:
        return Tally(documents=self.written, parked=self.parked)

    @property
    def delay_ms(self) -> float | None:
        return self.delays.median_ms

    def rows(self, state: Merger) -> int:
        return len(state)

    def export(self, values: Values) -> None:
        super().export(values)
        self._mongodb.export(values)
        values.set(catalogue.DOCUMENTS, self.written)
        values.set(catalogue.PARKED, self.parked)
        values.set(catalogue.INCOMPARABLE, self.incomparable)
        values.set(catalogue.EVICTIONS, self.evictions)
        values.set(catalogue.DELAY, self.delays.since_kafka)
        values.set(catalogue.EVENT_DELAY, self.delays.since_event)
        for partition, owned in self.owned.items():
            values.set(catalogue.WAITING, len(owned.table.state.dirty), self.topic, str(partition))

    def new_state(self, partition: int) -> Merger:
        return Merger(self._sources, self._run_number, self._context.results, self._block_bytes)

    def receive(self, owned: Owned[Merger], chunk: Chunk) -> None:
        state = owned.table.state
        try:
            state.apply(chunk)
        except RunSuperseded as error:
            raise WorkerFailed(what=str(error), remedy=RUN_SUPERSEDED) from error
        except msgspec.DecodeError as error:
            raise ChangelogError(
                topic=self.topic, partition=chunk.partition, expected="partials", got=str(error)
            ) from error
        if len(state.dirty) > DIRTY_AT_MOST:
            self.pause(chunk.partition, True)

    def missed(self, partition: int, position: int, oldest: int) -> None:
        if not position:
            return  # an earlier run published these records before it deleted them
        raise WorkerFailed(
            what=f"the records of {self.topic}, partition {partition}, from {position} to before {oldest} were deleted "
            "before they were published",
            remedy="count the whole topic afresh with: movie-stream rebuild",
        )

    @property
    def flush_every_s(self) -> float:
        return self._context.cadence.publish_s

    async def flush(self, partition: int, owned: Owned[Merger], checkpoint: bool) -> float:
        """Flushes in this order; a checkpoint is a copy of the state from before the documents, which may be newer:

        1. the documents (under backlog, without a checkpoint, those of windows that have ended), acknowledged by a
           majority and on disk; with rules for alerts, the windows to evaluate again and the time up to which all is
           published; for a checkpoint, the mark with its position
        2. the checkpoint's entries
        3. its cursor, behind them in the log, acknowledged, and it counts
        4. the group's commit, see group.py; and the records below the cursor are deleted from `movie-partials`
        """
        table, state = owned.table, owned.table.state
        held = partial(self.holds, partition, owned)
        owned.flush_blocked_on = "that MongoDB takes its documents"
        await self._fetch(state, held)
        frozen = table.freeze() if checkpoint else None
        watermarks, windows = dict(state.watermarks), set[WindowKey]()
        everything = checkpoint or partition in self.paused or self._is_live(partition, owned)
        arrivals = state.take_arrivals() if everything else Arrivals()
        replaced = await self._write(state, self._due(state, everything), held, windows)  # 1
        self.delays.written(arrivals.kafka_times.take(), arrivals.event_times.take())
        if (completeness := self._context.completeness) is not None:
            publish = partial(completeness.published, partition, watermarks if everything else None, windows)
            await self._mongodb.retrying("progress", publish, held)
        if everything and partition in self.paused:
            self.pause(partition, False)
        if frozen is not None:
            await self._mark(partition, frozen.position, held)
            await self._checkpoint(partition, owned, frozen, marked=True)  # 2, 3, 4
            await self._broker.delete_before(self.topic, partition, await self._deletable(partition, frozen.position))
        state.drop_final(self._context.rules.allowed_lateness_ms, ROWS_IN_MEMORY)
        if checkpoint:
            await self._evict(state, held)
        return replaced

    def _due(self, state: Merger, everything: bool) -> dict[DocumentKey, None]:
        """The keys whose documents are written now, in the order of their first change. Under backlog each source
        partition is at a time of its own, and the documents of open windows would be written again for each.
        """
        return state.dirty.copy() if everything else state.dirty_and_ended()

    def _is_worth_a_flush(self, partition: int, owned: Owned[Merger]) -> bool:
        """... and not so far that making the documents would be cut off."""
        return len(owned.table.state.dirty) <= DOCUMENTS_AT_ONCE and super()._is_worth_a_flush(partition, owned)

    async def _mark(self, partition: int, position: int, held: Callable[[], bool]) -> None:
        """Records in MongoDB that all below a position is published. Raises WorkerFailed if the last mark is gone."""
        known = self._marks.get(partition)
        mark = partial(self._store.mark, partition, self._run_number, known, position)
        if not await self._mongodb.retrying("progress", mark, held):
            raise WorkerFailed(
                what="another run has begun"
                if known is None
                else f"MongoDB no longer says that {self.topic}, partition {partition}, is published up to offset "
                f"{known}: it was set back or deleted, or another run has begun",
                remedy="start it again: it says what to do",
            )
        self._marks[partition] = max(position, known or 0)

    def take(self, partition: int, table: Table[Merger], oldest: int, end: int) -> int:
        self._marks.pop(partition, None)
        if table.marked is not None:
            self._marks[partition] = table.marked
        if self._context.completeness is not None:
            self._context.completeness.forget(partition)
        return super().take(partition, table, oldest, end)

    async def _deletable(self, partition: int, position: int) -> int:
        """The offset before which no records are needed: that of the position, or of the claim if it is lower."""
        claim = self._context.claim
        if partition != PARTITION or claim is None:
            return position
        if self._claimed_at is None or position - self._claimed_at > CLAIM_EVERY:
            [self._claimed_at] = await self._broker.send(self.topic, partition, [encode(claim.claim)])
        return min(position, self._claimed_at)

    def idle(self, owned: Owned[Merger]) -> bool:
        return super().idle(owned) and not owned.table.state.dirty and not self._is_unreported(owned)

    def _is_unreported(self, owned: Owned[Merger]) -> bool:
        """Whether the partition's progress is not yet recorded for the rules for alerts."""
        completeness = self._context.completeness
        if completeness is None:
            return False
        partition = next((partition for partition, each in self.owned.items() if each is owned), None)
        return partition is not None and completeness.needs_report(partition, owned.table.state.watermarks)

    async def _write(
        self, state: Merger, due: dict[DocumentKey, None], held: Callable[[], bool], windows: set[WindowKey]
    ) -> float:
        """Writes the present documents of all keys in `due`; adds to `windows` those that rules for alerts use. Returns
        the share of the documents that were written before; 1 if there are none.
        """
        completeness = self._context.completeness
        made = replaced = 0
        while due:
            await self._fetch(state, held)
            documents = state.documents(DOCUMENTS_AT_ONCE, due)
            guarded = [
                GuardedDocument(key.collection, name, rev, self._run_number, encoded, is_new)
                for key, name, rev, encoded, is_new in documents
            ]
            try:
                report = await self._mongodb.retrying("write", partial(self._sink.write, guarded), held)
                self.written += report.changed
                self._check(report)
                if completeness is not None:
                    keys = (document.key for document in documents)
                    windows.update(
                        (key.collection, key.start_ms) for key in keys if completeness.is_used(key.collection)
                    )
            except BaseException:  # also on cancellation: documents that were not written stay due
                state.mark_dirty(document.key for document in documents)
                raise
            for document in documents:
                del due[document.key]
            made += len(documents)
            replaced += sum(not document.is_new for document in guarded)
        return replaced / made if made else 1.0

    def _check(self, report: WriteReport) -> None:
        """Logs and counts documents that were not written. Raises WorkerFailed if a later run has begun."""
        for outranked in report.outranked:
            raise WorkerFailed(
                what=f"run {outranked.run} has begun; this worker belongs to run {self._run_number}",
                remedy=RUN_SUPERSEDED,
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
        """Loads back the evicted partial results of keys that change again."""
        while state.unfetched:
            keys = list(state.unfetched)[:DOCUMENTS_AT_ONCE]
            await self._mongodb.retrying("load", partial(self._load, state, keys), held)
            state.fetched((), keys)

    async def _load(self, state: Merger, keys: Sequence[DocumentKey]) -> None:
        """Merges the stored payloads one by one: all of them together may be large."""
        ids = [store_key.id for key in keys for store_key in state.store_keys(key)]
        async for _, payload in self._store.load(ids, self._run_number):
            state.fetched((payload,), ())

    async def _evict(self, state: Merger, held: Callable[[], bool]) -> None:
        """Evicts keys of old windows to MongoDB when there are too many; skips those that cannot be evicted now."""
        at_most = limit = max(ROWS_IN_MEMORY, state.rows_in(BYTES_IN_MEMORY))
        while await self._evict_some(state, limit, held):
            limit = int(ROWS_LEFT * at_most)

    async def _evict_some(self, state: Merger, limit: int, held: Callable[[], bool]) -> int:
        """Evicts some keys if there are more than `limit` rows; returns the number of rows dropped."""
        stored: dict[StoreKey, Rev] = {}
        for portion in state.evictable(self._context.rules.allowed_lateness_ms, limit):
            stored |= await self._store_batch(state, portion, held)
        self.evictions += len(stored)
        return state.evict(stored)

    async def _store_batch(
        self, state: Merger, batch: Sequence[Evicted], held: Callable[[], bool]
    ) -> dict[StoreKey, Rev]:
        """Stores a batch; returns the revisions that are stored. Keys that MongoDB refuses are logged once."""
        store_keys = {evicted.store_key.id: evicted.store_key for evicted in batch}
        rows = [(evicted.store_key.id, evicted.rev, self._run_number, evicted.payload) for evicted in batch]
        report = await self._mongodb.retrying("store", partial(self._store.save, rows), held)
        self._check(WriteReport(outranked=report.outranked, incomparable=report.incomparable))
        for parked in report.parked:
            if (key := store_keys[parked.id].key) not in state.rejected:
                state.rejected.add(key)
                logger.error(
                    "%s: the partial results of %s stay in memory, MongoDB refuses to keep them: %s",
                    *(parked.collection, key.text, parked.reason),
                )
        not_stored = {alarm.id for alarm in report.incomparable} | {parked.id for parked in report.parked}
        return {evicted.store_key: evicted.rev for evicted in batch if evicted.store_key.id not in not_stored}
