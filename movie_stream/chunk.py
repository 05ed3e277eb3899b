"""A run of records of one partition, as it comes from Kafka."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


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
    keys: Sequence[bytes | None]
    values: Sequence[bytes | None]

    def __len__(self) -> int:
        return len(self.offsets)

    def since(self, position: int) -> Chunk:
        """The part of the chunk from an offset on."""
        if position <= self.start:
            return self
        skip = int(np.searchsorted(self.offsets, position))
        return Chunk(
            self.partition,
            min(position, self.end),
            self.end,
            self.offsets[skip:],
            self.times_ms[skip:],
            self.keys[skip:],
            self.values[skip:],
        )


def chunk_of(
    partition: int,
    start: int,
    values: Sequence[bytes | None],
    times_ms: Sequence[int] | None = None,
    keys: Sequence[bytes | None] | None = None,
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
        [None] * count if keys is None else keys,
        values,
    )
