"""The partials of all source partitions, merged into documents: the state of one partition of `movie-partials`.

For each key it holds the newest partial of every source partition, component by component. Keys of old windows can be
evicted into a store; the stored figures of a key are fetched before its document is made the next time. A list of
components may be too long for one document of the store: it is stored in parts, each with a guard of its own.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Final, NamedTuple

import msgspec
import numpy as np

from movie_stream.aggregates import partial
from movie_stream.aggregates.aggregators import NewestTime, Part, ViewCount
from movie_stream.aggregates.arrivals import Arrivals
from movie_stream.aggregates.fields import COMPONENTS, Components, Figures, Keys, Top
from movie_stream.aggregates.groups import Block, Groups, compact, released
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.columnar.packed_names import PackedNames
from movie_stream.events.chunk import Chunk
from movie_stream.tables.claim import Claim, claim_in


class DocumentKey(NamedTuple):
    """Identifies a document: its collection, its window's start in Unix milliseconds, and the value of the column that
    its result is grouped by, or "".
    """

    collection: str
    start_ms: int
    value: str

    @property
    def text(self) -> str:
        """The key as the `_id` of `_partials`."""
        return f"{self.collection}|{self.start_ms}|{self.value}"


class StoreKey(NamedTuple):
    """The key under which a document's figures, or a part of its list of components, are stored."""

    key: DocumentKey
    part: int | None = None

    @property
    def id(self) -> str:
        """The `_id` in `_partials`."""
        return self.key.text if self.part is None else f"{self.key.text}|{self.part}"


WindowKey = tuple[str, int]
"""A collection, and a window's start in Unix milliseconds."""


class Document(NamedTuple):
    """A result document; `rev` is a version vector with one number for each source partition."""

    key: DocumentKey
    id: str
    rev: tuple[int, ...]
    encoded: bytes
    """The document as BSON, with `_id`, `_rev` and `_run`."""
    is_new: bool
    """Whether this state has neither made nor restored it before; another owner may have written it."""


@dataclass(frozen=True, slots=True)
class Evicted:
    """The figures of a key, or of a part of one, serialized for the store."""

    store_key: StoreKey
    rev: tuple[int, ...]
    payload: bytes


class RunSuperseded(RuntimeError):
    """A partial of a later run was read: this worker is fenced."""


class HeldBlock(msgspec.Struct, array_like=True, tag="held"):
    """Rows of one source partition in the changelog."""

    partition: int
    block: Block


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


_Rows = dict[int, Ints]
"""Rows by source partition."""

EVICTED_AT_ONCE: Final = 2_000
"""The approximate number of rows to pack at a time; packing blocks everything else."""
PARTS: Final = 64
"""The parts in which a list of components is stored. The name of a component alone decides its part, so that a part
means the same rows to every worker at any time. Ten million films of an hour fit, and each part of a short list is
small.
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
                self._take(message)
            del message  # frees its memory before the next one is decoded
        self.position = chunk.end

    def _take(self, message: partial.Partial | partial.Watermark) -> None:
        if isinstance(message, partial.Watermark):
            self.arrivals.kafka_times.extend(message.kafka_times)
            self.arrivals.event_times.extend(message.event_times)
            if message.timestamp_ms > self.watermarks.get(message.partition, -1):
                self.watermarks[message.partition] = message.timestamp_ms
                self._watermarks_changed = True
            return
        groups = self._groups(message.block.collection, message.partition)
        known = len(groups)
        rows = groups.merge(message.block)
        evicted_before = self._evicted_before.get(message.block.collection, 0)
        self.mark_dirty(_keys(groups, rows))
        if evicted_before:
            fresh = rows[(rows >= known) & (groups.starts[rows] < evicted_before)]
            self.unfetched.update(dict.fromkeys(_keys(groups, fresh)))

    def _groups(self, collection: str, partition: int) -> Groups:
        groups = self._held.get((collection, partition))
        if groups is None:
            result = self._results[collection]
            names = self._names[result.grouped_by] if result.grouped_by else None
            groups = self._held[collection, partition] = Groups(result, names, self._shown, live=False)
        return groups

    def store_keys(self, key: DocumentKey) -> list[StoreKey]:
        """The keys under which the parts of a document may be stored."""
        listed = self._results[key.collection].top is not None
        return [StoreKey(key, part) for part in range(PARTS)] if listed else [StoreKey(key)]

    def fetched(self, payloads: Iterable[bytes], asked: Iterable[DocumentKey]) -> None:
        """Merges the payloads from the store; the keys in `asked` are then complete."""
        for payload in payloads:
            for held in _BLOCKS.decode(payload):
                groups = self._groups(held.block.collection, held.partition)
                rows = groups.merge(held.block)
                groups.written.values[rows] = True
        for key in tuple(asked):
            self.unfetched.pop(key, None)

    def documents(self, limit: int) -> list[Document]:
        """Makes the documents of up to `limit` dirty keys and marks these clean; keys not yet fetched stay dirty."""
        keys = []
        for key in self.dirty:
            if key not in self.unfetched:
                keys.append(key)
                if len(keys) == limit:
                    break
        for key in keys:
            del self.dirty[key]
        by_collection: defaultdict[str, list[DocumentKey]] = defaultdict(list)
        for key in keys:
            by_collection[key.collection].append(key)
        return [
            document
            for collection, some_keys in by_collection.items()
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
            parts = self._groups_of(result.collection)
            found = [(partition, groups, groups.find(starts, ids)) for partition, groups in parts]
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
        parts, names = self._groups_of(result.collection), self._names[top.of]
        members, newest_ms = list[Ints](), np.zeros(len(starts), np.int64)
        for at, start_ms in enumerate(starts.tolist()):
            found = [(groups, np.flatnonzero(groups.starts == start_ms)) for _, groups in parts]
            for (partition, groups), (_, rows) in zip(parts, found, strict=True):
                revs[at, partition] = (groups.label.values[rows] + 1).sum()
                known[at] |= _note_written(groups, rows).any()
            ids = np.concatenate([groups.ids[rows] for groups, rows in found], dtype=np.int64)
            views = np.concatenate([groups.held[ViewCount.name].values[rows] for groups, rows in found])
            members.append(names.most_viewed(ids, views, top.limit))
            if NewestTime() in result.held:
                newest_ms[at] = max(groups.held[NewestTime.name].values[rows].max(initial=0) for groups, rows in found)
        counts = np.array([*map(len, members)], np.int64)
        shown, of_window = np.concatenate(members), np.repeat(starts, counts)
        merged = _merged(result, [(groups, groups.find(of_window, shown)) for _, groups in parts], len(shown))
        return {COMPONENTS: Components(counts, names.spans(shown), merged), NewestTime.name: newest_ms}

    def drop_final(self, allowed_lateness_ms: int, limit: int) -> None:
        """Drops the windows that no source partition can change any more, if more than `limit` rows that can ever be
        evicted are held. Their documents are final and written, so nothing of them has to be stored.

        A partial that comes of one nevertheless is a stale copy, and so is the document that is made of it.
        """
        if self._evictable_rows() <= limit or len(self.watermarks) < self._partitions:
            return
        closed_before = self._closed_by_all(allowed_lateness_ms)
        for collection, result in self._results.items():
            length = result.window.length_ms
            # A watermark may precede the partials of a list that waits; and a session changes the day that it began on.
            if length is None or result.deferrable or result.aggregates_users:
                continue
            before = closed_before - length + 1
            parts = [groups for _, groups in self._groups_of(collection)]
            if not any((groups.starts < before).any() for groups in parts):
                continue
            unwritten = [key for key in self.dirty if key.collection == collection and key.start_ms < before]
            for groups in parts:
                kept = groups.starts >= before
                for key in unwritten:
                    kept |= _is_of_key(groups, key)
                groups.keep(np.flatnonzero(kept))
            before = max(before, self._evicted_before.get(collection, 0))
            self._evicted_before[collection] = self._evictions[collection] = before
        self._compact_names()

    def _closed_by_all(self, allowed_lateness_ms: int) -> int:
        """The time before which all source partitions count no view any more."""
        return min(self.watermarks.values()) - allowed_lateness_ms

    def evictable(
        self, allowed_lateness_ms: int, limit: int, tried: Collection[WindowKey] = frozenset()
    ) -> list[WindowKey]:
        """The oldest windows that are closed by the median watermark, of about EVICTED_AT_ONCE rows together; none if
        at most `limit` rows that can ever be evicted are held. Windows in `tried` are skipped.
        """
        excess = self._evictable_rows() - limit
        if excess <= 0 or not self.watermarks:
            return []
        closed_before = median_low(self.watermarks.values()) - allowed_lateness_ms
        rows_in: Counter[tuple[int, str]] = Counter()
        for (collection, _), groups in self._held.items():
            length = groups.result.window.length_ms
            if length is not None:
                starts, counts = np.unique(groups.starts[groups.starts + length <= closed_before], return_counts=True)
                for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
                    rows_in[start, collection] += count
        chosen: list[WindowKey] = []
        rows = 0
        for (start, collection), count in sorted(rows_in.items()):
            if rows >= min(excess, EVICTED_AT_ONCE):
                break
            if (collection, start) not in tried and DocumentKey(collection, start, "") not in self.rejected:
                chosen.append((collection, start))
                rows += count
        return chosen

    def _evictable_rows(self) -> int:
        """The number of rows, without those of all time and of keys that the store rejects."""
        rows = sum(len(groups) for groups in self._held.values() if groups.result.window.length_ms is not None)
        for key in self.rejected:
            rows -= sum(int(np.count_nonzero(_is_of_key(groups, key))) for _, groups in self._groups_of(key.collection))
        return rows

    def packed(self, windows: Iterable[WindowKey]) -> Iterator[list[Evicted]]:
        """The figures of the keys of these windows, in portions of some rows, each as of when it is requested.

        Keys whose document is not yet written are left out: no part may be stored before it.
        """
        portion: list[Evicted] = []
        rows_in_portion = 0
        for collection, starts in _by_collection(windows).items():
            parts = dict(self._groups_of(collection))
            for store_key, rows in self._rows_by_store_key(collection, starts).items():
                if store_key.key in self.dirty or store_key.key in self.rejected:
                    continue
                blocks = [
                    _held(partition, block)
                    for partition, part_rows in rows.items()
                    for block in parts[partition].blocks(part_rows)
                ]
                portion.append(Evicted(store_key, self._rev(parts, rows), _ENCODER.encode(blocks)))
                rows_in_portion += sum(map(len, rows.values()))
                if rows_in_portion >= EVICTED_AT_ONCE:
                    yield portion
                    portion, rows_in_portion = [], 0
        if portion:
            yield portion

    def _rev(self, parts: Mapping[int, Groups], rows: _Rows) -> tuple[int, ...]:
        rev = [0] * self._partitions
        for partition, part_rows in rows.items():
            rev[partition] = int((parts[partition].label.values[part_rows] + 1).sum())
        return tuple(rev)

    def _groups_of(self, collection: str) -> list[tuple[int, Groups]]:
        """The groups of a collection, by source partition."""
        return [(p, groups) for (name, p), groups in sorted(self._held.items()) if name == collection]

    def _rows_by_store_key(self, collection: str, starts: Iterable[int]) -> dict[StoreKey, _Rows]:
        """The rows of all keys of these windows, by source partition."""
        found: dict[StoreKey, _Rows] = {}
        wanted = np.array(list(starts), np.int64)
        for partition, groups in self._groups_of(collection):
            rows = np.flatnonzero(np.isin(groups.starts, wanted))
            for store_key, key_rows in _by_store_key(groups, rows):
                found.setdefault(store_key, {})[partition] = key_rows
        return found

    def evict(self, stored: Mapping[StoreKey, tuple[int, ...]]) -> None:
        """Drops the keys whose parts are all up to date in the store; `stored` has the `_rev` of each part there."""
        for collection, starts in _by_collection((key.collection, key.start_ms) for key, _ in stored).items():
            before = max(max(starts) + 1, self._evicted_before.get(collection, 0))
            self._evicted_before[collection] = self._evictions[collection] = before
            parts = dict(self._groups_of(collection))
            rows_of = self._rows_by_store_key(collection, starts)
            stay = {
                store_key.key
                for store_key, rows in rows_of.items()
                if store_key.key in self.dirty or stored.get(store_key) != self._rev(parts, rows)
            }
            kept = {partition: np.ones(len(groups), np.bool_) for partition, groups in parts.items()}
            for store_key, rows in rows_of.items():
                if store_key.key not in stay:
                    for partition, part_rows in rows.items():
                        kept[partition][part_rows] = False
            for partition, groups in parts.items():
                groups.keep(np.flatnonzero(kept[partition]))
        self._compact_names()

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
            entries.append(_ENCODER.encode(Watermarks(self.watermarks)))
        for (_, partition), groups in self._held.items():
            rows = np.arange(len(groups)) if snapshot else np.flatnonzero(groups.unsaved.values)
            entries.extend(_ENCODER.encode(_held(partition, block)) for block in groups.blocks(rows, self._block_bytes))
            groups.unsaved.values[:] = False
        self._evictions, self._watermarks_changed = {}, False
        return released(entries)

    def _held_before(self, collection: str, before_ms: int) -> list[tuple[int, str]]:
        """Start and value of the keys in memory whose window starts before a time."""
        return sorted(
            {
                (key.start_ms, key.value)
                for _, groups in self._groups_of(collection)
                for key in _keys(groups, np.flatnonzero(groups.starts < before_ms))
            }
        )

    def load(self, entry: bytes) -> None:
        """Loads an entry of a checkpoint; entries have to be loaded in log order."""
        message = _DECODER.decode(entry)
        if isinstance(message, Watermarks):
            self.watermarks = message.timestamp_ms
        elif isinstance(message, Eviction):
            self._evicted_before[message.collection] = message.before_ms
            for _, groups in self._groups_of(message.collection):
                kept = groups.starts >= message.before_ms
                for start_ms, value in message.stays:
                    kept |= _is_of_key(groups, DocumentKey(message.collection, start_ms, value))
                groups.keep(np.flatnonzero(kept))
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


def _held(partition: int, block: bytes) -> HeldBlock:
    """A HeldBlock of an already packed block."""
    return HeldBlock(partition, msgspec.Raw(block))  # type: ignore[arg-type]


def _merged(result: Result, rows_of: Sequence[tuple[Groups, Ints]], count: int) -> Figures:
    """The figures of groups; `rows_of` has each group's row in every source partition, -1 if it has none there."""
    present = [(groups, rows, np.flatnonzero(rows >= 0)) for groups, rows in rows_of]
    return {
        held.name: held.merge([Part(groups.held[held.name], rows[at], at) for groups, rows, at in present], count)
        for held in result.held
    }


def _note_written(groups: Groups, rows: Ints) -> Bools:
    """Notes that the documents of rows are made; returns which rows were in one before."""
    before: Bools = groups.written.values[rows]
    groups.written.values[rows] = True
    return before


def _by_collection(windows: Iterable[WindowKey]) -> dict[str, set[int]]:
    """The starts of windows, by collection."""
    starts: defaultdict[str, set[int]] = defaultdict(set)
    for collection, start in windows:
        starts[collection].add(start)
    return starts


def _keys(groups: Groups, rows: Ints) -> list[DocumentKey]:
    """The distinct keys of the documents that rows belong to."""
    if groups.result.by:
        return [key for key, _ in _keys_by_row(groups, rows)]
    return [DocumentKey(groups.result.collection, start, "") for start in np.unique(groups.starts[rows]).tolist()]


def _keys_by_row(groups: Groups, rows: Ints) -> list[tuple[DocumentKey, int]]:
    """The key of the document of each row, for results with one row a document."""
    starts = groups.starts[rows].tolist()
    values = groups.names.texts(groups.ids[rows]) if groups.names is not None else [""] * len(starts)
    keys = [DocumentKey(groups.result.collection, start, value) for start, value in zip(starts, values, strict=True)]
    return list(zip(keys, rows.tolist(), strict=True))


def _is_of_key(groups: Groups, key: DocumentKey) -> Bools:
    """A mask of the rows that belong to a document."""
    mask: Bools = groups.starts == key.start_ms
    if groups.result.by and groups.names is not None:
        mask &= groups.ids == groups.names.ids([key.value])
    return mask


def _by_store_key(groups: Groups, rows: Ints) -> Iterator[tuple[StoreKey, Ints]]:
    """Rows by the key under which they are stored."""
    if groups.result.top is None or groups.names is None:
        for key, row in _keys_by_row(groups, rows):
            yield StoreKey(key), np.array([row], np.int64)
        return
    starts = groups.starts[rows]
    parts = (groups.names.spans(groups.ids[rows]).stable_hashes() % np.uint64(PARTS)).astype(np.int64)
    order = np.lexsort((parts, starts))
    rows, starts, parts = rows[order], starts[order], parts[order]
    begins = np.flatnonzero(np.append(True, (np.diff(starts) != 0) | (np.diff(parts) != 0))[: len(rows)])
    for start, part, part_rows in zip(
        starts[begins].tolist(), parts[begins].tolist(), np.split(rows, begins[1:]), strict=False
    ):
        yield StoreKey(DocumentKey(groups.result.collection, start, ""), part), part_rows
