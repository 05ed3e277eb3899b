"""The groups of one result: a row each, its accumulators in columns, its label, and what has changed since when."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
import numpy as np

from movie_stream.aggregates.batch import Batch
from movie_stream.aggregates.columns import Bools, Column, Ints, PairIndex
from movie_stream.aggregates.interner import Interner
from movie_stream.aggregates.results import Result

BLOCK_BYTES = 600_000
"""Blocks are cut to about this size, well below what a Kafka record may hold."""


ROWS_IN_BLOCK = 4_000
"""No more rows are looked at at once, so that the copies that are made on the way stay small."""


class Block(msgspec.Struct, array_like=True, tag="groups"):
    """Rows of groups on their way: to `movie-partials`, a changelog or MongoDB. Columns are little-endian bytes."""

    collection: str
    starts: bytes
    """Window starts, int64 Unix milliseconds."""
    names: list[str] | None
    """What tells the groups of a window apart (slugs, movie_ids), or None."""
    labels: bytes
    """The offset of the last record that changed each row, int64."""
    held: list[Any]
    """One export a column, in the order of Result.held."""

    def __len__(self) -> int:
        return len(self.starts) // 8


_ENCODER = msgspec.msgpack.Encoder()


class Groups:
    """All groups of one result that one source partition has.

    `live` groups are changed by views (`apply`); the others hold what blocks brought (`merge`).
    """

    def __init__(self, result: Result, names: Interner | None, live: bool) -> None:
        self.result, self.names, self._live = result, names, live
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        self.index = PairIndex(np.int64, np.int32)  # (start, name)
        self.label = Column(np.int64, fill=-1)
        self.unsent, self.unsaved = Column(np.bool_), Column(np.bool_)
        self.held: dict[str, Any] = {held.name: held.column(self._live) for held in self.result.held}

    def __len__(self) -> int:
        return len(self.index)

    @property
    def starts(self) -> Ints:
        """The window start of each row."""
        return self.index.pairs[0]

    @property
    def ids(self) -> Ints:
        """The interner's number of each row's name, 0 without names."""
        return self.index.pairs[1]

    def rows(self, starts: Ints, ids: Ints | None) -> Ints:
        """The row of each group; new groups get new rows."""
        rows = self.index.add(starts, np.zeros_like(starts) if ids is None else ids)
        if len(self.index) > len(self.label.values):
            for column in self._columns():
                column.grow(len(self.index))
        return rows

    def find(self, starts: Ints, ids: Ints | None = None) -> Ints:
        """The row of each group, -1 where there is none."""
        return self.index.find(starts, np.zeros_like(starts) if ids is None else ids)

    def touch(self, rows: Ints, offsets: Ints) -> None:
        """Notes that the records at these offsets changed these rows."""
        np.maximum.at(self.label.values, rows, offsets)
        self.unsent.values[rows] = True
        self.unsaved.values[rows] = True

    def apply(self, batch: Batch) -> None:
        """Adds the views of a batch."""
        by = self.result.grouped_by
        rows = self.rows(self.result.window.starts(batch.timestamp_ms), batch.ids[by] if by else None)
        self.touch(rows, batch.offset)
        for held in self.result.held:
            held.update(self.held[held.name], rows, batch)

    def blocks(self, rows: Ints) -> Iterator[Block]:
        """The rows as blocks of a bounded size."""
        for at in range(0, len(rows), ROWS_IN_BLOCK):
            yield from self._cut(rows[at : at + ROWS_IN_BLOCK])

    def _cut(self, rows: Ints) -> Iterator[Block]:
        block = Block(
            self.result.collection,
            self.starts[rows].tobytes(),
            None if self.names is None else [self.names.names[i] for i in self.ids[rows].tolist()],
            self.label.values[rows].tobytes(),
            [self.held[held.name].export(rows) for held in self.result.held],
        )
        if len(rows) > 1 and len(_ENCODER.encode(block)) > BLOCK_BYTES:
            half = len(rows) // 2
            yield from self._cut(rows[:half])
            yield from self._cut(rows[half:])
        else:
            yield block

    def merge(self, block: Block) -> Ints:
        """Takes the rows of a block that are newer than those held (by label; ties keep the old); returns them."""
        starts, labels = np.frombuffer(block.starts, np.int64), np.frombuffer(block.labels, np.int64)
        rows = self.rows(starts, None if block.names is None or self.names is None else self.names.ids(block.names))
        newer = np.flatnonzero(labels > self.label.values[rows])
        if len(newer):
            for held, exported in zip(self.result.held, block.held, strict=True):
                self.held[held.name].load(rows, exported, newer)
            self.touch(rows[newer], labels[newer])
        return rows[newer]

    def keep(self, rows: Ints) -> None:
        """Forgets all other rows; the kept ones are numbered anew."""
        self.index.keep(rows)
        for column in self._columns():
            column.keep(rows)

    def drop(self, gone: Bools) -> None:
        """Forgets the rows at which `gone` is true, if that is worth the copying."""
        if 8 * np.count_nonzero(gone) >= max(len(gone), 1):
            self.keep(np.flatnonzero(~gone))

    def _columns(self) -> Iterable[Any]:
        return (self.label, self.unsent, self.unsaved, *self.held.values())


def compact(names: Interner, groups: Iterable[Groups]) -> None:
    """Forgets the names that no group uses any more, if most of them are not used."""
    groups = [group for group in groups if group.names is names]
    used = np.unique(np.concatenate([group.ids for group in groups] or [np.zeros(0, np.int64)]))
    if len(names) <= 2 * len(used) + 10_000:
        return
    renamed = np.full(len(names), -1, np.int64)
    renamed[used] = np.arange(len(used))
    kept = [names.names[i] for i in used.tolist()]
    names.restart(kept)
    for group in groups:
        group.index.replace_second(lambda ids: renamed[ids])
