"""The offsets of a batch's records as its broker counts them, whatever the records say.

A record says how far its offset is from its batch's first. Brokers look at that in compressed batches alone; of others
they count the records, and go on behind as many. So do we: a batch that spans as many offsets as it has records is
numbered from its first one. One with fewer records has lost some to compaction, and says truly where the others stand.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from movie_stream.columnar.spans import Ints
from movie_stream.kafka.batches.record_batch import Malformed, RawBatch

_FIELDS: Final = struct.Struct(">q15xi30xi")
"""Of a batch: its first offset, its last one from there, and how many records it has."""


class Given(NamedTuple):
    """The offsets that a broker has assigned to a batch of the present format."""

    base: int
    """The first offset."""
    last: int
    """The last, relative to the first."""
    at: int | None
    """Where the records at hand begin among all of it; None where compaction has left holes."""

    @classmethod
    def of(cls, data: memoryview) -> Given:
        """The offsets of a whole batch."""
        base, last, count = _FIELDS.unpack_from(data)
        return cls(base, last, 0 if count == last + 1 else None)

    @property
    def end(self) -> int:
        """The offset after the last."""
        return self.base + self.last + 1

    def counted(self, offsets: Ints) -> Ints:
        """The offsets of its records, by those that they say: the same array, where they say what was counted.

        Raises Malformed where they neither are as many as were counted nor ascend within the batch.
        """
        if self.at is not None:
            first = self.base + self.at
            numbered = np.arange(first, first + len(offsets), dtype=np.int64)
            return offsets if np.array_equal(offsets, numbered) else numbered
        within = not len(offsets) or (offsets[0] >= self.base and offsets[-1] < self.end)
        if not within or (offsets[1:] <= offsets[:-1]).any():
            raise Malformed("the offsets of its records do not ascend within it")
        return offsets


def counted(given: Sequence[Given], raw: Sequence[RawBatch], offsets: Ints) -> tuple[Ints, list[int]]:
    """The same for the records of several batches, and which of these batches say other offsets than were counted."""
    counts = np.array([batch.records for batch in raw], np.int64)
    firsts = np.cumsum(counts) - counts
    begins = np.array([one.base + one.at for one in given if one.at is not None], np.int64)
    if len(begins) == len(given) and np.array_equal(
        offsets, np.arange(len(offsets)) + np.repeat(begins - firsts, counts)
    ):
        return offsets, []
    parts = np.split(offsets, firsts[1:])
    numbered = [one.counted(part) for one, part in zip(given, parts, strict=True)]
    odd = [at for at, (part, ours) in enumerate(zip(parts, numbered, strict=True)) if ours is not part]
    return np.concatenate(numbered), odd
