"""The offsets that the broker assigns to a batch's records, whatever the records contain.

A record contains its offset relative to the first of its batch. Brokers check that only in compressed batches; in
others they count the records, and continue after as many offsets. So do we: a batch that spans as many offsets as it
has records is numbered from its first one. One with fewer records has lost some to compaction; its records' own offsets
are right.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from movie_stream.columnar.spans import Ints
from movie_stream.kafka.batches.record_batch import Malformed, RawBatch

_FIELDS: Final = struct.Struct(">q15xi30xi")
"""A batch's first offset, its last offset relative to that, and its number of records."""


class AssignedOffsets(NamedTuple):
    """The offsets that a broker has assigned to a batch of the present format."""

    base: int
    """The first offset."""
    last: int
    """The last, relative to the first."""
    at: int | None
    """The index of the first record at hand within the batch; None if compaction has left holes."""

    @classmethod
    def of(cls, data: memoryview) -> AssignedOffsets:
        """The offsets of a whole batch."""
        base, last, count = _FIELDS.unpack_from(data)
        return cls(base, last, 0 if count == last + 1 else None)

    @property
    def end(self) -> int:
        """The offset after the last."""
        return self.base + self.last + 1

    def counted(self, offsets: Ints) -> Ints:
        """The assigned offsets of its records; `offsets` are their own: the same array is returned if they are equal.

        Raises Malformed if compaction has left holes, and their own offsets do not ascend within the batch.
        """
        if self.at is not None:
            first = self.base + self.at
            numbered = np.arange(first, first + len(offsets), dtype=np.int64)
            return offsets if np.array_equal(offsets, numbered) else numbered
        within = not len(offsets) or (offsets[0] >= self.base and offsets[-1] < self.end)
        if not within or (offsets[1:] <= offsets[:-1]).any():
            raise Malformed("the offsets of its records do not ascend within it")
        return offsets


def counted(assigned: Sequence[AssignedOffsets], raw: Sequence[RawBatch], offsets: Ints) -> tuple[Ints, list[int]]:
    """The assigned offsets of several batches' records, and the indices of batches whose records have other ones."""
    counts = np.array([batch.records for batch in raw], np.int64)
    firsts = np.cumsum(counts) - counts
    begins = np.array([each.base + each.at for each in assigned if each.at is not None], np.int64)
    if len(begins) == len(assigned) and np.array_equal(
        offsets, np.arange(len(offsets)) + np.repeat(begins - firsts, counts)
    ):
        return offsets, []
    parts = np.split(offsets, firsts[1:])
    numbered = [each.counted(part) for each, part in zip(assigned, parts, strict=True)]
    misnumbered = [index for index, (part, ours) in enumerate(zip(parts, numbered, strict=True)) if ours is not part]
    return np.concatenate(numbered), misnumbered
