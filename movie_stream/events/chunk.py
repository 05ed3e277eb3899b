"""Records of one partition as columns, from the fetch to the accumulator: `Records`, and `Chunk`, a run of them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Final, Self

import numpy as np

from movie_stream.columnar.columns import Bools
from movie_stream.columnar.spans import Ints, Spans
from movie_stream.events.plain_records import read_if_compiled
from movie_stream.events.views import Views

REPLAY_OF: Final = "movie-stream-replay-of"
"""The header of a copy of a refused record, with the original's offset. See aggregates/refused.py."""


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one partition in the order of the log, as columns of equal length."""

    offsets: Ints
    times_ms: Ints
    """The records' Kafka timestamps in Unix milliseconds, negative if a record has none."""
    keys: Spans
    values: Spans
    replays: Mapping[int, bytes] = field(default_factory=dict)
    """The header REPLAY_OF of the few records that have it, by offset."""
    plain: tuple[Views, Bools] | None = None
    """The views of the plain records, see plain_records.py, and a mask of their rows; None if none was decoded."""
    unreadable: Mapping[int, str] = field(default_factory=dict)
    """The reasons why records could not be read, by offset: these have neither key nor value. A part of the records may
    keep the reasons of others, too.
    """

    def __len__(self) -> int:
        return len(self.offsets)

    def take(self, rows: slice | Ints) -> Self:
        """Only these rows, with their decoded views."""
        offsets, decoded = self.offsets[rows], self.plain
        return replace(
            self,
            offsets=offsets,
            times_ms=self.times_ms[rows],
            keys=self.keys.take(rows),
            values=self.values.take(rows),
            replays={o: self.replays[o] for o in offsets.tolist() if o in self.replays} if self.replays else {},
            plain=None if decoded is None else (decoded[0].take(rows), decoded[1][rows]),
        )

    def decoded(self) -> Self:
        """The same records, with the views of those that are plain."""
        return replace(self, plain=read_if_compiled(self.values))


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk(Records):
    """All records of one partition with start <= offset < end.

    Offsets may have gaps (control records, compaction): `end` can be past the last record, and a chunk can be empty.
    """

    partition: int
    start: int
    end: int

    @classmethod
    def of(cls, records: Records, partition: int, start: int, end: int) -> Chunk:
        """The chunk of these records."""
        columns = {column.name: getattr(records, column.name) for column in fields(Records)}
        return cls(**columns, partition=partition, start=start, end=end)

    def since(self, position: int) -> Chunk:
        """The part of the chunk from an offset on."""
        if position <= self.start:
            return self
        return self.between(min(position, self.end), self.end)

    def between(self, start: int, end: int) -> Chunk:
        """The part with start <= offset < end."""
        rows = slice(*np.searchsorted(self.offsets, (start, end)).tolist())
        return replace(self.take(rows), start=start, end=end)

    def without(self, offsets: Collection[int]) -> Chunk:
        """All but the records at these offsets."""
        return self.take(np.flatnonzero(~np.isin(self.offsets, list(offsets)))) if offsets else self


def chunk_of(
    partition: int,
    start: int,
    values: Sequence[bytes | None],
    times_ms: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
    replays: Mapping[int, bytes] | None = None,
) -> Chunk:
    """A chunk without gaps, for tests and examples.

    >>> chunk_of(0, 5, [b"{}", b"{}"]).end
    7
    """
    count = len(values)
    records = Records(
        np.arange(start, start + count, dtype=np.int64),
        np.full(count, -1, np.int64) if times_ms is None else np.array(times_ms, np.int64),
        Spans.of([None] * count if keys is None else keys),
        Spans.of(values),
        replays or {},
    )
    return Chunk.of(records.decoded(), partition, start, start + count)
