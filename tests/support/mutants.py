"""Breaks one rule of the protocol at a time, so that the simulation in schedules.py is known to be able to fail."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Awaitable, Callable, Iterable, Mapping
from itertools import repeat
from typing import Any, Final

import numpy as np
import pytest
from msgspec import structs

from movie_stream.agents.accumulate import Accumulate
from movie_stream.agents.owner import Owned, Owner
from movie_stream.agents.publish import Publish
from movie_stream.aggregates import accumulator, merger, partial
from movie_stream.aggregates.accumulator import Accumulator
from movie_stream.aggregates.document_keys import DocumentKey, StoreKey
from movie_stream.aggregates.groups import Block, Groups
from movie_stream.aggregates.merger import Eviction, Merger
from movie_stream.aggregates.refused import OpenOriginals
from movie_stream.aggregates.users import Users
from movie_stream.columnar.columns import Ints
from movie_stream.mongo.guard import GuardedDocument, Rev, guarded
from movie_stream.tables import checkpoint, table
from movie_stream.tables.checkpoint import Chain, CheckpointId, CountedCheckpoint, Cursor, EntryRecord
from movie_stream.tables.claim import claim_in
from movie_stream.tables.table import Frozen, Table
from tests.support import schedules
from tests.support.schedules import HOUR_MS, FakeMongo, Process

Mutant = Callable[[pytest.MonkeyPatch], None]
"""Breaks something for as long as the patch lasts."""


def cursor_before_entries(patch: pytest.MonkeyPatch) -> None:
    """... and its entries are not counted: with them counted it would do no harm."""
    entries_not_counted(patch)

    async def write(self: Table[Any], frozen: Frozen, marked: bool = False) -> None:
        entries, frozen = frozen.entries, dataclasses.replace(frozen, entries=[])
        await original(self, frozen, marked)
        own = CheckpointId(self._writer, self._sequence)
        await self._log.append(
            [checkpoint.encode(EntryRecord(own, index, payload)) for index, payload in enumerate(entries)]
        )

    original = Table.checkpoint
    patch.setattr(Table, "checkpoint", write)


def entries_not_counted(patch: pytest.MonkeyPatch) -> None:
    """A cursor counts with as many of its entries as there are."""

    class NotCounting(Chain):
        def __init__(self, run: str) -> None:
            super().__init__(run)
            self.held: dict[CheckpointId, list[int]] = {}

        def read(self, value: bytes | None) -> CountedCheckpoint | None:
            if claim_in(value) is None:
                record = checkpoint.decode(value)
                held = self.held.setdefault(record.id, [])
                if isinstance(record, EntryRecord):
                    held += [record.index] if record.index not in held else []
                    value = checkpoint.encode(structs.replace(record, index=held.index(record.index)))
                else:
                    value = checkpoint.encode(structs.replace(record, entries=len(held)))
            return super().read(value)

    patch.setattr(table, "Chain", NotCounting)


def parent_not_checked(patch: pytest.MonkeyPatch) -> None:
    """A cursor counts whatever its parent is."""

    class Orphaned(Chain):
        def read(self, value: bytes | None) -> CountedCheckpoint | None:
            if claim_in(value) is None:
                record = checkpoint.decode(value)
                if isinstance(record, Cursor):
                    follows = structs.replace(record, parent=self.last, snapshot=record.snapshot or self.last is None)
                    value = checkpoint.encode(follows)
            return super().read(value)

    patch.setattr(table, "Chain", Orphaned)


def watermark_not_restored(patch: pytest.MonkeyPatch) -> None:
    original = Accumulator.loaded
    patch.setattr(Accumulator, "loaded", lambda self, position, _: original(self, position, None))


def cursor_of_another_instant(patch: pytest.MonkeyPatch) -> None:
    original = Table.checkpoint

    async def write(self: Table[Any], frozen: Frozen, marked: bool = False) -> None:
        now = dataclasses.replace(frozen, position=self.state.position, watermark_ms=self.state.watermark_ms)
        await original(self, now, marked)

    patch.setattr(Table, "checkpoint", write)


def not_read_back(patch: pytest.MonkeyPatch) -> None:
    async def read_back(self: Table[Any], cursor: Cursor, offsets: list[int]) -> bool:
        self._chain.last, self._next_offset = cursor.id, offsets[-1] + 1
        return True

    patch.setattr(Table, "_read_back", read_back)


def partials_cut_too_early(patch: pytest.MonkeyPatch) -> None:
    """Up to where the publisher is, instead of up to its cursor."""
    original = schedules.FakeBroker.delete_before

    async def delete_before(self: schedules.FakeBroker, topic: str, partition: int, offset: int) -> None:
        owned = schedules._PROCESS.get().owned
        assert owned is not None
        await original(self, topic, partition, owned.table.state.position)

    patch.setattr(schedules.FakeBroker, "delete_before", delete_before)


def label_is_the_position_when_sent(patch: pytest.MonkeyPatch) -> None:
    def relabel(value: bytes, process: Process) -> bytes:
        message = partial.decode(value)
        if isinstance(message, partial.Watermark) or process.owned is None:
            return value
        position = process.owned.table.state.position
        message.block.labels = np.full(len(message.block), position - 1, np.int64).tobytes()
        return partial.encode(message)

    patch.setattr(schedules.World, "relabel", staticmethod(relabel))


def labels_compared_by_key(patch: pytest.MonkeyPatch) -> None:
    original = Groups.merge

    def merge(self: Groups, block: Block) -> Ints:
        starts, labels = np.frombuffer(block.starts, np.int64), np.frombuffer(block.labels, np.int64)
        newest = np.array(
            [self.label.values[self.starts == start].max(initial=-1) for start in starts.tolist()], np.int64
        )
        block.labels = np.where(labels > newest, labels, -1).tobytes()
        return original(self, block)

    patch.setattr(Groups, "merge", merge)


def labels_not_compared(patch: pytest.MonkeyPatch) -> None:
    original = Groups.merge

    def merge(self: Groups, block: Block) -> Ints:
        starts = np.frombuffer(block.starts, np.int64)
        ids = None if block.names is None or self.names is None else self.names.unpack(*block.names)
        rows = self.rows(starts, ids)
        self.label.values[rows] = -1
        return original(self, block)

    patch.setattr(Groups, "merge", merge)


def forgotten_too_early(patch: pytest.MonkeyPatch) -> None:
    original = Accumulator.drop_expired

    def drop_expired(self: Accumulator) -> None:
        watermark_ms = self.watermark_ms
        if watermark_ms is not None:
            self.watermark_ms = watermark_ms + 2 * HOUR_MS
        original(self)
        self.watermark_ms = watermark_ms

    patch.setattr(Accumulator, "drop_expired", drop_expired)


def late_by_chunk(patch: pytest.MonkeyPatch) -> None:
    def split(self: Accumulator, views: Any, chunk: Any, copies: Any) -> Any:
        timely = views.timestamp_ms >= self.threshold_ms
        late = views.index[~timely].tolist()
        originals = [copies.get(int(chunk.offsets[index])) for index in late]
        letters = [self._dead_letter(chunk, *each) for each in zip(late, repeat("late"), repeat(""), originals)]
        return views.take(timely), letters

    patch.setattr(Accumulator, "_split_late", split)


def evictions_not_saved(patch: pytest.MonkeyPatch) -> None:
    original = Merger.freeze

    def freeze(self: Merger, snapshot: bool) -> list[bytes]:
        self._evictions = {}
        entries = original(self, snapshot)
        return [entry for entry in entries if not isinstance(merger._DECODER.decode(entry), Eviction)]

    patch.setattr(Merger, "freeze", freeze)


def what_is_stored_not_fetched(patch: pytest.MonkeyPatch) -> None:
    def fetched(self: Merger, payloads: Iterable[bytes], asked: Iterable[DocumentKey]) -> None:
        for key in tuple(asked):
            self.unfetched.pop(key, None)

    patch.setattr(Merger, "fetched", fetched)


def only_one_part_fetched(patch: pytest.MonkeyPatch) -> None:
    original = Merger.store_keys
    patch.setattr(Merger, "store_keys", lambda self, key: original(self, key)[:1])


def evicted_although_changed(patch: pytest.MonkeyPatch) -> None:
    original = Merger.evict

    def evict(self: Merger, stored: Mapping[StoreKey, Rev]) -> None:
        dirty, self.dirty = self.dirty, {}
        original(self, _as_they_are(self, stored))
        self.dirty = dirty

    patch.setattr(Merger, "evict", evict)


def final_for_one_source(patch: pytest.MonkeyPatch) -> None:
    def closed(self: Merger, allowed_lateness_ms: int) -> int:
        return max(self._with_closed.values()) - allowed_lateness_ms

    patch.setattr(Merger, "_closed_by_all", closed)


def dropped_too_early(patch: pytest.MonkeyPatch) -> None:
    original = Merger._closed_by_all
    patch.setattr(Merger, "_closed_by_all", lambda self, allowed_lateness_ms: original(self, 0))


def _as_they_are(merger: Merger, stored: Mapping[StoreKey, Rev]) -> dict[StoreKey, Rev]:
    """All parts of the keys in `stored`, as if the store held their present state."""
    keys = {store_key.key for store_key in stored}
    of_windows = [merger._units(key.collection, [key.start_ms]) for key in keys]
    return {
        store_key: rev
        for units in of_windows
        for store_key, rev in zip(units.keys, units.revs, strict=True)
        if store_key.key in keys
    }


def sessions_touch_only_their_own_day(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Users, "_touch_spanned", lambda self, start, end, label: None)


def new_users_touch_only_the_new_day(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Users, "_touch", lambda self, day, offset: None)


def refusals_not_saved(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenOriginals, "blocks", lambda self, snapshot, most=None: iter(()))


def originals_not_closed(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenOriginals, "close", lambda self, original: None)


def copies_of_anything_count(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(OpenOriginals, "is_open", lambda self, original, copy: True)


def copies_not_parted(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(accumulator, "_parts", lambda chunk, originals: iter((chunk,)))


def open_windows_left_out_of_checkpoints(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Publish, "_due", lambda self, state, everything: state.dirty_and_ended())


def cursor_before_mark(patch: pytest.MonkeyPatch) -> None:
    mark, checkpoint_of = Publish._mark, Table.checkpoint
    late: dict[int, Callable[[], Awaitable[None]]] = {}

    async def later(self: Publish, partition: int, position: int, held: Callable[[], bool]) -> None:
        if partition in self.owned:
            late[id(self.owned[partition].table)] = functools.partial(mark, self, partition, position, held)

    async def write(self: Table[Any], frozen: Frozen, marked: bool = False) -> None:
        await checkpoint_of(self, frozen, marked)
        if marked and (tell := late.pop(id(self), None)):
            await tell()

    patch.setattr(Publish, "_mark", later)
    patch.setattr(Table, "checkpoint", write)


def mark_left_out(patch: pytest.MonkeyPatch) -> None:
    async def nothing(self: Publish, partition: int, position: int, held: Callable[[], bool]) -> None:
        """The cursor says that there is one."""

    patch.setattr(Publish, "_mark", nothing)


def mark_not_written(patch: pytest.MonkeyPatch) -> None:
    async def mark(self: FakeMongo, partition: int, run: int, known: int | None, position: int) -> bool:
        return True

    patch.setattr(FakeMongo, "mark", mark)


def mark_not_checked(patch: pytest.MonkeyPatch) -> None:
    original = FakeMongo.mark

    async def mark(self: FakeMongo, partition: int, run: int, known: int | None, position: int) -> bool:
        return await original(self, partition, run, None, position)

    patch.setattr(FakeMongo, "mark", mark)


def mark_without_majority(patch: pytest.MonkeyPatch) -> None:
    async def mark(self: FakeMongo, partition: int, run: int, known: int | None, position: int) -> bool:
        self.replace(guarded("_partials", f"mark {partition}", (position,), run, {}))
        return True

    patch.setattr(FakeMongo, "mark", mark)


def new_put_over_what_is_there(patch: pytest.MonkeyPatch) -> None:
    original = FakeMongo.replace

    def replace(self: FakeMongo, document: GuardedDocument) -> None:
        if document.is_new:
            self.documents.pop((document.collection, document.id), None)
        original(self, document)

    patch.setattr(FakeMongo, "replace", replace)


def kept_state_not_checked(patch: pytest.MonkeyPatch) -> None:
    async def resume(self: Table[Any], end: int) -> bool:
        return True

    patch.setattr(Table, "resume", resume)


def kept_state_checked_without_the_tail(patch: pytest.MonkeyPatch) -> None:
    """What others have written is skipped, and not read."""

    async def resume(self: Table[Any], end: int) -> bool:
        self._next_offset = max(end, self._next_offset or 0)
        return True

    patch.setattr(Table, "resume", resume)


def kept_although_its_flush_was_cut_off(patch: pytest.MonkeyPatch) -> None:
    async def flush(self: Owner[Any], partition: int, owned: Owned[Any], checkpoint: bool) -> float:
        return await self.flush(partition, owned, checkpoint)

    patch.setattr(Owner, "flush_whole", flush)


def dead_letters_of_a_kept_state_dropped(patch: pytest.MonkeyPatch) -> None:
    original = Accumulate.take

    def take(self: Accumulate, partition: int, table: Table[Any], oldest: int, end: int) -> int:
        self._letters.pop(partition, None)
        return original(self, partition, table, oldest, end)

    patch.setattr(Accumulate, "take", take)


def world(rule: str) -> Mutant:
    """A rule that the simulated world itself can break."""

    def mutant(patch: pytest.MonkeyPatch) -> None:
        original = schedules.World.__init__

        def init(self: schedules.World, seed: int) -> None:
            original(self, seed, frozenset({rule}))

        patch.setattr(schedules.World, "__init__", init)

    return mutant


MUTANTS: Final[dict[str, Mutant]] = {
    "the cursor before its entries, and these not counted": cursor_before_entries,
    "a cursor's parent not checked": parent_not_checked,
    "the watermark not restored": watermark_not_restored,
    "the cursor not of the flush's instant": cursor_of_another_instant,
    "not asked whether the cursor counted": not_read_back,
    "partials cut before the cursor": partials_cut_too_early,
    "the cursor before the partials' acknowledgement": world("early acknowledgement"),
    "the cursor before the documents' acknowledgement": world("early acknowledgement of documents"),
    "no majority asked for": world("no majority"),
    "documents unguarded": world("unguarded"),
    "an insert's duplicate key taken for written": world("duplicate keys"),
    "what is taken for new put over what is there": new_put_over_what_is_there,
    "evicted without being stored": world("eviction without store"),
    "the label is the position when sent": label_is_the_position_when_sent,
    "labels compared by key": labels_compared_by_key,
    "labels not compared": labels_not_compared,
    "forgotten a window too early": forgotten_too_early,
    "late by chunk": late_by_chunk,
    "evictions missing from deltas": evictions_not_saved,
    "what lies in the store not fetched": what_is_stored_not_fetched,
    "only one part of a list fetched": only_one_part_fetched,
    "evicted although changed": evicted_although_changed,
    "final for one source, and dropped": final_for_one_source,
    "dropped within the allowed lateness": dropped_too_early,
    "a joined session leaves the days in between": sessions_touch_only_their_own_day,
    "a new user leaves the day of the former first view": new_users_touch_only_the_new_day,
    "refusals missing from checkpoints": refusals_not_saved,
    "an original stays open though a copy counts": originals_not_closed,
    "copies of what counts count too": copies_of_anything_count,
    "a copy and its original judged together": copies_not_parted,
    "the cursor before the documents of open windows": open_windows_left_out_of_checkpoints,
    "the cursor before the mark": cursor_before_mark,
    "the mark left out, and the cursor says that it is there": mark_left_out,
    "the mark never written": mark_not_written,
    "the mark not checked": mark_not_checked,
    "the mark without a majority": mark_without_majority,
    "a kept state goes on whatever was written meanwhile": kept_state_not_checked,
    "a kept state skips what was written meanwhile": kept_state_checked_without_the_tail,
    "a state kept although its flush was cut off": kept_although_its_flush_was_cut_off,
    "the dead letters of a kept state dropped": dead_letters_of_a_kept_state_dropped,
}

SET_BACK: Final = frozenset({"the mark not checked"})
"""What does harm only where a backup is put back: see set_backs.py."""

NOTICED_BY: Final = {
    "a cursor's parent not checked": 12,
    "not asked whether the cursor counted": 4,
    "evicted without being stored": 2,
    "the cursor not of the flush's instant": 1,
    "documents unguarded": 3,
    "what is taken for new put over what is there": 17,
    "the label is the position when sent": 3,
    "labels compared by key": 1,
    "labels not compared": 3,
    "forgotten a window too early": 5,
    "evictions missing from deltas": 111,
    "what lies in the store not fetched": 9,
    "only one part of a list fetched": 13,
    "evicted although changed": 76,
    "final for one source, and dropped": 1,
    "dropped within the allowed lateness": 6,
    "a joined session leaves the days in between": 5,
    "a new user leaves the day of the former first view": 5,
    "a state kept although its flush was cut off": 118,
    "the dead letters of a kept state dropped": 62,
    "refusals missing from checkpoints": 1,
    "an original stays open though a copy counts": 2,
    "a copy and its original judged together": 1,
    "the mark not checked": 4,
}
"""Seeds that are known to notice, if the first does not: for the sake of speed, as others notice too."""
