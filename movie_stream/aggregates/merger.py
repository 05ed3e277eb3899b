"""The partials of all source partitions, merged into documents: the state of one partition of `movie-partials`.

For each key it holds the newest partial of every source partition, component by component. Keys of old windows can be
evicted into a store; the stored figures of a key are fetched before its document is made the next time. A list of
components may be too long for one document of the store: it is stored in parts, each with a guard of its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from statistics import median_low
from typing import Final, NamedTuple

import msgspec
import numpy as np

from movie_stream.aggregates import partial
from movie_stream.aggregates.aggregators import NewestTime, Part, ViewCount
from movie_stream.aggregates.arrivals import Arrivals
from movie_stream.aggregates.document_keys import DocumentKey, StoreKey, are_of_keys, keys_of
from movie_stream.aggregates.eviction import Evicted, HeldBlock, OldRows, Units, held_block, packed, store_keys
from movie_stream.aggregates.fields import COMPONENTS, Components, Figures, Keys, Top
from movie_stream.aggregates.groups import Groups, compact, released
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.events.chunk import Chunk
from movie_stream.tables.claim import Claim, claim_in


class Document(NamedTuple):
    """A result document; `rev` is a version vector with one number for each source partition."""

    key: DocumentKey
    id: str
    rev: tuple[int, ...]
    encoded: bytes
    """The document as BSON, with `_id`, `_rev` and `_run`."""
    is_new: bool
    """Whether this state has neither made nor restored it before; another owner may have written it."""


class RunSuperseded(RuntimeError):
    """A partial of a later run was read: this worker is fenced."""


class Eviction(msgspec.Struct, array_like=True, tag="evicted"):
    """Rows of windows that start before `before_ms` were dropped from memory, except for the keys in `stays`, by start
    and value. Rows that follow in the changelog are in memory.
    """

    collection: str
    before_ms: int
    stays: list[tuple[int, str]]


class Watermarks(msgspec.Struct, array_like=True, tag="watermarks"):
    """The watermarks of the source partitions."""

    timestamp_ms: dict[int, int]
    with_closed_ms: dict[int, int] = {}
    """Those that followed the partials of all windows that they close; older versions wrote none."""


DROPPED_AT_ONCE: Final = 8_000
"""Rows to evict before they are dropped, or an eighth of all: dropping some passes over all that stay, and blocks
everything else.
"""

Entry = HeldBlock | Eviction | Watermarks
_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Entry] = msgspec.msgpack.Decoder(Entry)
_BLOCKS: msgspec.msgpack.Decoder[list[HeldBlock]] = msgspec.msgpack.Decoder(list[HeldBlock])


class Merger:
    """The state of one partition of `movie-partials`; `position` is the next offset to apply."""

    def __init__(
        self,
        partitions: int,
        run: int = 1,
        results: tuple[Result, ...] = RESULTS,
        block_bytes: int | None = None,
    ) -> None:
        """Blocks in the changelog have up to `block_bytes` (None: BLOCK_BYTES)."""
        self._partitions, self._run, self._block_bytes = partitions, run, block_bytes
        self._results = {result.collection: result for result in results}
        self._layouts = {result.collection: result.layout(partitions) for result in results}
        self.reset()

    def reset(self) -> None:
        """Drops the whole state."""
        self.position = 0
        self.watermarks: dict[int, int] = {}
        self._with_closed: dict[int, int] = {}  # see Watermarks
        self.dirty: dict[DocumentKey, None] = {}
        """Keys that changed since their document was made, in the order of the first change."""
        self.unfetched: dict[DocumentKey, None] = {}
        """Dirty keys that may have older figures in the store, in the order of arrival."""
        self.rejected: set[DocumentKey] = set()
        """Keys that the store rejects; they are not evicted."""
        self._names: defaultdict[str, PackedNames] = defaultdict(PackedNames)  # by column
        self._shown = _NameTables(PackedNames(), PackedNames())
        self._held: dict[tuple[str, int], Groups] = {}
        self._evicted_before: dict[str, int] = {}
        self._evictions: dict[str, int] = {}  # since the last checkpoint
        self._watermarks_changed = False
        self._moved: set[int] = set()
        self._active: set[int] | None = None
        """The source partitions whose watermarks moved since the last checkpoint, and between the two before; None
        before the first checkpoint.
        """
        self.arrivals = Arrivals()
        """The times of the views whose partials were merged since they were last taken."""

    watermark_ms: int | None = None
    """Required by the table; the log of partials has no watermark of its own."""

    def __len__(self) -> int:
        """The number of rows in memory."""
        return sum(map(len, self._held.values()))

    def apply(self, chunk: Chunk) -> None:
        """Applies the messages from `position` on.

        Raises RunSuperseded, and msgspec.DecodeError for an invalid message.
        """
        if chunk.end <= self.position:
            return
        if chunk.start > self.position:
            raise RuntimeError(f"expected offset {self.position} of movie-partials, got {chunk.start}")
        for value in chunk.since(self.position).values:
            claim = claim_in(value)
            message = claim or partial.decode(value or b"")
            if message.run > self._run:
                owner = f", of {claim}," if claim else ""
                raise RunSuperseded(f"run {message.run}{owner} has begun; this worker belongs to run {self._run}")
            if not isinstance(message, Claim) and message.run == self._run:
                self._take(message, len(value or b""))
            del message  # frees its memory before the next one is decoded
        self.position = chunk.end

    def _take(self, message: partial.Partial | partial.Watermark, size: int) -> None:
        if isinstance(message, partial.Watermark):
            self.arrivals.kafka_times.extend(message.kafka_times)
            self.arrivals.event_times.extend(message.event_times)
            for watermarks in (self.watermarks, self._with_closed)[: 1 + message.with_closed]:
                if message.timestamp_ms > watermarks.get(message.partition, -1):
                    watermarks[message.partition] = message.timestamp_ms
                    self._watermarks_changed = True
                    self._moved.add(message.partition)
            return
        groups = self._groups(message.block.collection, message.partition)
        known = len(groups)
        groups.weigh(message.block, size)
        rows = groups.merge(message.block)
        evicted_before = self._evicted_before.get(message.block.collection, 0)
        self.mark_dirty(keys_of(groups, rows))
        if evicted_before:
            fresh = rows[(rows >= known) & (groups.starts[rows] < evicted_before)]
            self.unfetched.update(dict.fromkeys(keys_of(groups, fresh)))

    def _groups(self, collection: str, partition: int) -> Groups:
        groups = self._held.get((collection, partition))
        if groups is None:
            result = self._results[collection]
            names = self._names[result.grouped_by] if result.grouped_by else None
            groups = self._held[collection, partition] = Groups(result, names, self._shown, live=False)
        return groups

    def store_keys(self, key: DocumentKey) -> list[StoreKey]:
        """The keys under which the parts of a document may be stored."""
        return store_keys(self._results[key.collection], key)

    def fetched(self, payloads: Iterable[bytes], asked: Iterable[DocumentKey]) -> None:
        """Merges the payloads from the store; the keys in `asked` are then complete."""
        for payload in payloads:
            for held in _BLOCKS.decode(payload):
                groups = self._groups(held.block.collection, held.partition)
                rows = groups.merge(held.block)
                groups.written.values[rows] = True
        for key in tuple(asked):
            self.unfetched.pop(key, None)

    def take_arrivals(self) -> Arrivals:
        """Returns `arrivals`, and clears them."""
        taken, self.arrivals = self.arrivals, Arrivals()
        return taken

    def dirty_and_ended(self) -> dict[DocumentKey, None]:
        """The dirty keys of windows that end before the watermarks of all source partitions that are being read: if
        views come in about their order, these do not change again.
        """
        active = self._active | self._moved if self._active is not None else set(range(self._partitions))
        if not active or not active <= self.watermarks.keys():
            return {}
        until_ms = min(self.watermarks[partition] for partition in active)
        lengths_ms = {name: result.window.length_ms for name, result in self._results.items()}
        before_ms = {name: until_ms - length_ms for name, length_ms in lengths_ms.items() if length_ms is not None}
        return {key: None for key in self.dirty if key.start_ms <= before_ms.get(key.collection, -1)}

    def documents(self, limit: int, among: Iterable[DocumentKey] | None = None) -> list[Document]:
        """Makes the documents of up to `limit` dirty keys, the first ones of `among`, and marks them clean; keys not
        yet fetched stay dirty.
        """
        keys = []
        for key in self.dirty if among is None else among:
            if key not in self.unfetched:
                keys.append(key)
                if len(keys) == limit:
                    break
        for key in keys:
            del self.dirty[key]
        return [
            document
            for collection, some_keys in _by_collection(keys).items()
            for document in self._documents(self._results[collection], some_keys)
        ]

    def mark_dirty(self, keys: Iterable[DocumentKey]) -> None:
        """Marks keys dirty, among them those whose documents could not be written."""
        self.dirty.update(dict.fromkeys(keys))

    def _documents(self, result: Result, keys: Sequence[DocumentKey]) -> Iterator[Document]:
        revs, known = np.zeros((len(keys), self._partitions), np.int64), np.zeros(len(keys), np.bool_)
        starts = np.array([key.start_ms for key in keys], np.int64)
        if result.top is not None:
            figures = self._top_figures(result, result.top, starts, revs, known)
        else:
            ids = self._names[result.by].ids([key.value for key in keys]) if result.by else None
            parts = self._parts(result.collection)
            found = [(partition, groups, groups.find(starts, ids)) for partition, groups in parts.items()]
            for partition, groups, rows in found:
                present = np.flatnonzero(rows >= 0)
                revs[present, partition] = groups.label.values[rows[present]] + 1
                known[present] |= _note_written(groups, rows[present])
            figures = _merged(result, [(groups, rows) for _, groups, rows in found], len(keys))
        named = Keys(result.window, starts, [key.value for key in keys])
        columns = result.columns(named, figures)
        encoded = self._layouts[result.collection].encode([*columns, *revs.T, self._run], len(keys))
        return map(Document, keys, columns[0], map(tuple, revs.tolist()), encoded, (~known).tolist())

    def _top_figures(self, result: Result, top: Top, starts: Ints, revs: Ints, known: Bools) -> Figures:
        """Of each window the components with most views over all partitions, each merged from its partitions' rows;
        fills in `revs` and `known`.
        """
        parts, names = self._parts(result.collection), self._names[top.of]
        newest_ms, of_window = np.zeros(len(starts), np.int64), np.argsort(starts)
        found = [(groups, *_rows_of_windows(groups, starts[of_window])) for groups in parts.values()]
        for partition, (groups, rows, sorted_window) in zip(parts, found, strict=True):
            windows = of_window[sorted_window]
            np.add.at(revs[:, partition], windows, groups.label.values[rows] + 1)
            known[windows[_note_written(groups, rows)]] = True
            if NewestTime() in result.held:
                np.maximum.at(newest_ms, windows, groups.held[NewestTime.name].values[rows])
        window = np.concatenate([of_window[sorted_window] for _, _, sorted_window in found])
        ids = np.concatenate([groups.ids[rows] for groups, rows, _ in found], dtype=np.int64)
        views = np.concatenate([groups.held[ViewCount.name].values[rows] for groups, rows, _ in found])
        order = np.argsort(window, kind="stable")
        ends = np.cumsum(np.bincount(window, minlength=len(starts)))
        shown, counts = names.most_viewed(ids[order], views[order], ends, top.limit)
        of_shown = np.repeat(starts, counts)
        merged = _merged(result, [(groups, groups.find(of_shown, shown)) for groups in parts.values()], len(shown))
        return {COMPONENTS: Components(counts, names.spans(shown), merged), NewestTime.name: newest_ms}

    def drop_final(self, allowed_lateness_ms: int, limit: int) -> None:
        """Drops the windows that no source partition can change any more, if more than `limit` rows that can ever be
        evicted are held. Their documents are final and written, so nothing of them has to be stored.

        A partial that comes of one nevertheless is a stale copy, and so is the document that is made of it.
        """
        if self._evictable_rows() <= limit or len(self._with_closed) < self._partitions:
            return
        closed_before, dirty = self._closed_by_all(allowed_lateness_ms), _by_collection(self.dirty)
        for collection, result in self._results.items():
            length = result.window.length_ms
            if length is None or result.aggregates_users:  # a session changes the day that it began on
                continue
            before = closed_before - length + 1
            parts = self._parts(collection).values()
            if not any((groups.starts < before).any() for groups in parts):
                continue
            unwritten = [key for key in dirty.get(collection, ()) if key.start_ms < before]
            for groups in parts:
                groups.keep(np.flatnonzero((groups.starts >= before) | are_of_keys(groups, unwritten)))
            before = max(before, self._evicted_before.get(collection, 0))
            self._evicted_before[collection] = self._evictions[collection] = before
        self._compact_names()

    def _closed_by_all(self, allowed_lateness_ms: int) -> int:
        """The time before which all source partitions count no view any more, and have sent what they counted."""
        return min(self._with_closed.values()) - allowed_lateness_ms

    def evictable(self, allowed_lateness_ms: int, limit: int) -> Iterator[list[Evicted]]:
        """The figures of the oldest windows that are closed by the median watermark, if more than `limit` rows that can
        ever be evicted are held: as many as are too many, up to DROPPED_AT_ONCE. They come in portions, each as of when
        it is requested; then `evict` drops what is stored.

        Keys whose document is not yet written are left out: no part may be stored before it.
        """
        rows = self._evictable_rows()
        if rows <= limit or not self.watermarks:
            return
        closed_before = median_low(self.watermarks.values()) - allowed_lateness_ms
        old = []
        for collection, result in self._results.items():
            if (length := result.window.length_ms) is not None and (parts := self._parts(collection)):
                closed = {number: groups.starts + length <= closed_before for number, groups in parts.items()}
                old.append(OldRows(parts, {number: np.flatnonzero(are) for number, are in closed.items()}))
        enough = min(rows - limit, max(DROPPED_AT_ONCE, rows // 8))
        yield from packed(old, self._partitions, self._stays, enough)

    def _stays(self, key: DocumentKey) -> bool:
        """Whether a key cannot be evicted now."""
        return key in self.dirty or key in self.rejected

    def rows_in(self, size: int) -> int:
        """About how many rows that can be evicted take this many bytes of memory, as those that are held do."""
        held = [(len(groups), groups.row_bytes) for groups in self._held.values() if groups.result.window.length_ms]
        rows = sum(count for count, _ in held)
        return int(size * rows / sum(count * row_bytes for count, row_bytes in held)) if rows else 0

    def _evictable_rows(self) -> int:
        """The number of rows, without those of all time and of keys that the store rejects."""
        rows = sum(len(groups) for groups in self._held.values() if groups.result.window.length_ms is not None)
        for collection, keys in _by_collection(self.rejected).items():
            rows -= sum(int(are_of_keys(groups, keys).sum()) for groups in self._parts(collection).values())
        return rows

    def _parts(self, collection: str) -> dict[int, Groups]:
        """The groups of a collection, by source partition."""
        return {partition: groups for (name, partition), groups in sorted(self._held.items()) if name == collection}

    def _units(self, collection: str, starts: Collection[int]) -> Units:
        """What is held of these windows, in units as they are stored."""
        return OldRows.of_windows(self._parts(collection), starts).units(min(starts), max(starts), self._partitions)

    def evict(self, stored: Mapping[StoreKey, tuple[int, ...]]) -> int:
        """Drops the keys whose parts are all up to date in the store; `stored` has the `_rev` of each part there.
        Returns the number of rows dropped.
        """
        dropped = 0
        for collection, keys in _by_collection(key for key, _ in stored).items():
            starts = {key.start_ms for key in keys}
            before = max(max(starts) + 1, self._evicted_before.get(collection, 0))
            self._evicted_before[collection] = self._evictions[collection] = before
            units = self._units(collection, starts)
            stay = {
                store_key.key
                for store_key, rev in zip(units.keys, units.revs, strict=True)
                if store_key.key in self.dirty or stored.get(store_key) != rev
            }
            gone = np.array([key not in stay for key, _ in units.keys], np.bool_)
            for groups, rows in units.rows(gone):
                kept = np.ones(len(groups), np.bool_)
                kept[rows] = False
                groups.keep(np.flatnonzero(kept))
                dropped += len(rows)
        self._compact_names()
        return dropped

    def _compact_names(self) -> None:
        for names in (*self._names.values(), *self._shown):
            compact(names, self._held.values())

    def freeze(self, snapshot: bool) -> Iterator[bytes]:
        """The entries of a checkpoint: the changes since the last call, or the whole state if `snapshot`.

        All keys have to be fetched. The state is copied now; each entry is released before the next one is yielded.
        """
        assert not self.unfetched, "a key's older part has to be fetched before the key is saved"
        evictions = self._evicted_before if snapshot else self._evictions
        entries = [
            _ENCODER.encode(Eviction(collection, before, [] if snapshot else self._held_before(collection, before)))
            for collection, before in evictions.items()
        ]
        if snapshot or self._watermarks_changed:
            entries.append(_ENCODER.encode(Watermarks(self.watermarks, self._with_closed)))
        for (_, partition), groups in self._held.items():
            rows = np.arange(len(groups)) if snapshot else np.flatnonzero(groups.unsaved.values)
            blocks = groups.blocks(rows, self._block_bytes)
            entries.extend(_ENCODER.encode(held_block(partition, block)) for block in blocks)
            groups.unsaved.values[:] = False
        self._evictions, self._watermarks_changed = {}, False
        self._active, self._moved = self._moved, set()
        return released(entries)

    def _held_before(self, collection: str, before_ms: int) -> list[tuple[int, str]]:
        """Start and value of the keys in memory whose window starts before a time."""
        return sorted(
            {
                (key.start_ms, key.value)
                for groups in self._parts(collection).values()
                for key in keys_of(groups, np.flatnonzero(groups.starts < before_ms))
            }
        )

    def load(self, entry: bytes) -> None:
        """Loads an entry of a checkpoint; entries have to be loaded in log order."""
        message = _DECODER.decode(entry)
        if isinstance(message, Watermarks):
            self.watermarks, self._with_closed = message.timestamp_ms, message.with_closed_ms
        elif isinstance(message, Eviction):
            self._evicted_before[message.collection] = message.before_ms
            stay = [DocumentKey(message.collection, start_ms, value) for start_ms, value in message.stays]
            for groups in self._parts(message.collection).values():
                groups.keep(np.flatnonzero((groups.starts >= message.before_ms) | are_of_keys(groups, stay)))
        else:
            self._groups(message.block.collection, message.partition).merge(message.block)

    def loaded(self, position: int, watermark_ms: int | None) -> None:
        """Ends a restore: marks everything loaded as written and saved."""
        self.position = position
        for groups in self._held.values():
            groups.unsaved.values[:] = False
            groups.written.values[:] = True


class _NameTables(NamedTuple):
    """The names that documents show."""

    titles: PackedNames
    spellings: PackedNames


def _merged(result: Result, rows_of: Sequence[tuple[Groups, Ints]], count: int) -> Figures:
    """The figures of groups; `rows_of` has each group's row in every source partition, -1 if it has none there."""
    present = [(groups, rows, np.flatnonzero(rows >= 0)) for groups, rows in rows_of]
    return {
        held.name: held.merge([Part(groups.held[held.name], rows[at], at) for groups, rows, at in present], count)
        for held in result.held
    }


def _rows_of_windows(groups: Groups, starts: Ints) -> tuple[Ints, Ints]:
    """The rows of the windows with these starts, which are sorted; and the index of each one's window."""
    window = np.minimum(np.searchsorted(starts, groups.starts), len(starts) - 1)
    rows = np.flatnonzero(starts[window] == groups.starts)
    return rows, window[rows]


def _note_written(groups: Groups, rows: Ints) -> Bools:
    """Notes that the documents of rows are made; returns which rows were in one before."""
    before: Bools = groups.written.values[rows]
    groups.written.values[rows] = True
    return before


def _by_collection(keys: Iterable[DocumentKey]) -> dict[str, list[DocumentKey]]:
    """The keys by collection."""
    found: defaultdict[str, list[DocumentKey]] = defaultdict(list)
    for key in keys:
        found[key.collection].append(key)
    return found
