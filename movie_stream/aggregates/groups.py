"""The groups of one result: a row each, with its figures in columns, its label, and its dirty flags."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise, repeat
from typing import Any, Final, Protocol

import msgspec
import numpy as np

from movie_stream.aggregates.aggregators import NamesColumn, NameTables, NewestColumn
from movie_stream.aggregates.batch import GroupedBatch
from movie_stream.aggregates.results import Result
from movie_stream.columnar.columns import Bools, Column, Ints, PairIndex
from movie_stream.columnar.packed_names import PackedNames

BLOCK_BYTES = 600_000
"""The approximate limit of a block in bytes: well below the size limit of a Kafka record."""


ROW_OVERHEAD_BYTES: Final = 100
"""What a row takes in memory besides its size in a block: numbers, flags, slots, and the heads of objects."""
ROW_BYTES_AT_FIRST: Final = 2_000
"""The size of a row in a block, as long as there is none: that of one with a large sketch."""


ROWS_IN_BLOCK = 4_000
"""The most rows that are exported at a time, which bounds the temporary copies."""


class Block(msgspec.Struct, array_like=True, tag="groups"):
    """Rows of groups, serialized for `movie-partials`, a changelog or MongoDB. Columns are little-endian bytes."""

    collection: str
    starts: bytes
    """Window starts, int64 Unix milliseconds."""
    names: tuple[bytes, bytes] | None
    """The names that identify the groups of a window (slugs, movie_ids), as returned by PackedNames.pack, or None."""
    labels: bytes
    """The offset of the last record that changed each row, int64."""
    held: list[Any]
    """The export of each column, in the order of Result.held."""

    def __len__(self) -> int:
        return len(self.starts) // 8


_ENCODER = msgspec.msgpack.Encoder()


class Groups:
    """All groups of one result that one source partition has.

    Live groups are updated by views (`apply`); the others hold the rows of merged blocks (`merge`).
    """

    def __init__(self, result: Result, names: PackedNames | None, shown: NameTables, live: bool) -> None:
        """`names` identify the groups of a window; `shown` are the names that documents show."""
        self.result, self.names, self._shown, self._live = result, names, shown, live
        self._row_bytes = 1.0
        """Bytes of a row in the last block; used to estimate how many rows fit into the next one."""
        self.index = PairIndex()  # (start, name)
        self.label = Column(np.int64, fill=-1)
        self.unsent, self.unsaved = Column(np.bool_), Column(np.bool_)
        self.written = Column(np.bool_)
        """Of merged rows: whether a document was made of them, or they were restored."""
        self.held: dict[str, Any] = {held.name: held.column(shown, live) for held in result.held}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def starts(self) -> Ints:
        """The window start of each row."""
        return self.index.pairs[0]

    @property
    def ids(self) -> Ints:
        """The number of each row's name, 0 if the result has no names."""
        return self.index.pairs[1]

    @property
    def row_bytes(self) -> float:
        """About the bytes that a row takes in memory, by its size in the last block."""
        return (self._row_bytes if self._row_bytes > 1 else ROW_BYTES_AT_FIRST) + ROW_OVERHEAD_BYTES

    def rows(self, starts: Ints, ids: Ints | None) -> Ints:
        """The row of each group; rows are added for new groups."""
        rows = self.index.add(starts, np.zeros_like(starts) if ids is None else ids)
        if len(self.index) > len(self.label.values):
            for column in self._columns():
                column.grow(len(self.index))
        return rows

    def find(self, starts: Ints, ids: Ints | None = None) -> Ints:
        """The row of each group, -1 for unknown groups."""
        return self.index.find(starts, np.zeros_like(starts) if ids is None else ids)

    def touch(self, rows: Ints, offsets: Ints) -> None:
        """Marks rows as changed by the records at these offsets."""
        np.maximum.at(self.label.values, rows, offsets)
        self.unsent.values[rows] = True
        self.unsaved.values[rows] = True

    def apply(self, grouped: GroupedBatch) -> None:
        """Adds the views of a batch, which has to be grouped at least as finely as these groups."""
        rows = self.rows(self.result.window.starts(grouped.starts), grouped.keys if self.result.grouped_by else None)
        self.touch(rows, grouped.label)
        for held in self.result.held:
            held.update(self.held[held.name], rows, grouped)

    def blocks(self, rows: Ints, most: int | None = None) -> Iterator[bytes]:
        """The rows as blocks, packed by msgpack, each of up to `most` bytes (None: BLOCK_BYTES) or of one row."""
        at, most = 0, BLOCK_BYTES if most is None else min(most, BLOCK_BYTES)
        while at < len(rows):
            fitting = int(most / self._row_bytes)
            portion = rows[at : at + min(max(fitting, 1), ROWS_IN_BLOCK)]
            yield from self._halved(portion, most)
            at += len(portion)

    def blocks_of(self, rows: Ints, bounds: Ints) -> Iterator[list[bytes]]:
        """The blocks of each portion of rows; portion n is from bounds[n] to before bounds[n + 1]."""
        if np.diff(bounds).max(initial=0) > ROWS_IN_BLOCK:
            yield from (list(self.blocks(rows[begin:end])) for begin, end in pairwise(bounds.tolist()))
            return
        starts, labels = self.starts[rows].tobytes(), self.label.values[rows].tobytes()
        names = repeat(None) if self.names is None else self.names.pack_portions(self.ids[rows], bounds)
        held = zip(*(self.held[held.name].export_portions(rows, bounds) for held in self.result.held), strict=True)
        for (begin, end), names_of, held_of in zip(pairwise(bounds.tolist()), names, held, strict=False):
            each = slice(8 * begin, 8 * end)
            packed = _ENCODER.encode(Block(self.result.collection, starts[each], names_of, labels[each], list(held_of)))
            yield [packed] if len(packed) <= BLOCK_BYTES else list(self.blocks(rows[begin:end]))

    def _halved(self, rows: Ints, most: int) -> Iterator[bytes]:
        """The rows as one block, or as the blocks of both halves if that is too large."""
        block = Block(
            self.result.collection,
            self.starts[rows].tobytes(),
            None if self.names is None else self.names.pack(self.ids[rows]),
            self.label.values[rows].tobytes(),
            [self.held[held.name].export(rows) for held in self.result.held],
        )
        packed = _ENCODER.encode(block)
        self._row_bytes = len(packed) / len(rows)
        if len(rows) > 1 and len(packed) > most:
            half = len(rows) // 2
            yield from self._halved(rows[:half], most)
            yield from self._halved(rows[half:], most)
        else:
            yield packed

    def weigh(self, block: Block, size: int) -> None:
        """Notes that the rows of a block take so many bytes."""
        if len(block):
            self._row_bytes = size / len(block)

    def merge(self, block: Block) -> Ints:
        """Merges the rows of a block that have a larger label than those held; returns these rows."""
        starts, labels = np.frombuffer(block.starts, np.int64), np.frombuffer(block.labels, np.int64)
        ids = None if block.names is None or self.names is None else self.names.unpack(*block.names)
        rows = self.rows(starts, ids)
        newer = np.flatnonzero(labels > self.label.values[rows])
        if len(newer):
            for held, exported in zip(self.result.held, block.held, strict=True):
                self.held[held.name].load(rows, exported, newer)
            self.touch(rows[newer], labels[newer])
        return rows[newer]

    def keep(self, rows: Ints) -> None:
        """Drops all other rows and renumbers the remaining ones."""
        self.index.keep(rows)
        for column in self._columns():
            column.keep(rows)

    def drop(self, gone: Bools) -> None:
        """Drops the rows at which `gone` is true, once they are an eighth of all rows."""
        if 8 * np.count_nonzero(gone) >= max(len(gone), 1):
            self.keep(np.flatnonzero(~gone))

    def _columns(self) -> Iterable[Any]:
        return (self.label, self.unsent, self.unsaved, self.written, *self.held.values())

    def names_in(self, names: PackedNames) -> Iterator[Column]:
        """The columns that hold numbers of these names."""
        if self.names is names:
            yield self.index.second
        for held in self.held.values():
            if isinstance(held, NamesColumn | NewestColumn):
                yield from (column.ids for column in held.parts() if column.names is names)

    def renamed(self, names: PackedNames) -> None:
        """Ends a renumbering of these names."""
        if self.names is names:
            self.index.rehash()


class Naming(Protocol):
    """An object that refers to names by number."""

    def names_in(self, names: PackedNames) -> Iterator[Column]:
        """The columns that hold numbers of these names."""
        ...

    def renamed(self, names: PackedNames) -> None:
        """Ends a renumbering of these names."""
        ...


def released(packed: list[bytes]) -> Iterator[bytes]:
    """Yields the packed values one by one, and releases each before the next."""
    packed.reverse()
    while packed:
        yield packed.pop()


def compact(names: PackedNames, used_by: Iterable[Naming]) -> None:
    """Drops unused names and renumbers the others, if most names are unused."""
    if len(names) <= 10_000:
        return
    holders = list(used_by)
    columns = [column for holder in holders for column in holder.names_in(names)]
    is_used = np.zeros(len(names) + 1, np.bool_)  # the last entry is of -1
    for column in columns:
        is_used[column.values] = True
    used = np.flatnonzero(is_used[:-1])
    if len(names) <= 2 * len(used) + 10_000:
        return
    renamed = np.full(len(names) + 1, -1, np.int64)  # the last entry maps -1 to -1
    renamed[used] = np.arange(len(used))
    names.restart(names.texts(used))
    for column in columns:
        column.values[:] = renamed[column.values]
    for holder in holders:
        holder.renamed(names)
