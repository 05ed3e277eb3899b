"""A run of records of one partition, as it comes from Kafka."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.decimals import Bools
from movie_stream.layout import Columns
from movie_stream.spans import Spans

REPLAY_OF: Final = "movie-stream-replay-of"
"""The header of a copy of a refused record; it names the original. See aggregates/refused.py."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """All records of one partition with start <= offset < end, in the order of the log.

    Offsets may have holes (control records, compaction): `end` can lie past the last record, and a chunk can be empty.
    """

    partition: int
    start: int
    end: int
    offsets: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    """The records' Kafka timestamps, negative where there is none."""
    keys: Spans
    values: Spans
    replays: Mapping[int, bytes] = field(default_factory=dict)
    """The header REPLAY_OF of the few records that have it, by offset."""
    by_layout: tuple[Columns, Bools] | None = None
    """What layout.Layouts read of the values, if that was done already; parts of the chunk do without."""
    unreadable: Mapping[int, str] = field(default_factory=dict)
    """Why nothing could be read of some records, by offset: these have neither key nor value. Of a chunk's parts, too,
    where it may name others besides.
    """

    def __len__(self) -> int:
        return len(self.offsets)

    def since(self, position: int) -> Chunk:
        """The part of the chunk from an offset on."""
        if position <= self.start:
            return self
        return self.cut(min(position, self.end), self.end)

    def cut(self, start: int, end: int) -> Chunk:
        """The part with start <= offset < end."""
        rows = slice(*np.searchsorted(self.offsets, (start, end)).tolist())
        return Chunk(
            self.partition,
            start,
            end,
            self.offsets[rows],
            self.times_ms[rows],
            self.keys[rows],
            self.values[rows],
            {offset: original for offset, original in self.replays.items() if start <= offset < end},
            unreadable=self.unreadable,
        )

    def without(self, offsets: Collection[int]) -> Chunk:
        """All but the records at these offsets."""
        if not offsets:
            return self
        rows = np.flatnonzero(~np.isin(self.offsets, list(offsets)))
        return Chunk(
            self.partition,
            self.start,
            self.end,
            self.offsets[rows],
            self.times_ms[rows],
            self.keys.take(rows),
            self.values.take(rows),
            {offset: original for offset, original in self.replays.items() if offset not in offsets},
            unreadable=self.unreadable,
        )


def chunk_of(
    partition: int,
    start: int,
    values: Sequence[bytes | None],
    times_ms: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
    replays: Mapping[int, bytes] | None = None,
) -> Chunk:
    """A chunk without holes; handy in tests and examples.

    >>> chunk_of(0, 5, [b"{}", b"{}"]).end
    7
    """
    count = len(values)
    return Chunk(
        partition,
        start,
        start + count,
        np.arange(start, start + count, dtype=np.int64),
        np.full(count, -1, np.int64) if times_ms is None else np.array(times_ms, np.int64),
        Spans.of([None] * count if keys is None else keys),
        Spans.of(values),
        replays or {},
    )
