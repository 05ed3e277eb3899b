"""What leaves the memory of a merger for its store: the figures of old windows, in units that are stored one by one."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec
import numpy as np

from movie_stream.aggregates.document_keys import DocumentKey, StoreKey
from movie_stream.aggregates.groups import Block, Groups
from movie_stream.aggregates.results import Result
from movie_stream.columnar.columns import Bools, Ints

EVICTED_AT_ONCE: Final = 2_000
"""The approximate number of rows to pack at a time; packing blocks everything else, for some 20 ms."""
PARTS: Final = 64
"""The parts in which a list of components is stored. The name of a component alone decides its part, so that a part
means the same rows to every worker at any time. Ten million films of an hour fit, and each part of a short list is
small.
"""

Parts = Mapping[int, Groups]
"""The groups of a collection, by source partition."""
_NONE: Final = np.empty(0, np.int64)
_ENCODER = msgspec.msgpack.Encoder()


class HeldBlock(msgspec.Struct, array_like=True, tag="held"):
    """Rows of one source partition in the changelog, and in the store."""

    partition: int
    block: Block


def held_block(partition: int, block: bytes) -> HeldBlock:
    """A HeldBlock of an already packed block."""
    return HeldBlock(partition, msgspec.Raw(block))  # type: ignore[arg-type]


@dataclass(frozen=True, slots=True)
class Evicted:
    """The figures of a key, or of a part of one, serialized for the store."""

    store_key: StoreKey
    rev: tuple[int, ...]
    payload: bytes
    rows: int
    """The number of rows in it."""


def store_keys(result: Result, key: DocumentKey) -> list[StoreKey]:
    """The keys under which the parts of a document may be stored."""
    return [StoreKey(key)] if result.top is None else [StoreKey(key, part) for part in range(PARTS)]


class OldRows:
    """Rows of one collection in all source partitions, by the start of their windows; until any are dropped."""

    def __init__(self, parts: Parts, rows: Mapping[int, Ints]) -> None:
        """`rows` by source partition."""
        self._parts = parts
        partition = np.repeat(np.array([*rows], np.int64), [*map(len, rows.values())])
        row = np.concatenate([_NONE, *rows.values()])
        start = np.concatenate([_NONE, *(parts[number].starts[of] for number, of in rows.items())])
        order = np.argsort(start, kind="stable")
        self._partition, self._row, self._start = partition[order], row[order], start[order]

    @classmethod
    def of_windows(cls, parts: Parts, starts: Collection[int]) -> OldRows:
        """The rows of the windows with these starts."""
        wanted = np.array([*starts], np.int64)
        return cls(parts, {number: np.flatnonzero(np.isin(groups.starts, wanted)) for number, groups in parts.items()})

    def counts(self) -> tuple[Ints, Ints]:
        """The starts of the windows, and the number of rows in each."""
        return np.unique(self._start, return_counts=True)

    def units(self, first_ms: int, last_ms: int, partitions: int) -> Units:
        """The units of the windows that start from `first_ms` to `last_ms`; of so many source partitions."""
        rows = slice(*np.searchsorted(self._start, [first_ms, last_ms + 1]).tolist())
        return Units(self._parts, self._partition[rows], self._row[rows], self._start[rows], partitions)


class Units:
    """Rows of one collection, in units: what is stored together, of all source partitions.

    A unit is the figures of a key, or a part of those of a list.
    """

    def __init__(self, parts: Parts, partition: Ints, row: Ints, start: Ints, partitions: int) -> None:
        self._parts = parts
        label, within = np.empty(len(row), np.int64), np.empty(len(row), np.int64)
        for number, groups in parts.items():
            at = np.flatnonzero(partition == number)
            label[at], within[at] = groups.label.values[row[at]] + 1, _within(groups, row[at])
        order = np.lexsort((partition, within, start))
        self._partition, self._row = partition[order], row[order]
        start, within = start[order], within[order]
        first = _changes(start, within)
        self._first = np.flatnonzero(first)
        """Where each unit begins."""
        unit = np.cumsum(first) - 1
        revs = np.zeros(len(self._first) * partitions, np.int64)
        np.add.at(revs, unit * partitions + self._partition, label[order])
        self.revs: list[tuple[int, ...]] = [*map(tuple, revs.reshape(-1, partitions).tolist())]
        """Of each unit: by source partition the sum of label + 1."""
        self.keys: list[StoreKey] = self._keys(start[self._first], within[self._first])

    def _keys(self, starts: Ints, within: Ints) -> list[StoreKey]:
        groups = next(iter(self._parts.values()))
        collection = groups.result.collection
        if groups.result.top is not None:
            pairs = zip(starts.tolist(), within.tolist(), strict=True)
            return [StoreKey(DocumentKey(collection, start, ""), part) for start, part in pairs]
        values = groups.names.texts(within) if groups.names is not None else [""] * len(starts)
        named = zip(starts.tolist(), values, strict=True)
        return [StoreKey(DocumentKey(collection, start, value)) for start, value in named]

    def __len__(self) -> int:
        return len(self.keys)

    def rows(self, chosen: Bools) -> Iterator[tuple[Groups, Ints]]:
        """The rows of the chosen units, by source partition."""
        sizes = np.diff(self._first, append=len(self._row))
        of_chosen = np.repeat(chosen, sizes)
        for partition, groups in self._parts.items():
            yield groups, self._row[of_chosen & (self._partition == partition)]

    def portions(self) -> Iterator[slice]:
        """The units, in portions of about EVICTED_AT_ONCE rows."""
        ends = np.append(self._first[1:], len(self._row))
        begin = 0
        while begin < len(self):
            enough = self._first[begin] + EVICTED_AT_ONCE
            end = min(int(np.searchsorted(ends, enough)) + 1, len(self))
            yield slice(begin, end)
            begin = end

    def is_end(self, unit: int) -> bool:
        """Whether the units before this one are those of whole keys."""
        return unit == len(self) or self.keys[unit].key != self.keys[unit - 1].key

    def packed(self, chosen: Ints) -> list[Evicted]:
        """These units as they are now; their revisions must be up to date."""
        ends = np.append(self._first[1:], len(self._row))
        sizes = ends[chosen] - self._first[chosen]
        at = np.repeat(self._first[chosen] - np.cumsum(sizes) + sizes, sizes) + np.arange(sizes.sum())
        unit, partition, row = np.repeat(np.arange(len(chosen)), sizes), self._partition[at], self._row[at]
        held: list[list[HeldBlock]] = [[] for _ in range(len(chosen))]
        for number, groups in self._parts.items():
            mine = np.flatnonzero(partition == number)
            begins = np.flatnonzero(_changes(unit[mine]))
            blocks_of = groups.blocks_of(row[mine], np.append(begins, len(mine)))
            for to, blocks in zip(unit[mine][begins].tolist(), blocks_of, strict=True):
                held[to].extend(held_block(number, block) for block in blocks)
        of_units = zip(chosen.tolist(), held, sizes.tolist(), strict=True)
        return [Evicted(self.keys[n], self.revs[n], _ENCODER.encode(blocks), size) for n, blocks, size in of_units]


def _within(groups: Groups, rows: Ints) -> Ints:
    """What parts the rows of a window into units: the number of the value, or of the part of a list."""
    if groups.result.top is None or groups.names is None:
        return groups.ids[rows].astype(np.int64)
    return (groups.names.spans(groups.ids[rows]).stable_hashes() % np.uint64(PARTS)).astype(np.int64)


def _changes(*columns: Ints) -> Bools:
    """Which rows differ from the one before them; the first does."""
    changes = np.zeros(len(columns[0]), np.bool_)
    changes[:1] = True
    for column in columns:
        changes[1:] |= np.diff(column) != 0
    return changes


def packed(
    rows: Sequence[OldRows], partitions: int, stays: Callable[[DocumentKey], bool], enough: int
) -> Iterator[list[Evicted]]:
    """The figures of whole keys, the oldest windows first, until `enough` rows are packed: in portions, each as of when
    it is requested, without the keys that stay then. No row may be dropped meanwhile.
    """
    for old, first_ms, last_ms in _in_order(rows):
        units = old.units(first_ms, last_ms, partitions)
        for portion in units.portions():
            leaving = [n for n in range(portion.start, portion.stop) if not stays(units.keys[n].key)]
            if leaving:
                evicted = units.packed(np.array(leaving, np.int64))
                enough -= sum(one.rows for one in evicted)
                yield evicted
            if enough <= 0 and units.is_end(portion.stop):
                return


def _in_order(rows: Sequence[OldRows]) -> Iterator[tuple[OldRows, int, int]]:
    """Ranges of windows, each of one collection and the time of about EVICTED_AT_ONCE rows, the oldest first."""
    counts = [old.counts() for old in rows]
    starts, sizes = (np.concatenate(column) for column in zip(*counts, strict=True))
    of = np.repeat(np.arange(len(rows)), [len(each) for each, _ in counts])
    order = np.argsort(starts, kind="stable")
    starts, of, sizes = starts[order], of[order], sizes[order]
    time = (np.cumsum(sizes) - sizes) // EVICTED_AT_ONCE
    for same_time in np.split(np.arange(len(starts)), np.flatnonzero(np.diff(time)) + 1):
        for number in np.unique(of[same_time]).tolist():
            its = starts[same_time][of[same_time] == number]
            yield rows[number], int(its[0]), int(its[-1])
