"""The partials of all source partitions, merged into documents: the state of one partition of `movie-partials`.

For each key it holds the newest partial of every source partition, component by component. Keys of old windows can be
evicted into a store; the part of a key that lies there is fetched before the key's document is made again.
"""

from __future__ import annotations

import heapq
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median_low
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from movie_stream.aggregates import partial
from movie_stream.aggregates.columns import Ints
from movie_stream.aggregates.fields import Key
from movie_stream.aggregates.groups import Block, Groups, compact, released
from movie_stream.aggregates.packed_names import PackedNames
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.chunk import Chunk
from movie_stream.claim import Claim, claim_in


class DocumentKey(NamedTuple):
    """Which document: its collection, its window's start in Unix milliseconds, its slug or ""."""

    collection: str
    start_ms: int
    slug: str

    @property
    def text(self) -> str:
        """The key as the `_id` of `_partials`."""
        return f"{self.collection}|{self.start_ms}|{self.slug}"


@dataclass(frozen=True, slots=True)
class Document:
    """A result document; `rev` has one number for each source partition and grows with every change."""

    key: DocumentKey
    id: str
    rev: tuple[int, ...]
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Evicted:
    """What is held of a key, as it goes into the store."""

    key: DocumentKey
    rev: tuple[int, ...]
    payload: bytes


class OtherRun(RuntimeError):
    """A partial of a later run came: this worker's time is over."""


class HeldBlock(msgspec.Struct, array_like=True, tag="held"):
    """Rows of one source partition in the changelog."""

    partition: int
    block: Block


class Eviction(msgspec.Struct, array_like=True, tag="evicted"):
    """What is older than `before_ms` in a collection left the memory; what follows in the changelog is there again."""

    collection: str
    before_ms: int


class Watermarks(msgspec.Struct, array_like=True, tag="watermarks"):
    """The watermarks of the source partitions."""

    timestamp_ms: dict[int, int]


_RowsByKey = dict[DocumentKey, dict[int, list[int]]]

EVICTED_AT_ONCE: Final = 2_000
"""Rows, about; everything else stands still while they are packed."""

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
        """Blocks on their way into the changelog have up to `block_bytes` (None: BLOCK_BYTES)."""
        self._partitions, self._run, self._block_bytes = partitions, run, block_bytes
        self._results = {result.collection: result for result in results}
        self.reset()

    def reset(self) -> None:
        """Forgets everything."""
        self.position = 0
        self.watermarks: dict[int, int] = {}
        self.dirty: dict[DocumentKey, None] = {}
        """Keys that changed since their document was made, in the order of their first change."""
        self.unfetched: set[DocumentKey] = set()
        """Dirty keys of which an older part may lie in the store."""
        self._names = {"genre": PackedNames(), "movie_id": PackedNames()}
        self._held: dict[tuple[str, int], Groups] = {}
        self._evicted_before: dict[str, int] = {}
        self._evictions: dict[str, int] = {}  # since the last checkpoint
        self._watermarks_changed = False

    watermark_ms: int | None = None
    """A table keeps one; the log of partials has none of its own."""

    def __len__(self) -> int:
        """How many rows are held."""
        return sum(map(len, self._held.values()))

    def apply(self, chunk: Chunk) -> None:
        """Applies the messages from `position` on. Raises OtherRun, and msgspec.DecodeError on what is no partial."""
        if chunk.end <= self.position:
            return
        if chunk.start > self.position:
            raise RuntimeError(f"expected offset {self.position} of movie-partials, got {chunk.start}")
        for value in chunk.since(self.position).values:
            claim = claim_in(value)
            message = claim or partial.decode(value or b"")
            if message.run > self._run:
                whose = f", of {claim}," if claim else ""
                raise OtherRun(f"run {message.run}{whose} has begun; this worker belongs to run {self._run}")
            if not isinstance(message, Claim) and message.run == self._run:
                self._take(message)
            del message  # the next one needs the memory
        self.position = chunk.end

    def _take(self, message: partial.Partial | partial.Watermark) -> None:
        if isinstance(message, partial.Watermark):
            if message.timestamp_ms > self.watermarks.get(message.partition, -1):
                self.watermarks[message.partition] = message.timestamp_ms
                self._watermarks_changed = True
            return
        groups = self._groups(message.block.collection, message.partition)
        known = len(groups)
        rows = groups.merge(message.block)
        evicted_before = self._evicted_before.get(message.block.collection, 0)
        self.again(self._keys(groups, rows))
        if evicted_before:
            fresh = rows[(rows >= known) & (groups.starts[rows] < evicted_before)]
            self.unfetched.update(self._keys(groups, fresh))

    def _groups(self, collection: str, partition: int) -> Groups:
        groups = self._held.get((collection, partition))
        if groups is None:
            result = self._results[collection]
            names = self._names[result.grouped_by] if result.grouped_by else None
            groups = self._held[collection, partition] = Groups(result, names)
        return groups

    def _keys(self, groups: Groups, rows: Ints) -> list[DocumentKey]:
        """The document that each row belongs to."""
        collection, starts = groups.result.collection, groups.starts[rows].tolist()
        if not groups.result.by_genre or groups.names is None:
            keys = {start: DocumentKey(collection, start, "") for start in set(starts)}
            return [keys[start] for start in starts]
        slugs = groups.names.texts(groups.ids[rows])
        return [DocumentKey(collection, start, slug) for start, slug in zip(starts, slugs, strict=True)]

    def fetched(self, payloads: Mapping[DocumentKey, bytes], asked: Iterable[DocumentKey]) -> None:
        """Merges what the store had of the keys that were asked for."""
        for payload in payloads.values():
            for held in _BLOCKS.decode(payload):
                self._groups(held.block.collection, held.partition).merge(held.block)
        self.unfetched.difference_update(asked)

    def documents(self, limit: int) -> list[Document]:
        """Makes the documents of up to `limit` dirty keys, which are clean then; keys not yet fetched stay dirty."""
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
            for collection, of_it in by_collection.items()
            for document in self._documents(self._results[collection], of_it)
        ]

    def again(self, keys: Iterable[DocumentKey]) -> None:
        """Makes keys dirty again whose documents were not written."""
        self.dirty.update(dict.fromkeys(keys))

    def _documents(self, result: Result, keys: Sequence[DocumentKey]) -> Iterator[Document]:
        parts = self._parts(result.collection)
        if result.top is not None:
            for key in keys:
                yield self._top_document(result, key, parts)
            return
        starts = np.array([key.start_ms for key in keys], np.int64)
        ids = self._names["genre"].ids([key.slug for key in keys]) if result.by_genre else None
        rows = [(partition, groups, groups.find(starts, ids).tolist()) for partition, groups in parts]
        for i, key in enumerate(keys):
            held = [(partition, groups, found[i]) for partition, groups, found in rows if found[i] >= 0]
            rev = [0] * self._partitions
            for partition, groups, row in held:
                rev[partition] = int(groups.label.values[row]) + 1
            figures = _merged(result, [(groups, row) for _, groups, row in held])
            yield self._document(result, key, rev, figures)

    def _top_document(self, result: Result, key: DocumentKey, parts: list[tuple[int, Groups]]) -> Document:
        """The components with most views of all partitions together, each merged from its partitions' rows."""
        assert result.top is not None
        rev, found = [0] * self._partitions, []
        for partition, groups in parts:
            rows = np.flatnonzero(groups.starts == key.start_ms)
            rev[partition] = int((groups.label.values[rows] + 1).sum())
            found.append((groups, rows))
        ids = np.concatenate([groups.ids[rows] for groups, rows in found])
        views = np.concatenate([groups.held["views"].values[rows] for groups, rows in found])
        members, which = np.unique(ids, return_inverse=True)
        total = np.zeros(len(members), np.int64)
        np.add.at(total, which, views)
        limit = result.top.limit
        if len(members) > limit:
            best = total >= np.partition(total, -limit)[-limit]
            members, total = members[best], total[best]
        names = self._names[result.top.of].texts(members)
        ranked = heapq.nsmallest(limit, zip((-total).tolist(), names, members.tolist(), strict=True))
        components = []
        for _, name, member in ranked:
            held = [(groups, row) for groups, rows in found for row in rows[groups.ids[rows] == member].tolist()]
            components.append((name, _merged(result, held)))
        return self._document(result, key, rev, {"components": components})

    def _document(self, result: Result, key: DocumentKey, rev: list[int], figures: Mapping[str, Any]) -> Document:
        shown = Key(result.window, key.start_ms, key.slug)
        return Document(key, result.document_id(shown), tuple(rev), result.document(shown, figures))

    def evictable(self, allowed_lateness_ms: int, limit: int) -> list[Evicted]:
        """Some of the keys beyond `limit` rows in memory that most source partitions have left behind, oldest first."""
        excess = len(self) - limit
        if excess <= 0 or not self.watermarks:
            return []
        left_behind = median_low(self.watermarks.values()) - allowed_lateness_ms
        rows_in: Counter[tuple[int, str]] = Counter()
        for (collection, _), groups in self._held.items():
            length = groups.result.window.length_ms
            if length is not None:
                starts, counts = np.unique(groups.starts[groups.starts + length <= left_behind], return_counts=True)
                for start, count in zip(starts.tolist(), counts.tolist(), strict=True):
                    rows_in[start, collection] += count
        chosen: defaultdict[str, list[int]] = defaultdict(list)
        rows = 0
        for (start, collection), count in sorted(rows_in.items()):
            if rows >= min(excess, EVICTED_AT_ONCE):
                break
            chosen[collection].append(start)
            rows += count
        return [
            evicted
            for collection, starts in chosen.items()
            for evicted in self._pack(collection, self._rows_by_key(collection, starts))
        ]

    def _pack(self, collection: str, rows_by_key: _RowsByKey) -> Iterator[Evicted]:
        parts = dict(self._parts(collection))
        for key, rows in rows_by_key.items():
            if key not in self.dirty:
                blocks = [
                    _held(partition, block)
                    for partition, of_it in rows.items()
                    for block in parts[partition].blocks(np.array(of_it, np.int64))
                ]
                yield Evicted(key, self._rev(parts, rows), _ENCODER.encode(blocks))

    def _rev(self, parts: Mapping[int, Groups], rows: Mapping[int, list[int]]) -> tuple[int, ...]:
        rev = [0] * self._partitions
        for partition, of_it in rows.items():
            rev[partition] = int((parts[partition].label.values[of_it] + 1).sum())
        return tuple(rev)

    def _parts(self, collection: str) -> list[tuple[int, Groups]]:
        """What each source partition has of a collection."""
        return [(p, groups) for (of, p), groups in sorted(self._held.items()) if of == collection]

    def _rows_by_key(self, collection: str, starts: Iterable[int]) -> _RowsByKey:
        """The rows of all keys of these windows, by source partition."""
        found: _RowsByKey = {}
        wanted = np.array(list(starts), np.int64)
        for partition, groups in self._parts(collection):
            rows = np.flatnonzero(np.isin(groups.starts, wanted))
            for key, row in zip(self._keys(groups, rows), rows.tolist(), strict=True):
                found.setdefault(key, {}).setdefault(partition, []).append(row)
        return found

    def evict(self, stored: Iterable[Evicted]) -> None:
        """Drops keys that are in the store now, unless they changed meanwhile."""
        by_collection: defaultdict[str, dict[DocumentKey, tuple[int, ...]]] = defaultdict(dict)
        for evicted in stored:
            by_collection[evicted.key.collection][evicted.key] = evicted.rev
        for collection, revs in by_collection.items():
            before = max(key.start_ms for key in revs) + 1
            before = max(before, self._evicted_before.get(collection, 0))
            self._evicted_before[collection] = self._evictions[collection] = before
            parts = dict(self._parts(collection))
            stays = {partition: np.ones(len(groups), np.bool_) for partition, groups in parts.items()}
            for key, rows in self._rows_by_key(collection, {key.start_ms for key in revs}).items():
                if key not in self.dirty and self._rev(parts, rows) == revs.get(key):
                    for partition, of_it in rows.items():
                        stays[partition][of_it] = False
            for partition, groups in parts.items():
                groups.keep(np.flatnonzero(stays[partition]))
                groups.unsaved.values[groups.starts < before] = True
        compact(self._names["movie_id"], self._held.values())

    def freeze(self, snapshot: bool) -> Iterator[bytes]:
        """The entries of a checkpoint: what changed since the last call, or everything. All keys must be fetched.

        The copy is made now; each is out of memory when the next one is asked for.
        """
        assert not self.unfetched, "a key's older part has to be fetched before the key is saved"
        evictions = self._evicted_before if snapshot else self._evictions
        entries = [_ENCODER.encode(Eviction(collection, before)) for collection, before in evictions.items()]
        if snapshot or self._watermarks_changed:
            entries.append(_ENCODER.encode(Watermarks(self.watermarks)))
        for (_, partition), groups in self._held.items():
            rows = np.arange(len(groups)) if snapshot else np.flatnonzero(groups.unsaved.values)
            entries.extend(_ENCODER.encode(_held(partition, block)) for block in groups.blocks(rows, self._block_bytes))
            groups.unsaved.values[:] = False
        self._evictions, self._watermarks_changed = {}, False
        return released(entries)

    def load(self, entry: bytes) -> None:
        """Takes over an entry of a checkpoint; they come in the order of the log."""
        message = _DECODER.decode(entry)
        if isinstance(message, Watermarks):
            self.watermarks = message.timestamp_ms
        elif isinstance(message, Eviction):
            self._evicted_before[message.collection] = message.before_ms
            for _, groups in self._parts(message.collection):
                groups.keep(np.flatnonzero(groups.starts >= message.before_ms))
        else:
            self._groups(message.block.collection, message.partition).merge(message.block)

    def loaded(self, position: int, watermark_ms: int | None) -> None:
        """Ends a restore: what was loaded is what was written and saved."""
        self.position = position
        for groups in self._held.values():
            groups.unsaved.values[:] = False


def _held(partition: int, block: bytes) -> HeldBlock:
    """Of a block that is packed already; to be encoded."""
    return HeldBlock(partition, msgspec.Raw(block))  # type: ignore[arg-type]


def _merged(result: Result, parts: Sequence[tuple[Groups, int]]) -> dict[str, Any]:
    """The figures of one group from the rows that its partitions hold."""
    return {
        held.name: held.merge([groups.held[held.name].values[row] for groups, row in parts]) for held in result.held
    }
