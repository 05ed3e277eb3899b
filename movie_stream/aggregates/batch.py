"""The valid views of one chunk as columns, and grouped: each figure of a group is computed once for all results."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from movie_stream.aggregates.vocabulary import Vocabulary
from movie_stream.aggregates.window import Window
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.columnar.hyperloglog import Hashes
from movie_stream.columnar.spans import HASH_KEY, Spans
from movie_stream.kernels.grouping import COUNT, HIGH, LEAST, LOW, MOST, group_views, summarize

_UNBOUNDED_MS: Final = np.iinfo(np.int64).max
_COLUMNS: Final = ("index", "offset", "timestamp_ms", "local_hour")


@dataclass(frozen=True)
class Batch:
    """Columns of equal length, one row a view, in the order of the log."""

    vocabulary: Vocabulary
    index: Ints
    """The index of each record in its chunk."""
    offset: Ints
    timestamp_ms: Ints
    local_hour: Ints
    """0 to 23, in TIMEZONE."""
    ids: dict[str, Ints]
    """genre (by slug), movie_id, title, spelling (the genre trimmed): numbers in the vocabulary. And user_id, once
    it is known that the views count.
    """
    names: dict[str, Spans]
    """The texts of movie_id and user_id."""
    numbers: dict[str, Ints]
    """rating, price and revenue in millionths, duration in minutes; MISSING if absent."""

    def __len__(self) -> int:
        return len(self.offset)

    def take(self, rows: Ints | Bools) -> Batch:
        """These rows, in this order."""
        columns: dict[str, Any] = {name: getattr(self, name)[rows] for name in _COLUMNS}
        return replace(
            self,
            **columns,
            ids={name: ids[rows] for name, ids in self.ids.items()},
            names={name: spans.take(rows) for name, spans in self.names.items()},
            numbers={name: number[rows] for name, number in self.numbers.items()},
        )

    @cached_property
    def hashes(self) -> Mapping[str, Hashes]:
        """The stable hashes of movie_id and user_id."""
        return {name: spans.stable_hashes() for name, spans in self.names.items()}


class GroupedBatch:
    """The groups of a batch, in the order of their first views: one for each window and, if there is one, each value
    of a column.

    Every figure has one value a group. It is computed on first use and cached, for all results whose windows and
    columns are coarser than these groups.
    """

    def __init__(self, batch: Batch, window: Window, by: str | None, times_ms: Ints | None = None) -> None:
        """`times_ms` are the times that windows are of, those of the views if None."""
        self.batch, count = batch, len(batch)
        self.group_of = np.empty(count, np.int64)
        """The group of each view."""
        columns = np.empty((4, count), np.int64)
        length = group_views(
            batch.timestamp_ms if times_ms is None else times_ms,
            batch.ids[by] if by else np.zeros(count, np.int64),
            window.length_ms or _UNBOUNDED_MS,
            HASH_KEY,
            np.full(1 << (count + count // 2).bit_length(), -1, np.int32),
            columns,
            self.group_of,
        )
        self.starts, self.keys, self.counts, self._last = columns[:, :length].copy()
        """The start of each group's window, the value of its column (0 without one), and the number of its views."""
        self._summaries: dict[str, tuple[Ints, ...]] = {}

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def label(self) -> Ints:
        """The offset of the last view of each group."""
        offsets: Ints = self.batch.offset[self._last]
        return offsets

    @property
    def newest(self) -> Ints:
        """The newest timestamp of each group, in Unix milliseconds."""
        return self._summary("timestamp_ms")[MOST]

    def sum(self, number: str) -> Ints:
        """The sum of a number over the views that have it."""
        high, low = self.wide_sum(number)
        return (high << 32) + low

    def wide_sum(self, number: str) -> tuple[Ints, Ints]:
        """The same sum in two halves, of x >> 32 and of x & 0xffffffff, as it may overflow 63 bits."""
        summary = self._summary(number)
        return summary[HIGH], summary[LOW]

    def count(self, number: str) -> Ints:
        """The number of views that have a number."""
        return self._summary(number)[COUNT]

    def largest(self, number: str) -> Ints:
        """The largest number, MISSING if no view has one."""
        return self._summary(number)[MOST]

    def smallest(self, number: str) -> Ints:
        """The smallest number, the largest integer if no view has one."""
        return self._summary(number)[LEAST]

    @property
    def spelling(self) -> Ints:
        """The smallest spelling of the genre."""
        return self.batch.vocabulary.spellings.by_rank[self.smallest("rank")]

    def tally(self, views: Ints | Bools) -> Ints:
        """The number of these views in each group."""
        return np.bincount(self.group_of[views], minlength=len(self))

    def _summary(self, number: str) -> tuple[Ints, ...]:
        if number not in self._summaries:
            summary = np.empty((5, len(self)), np.int64)
            summarize(self._numbers(number), self.group_of, summary)
            self._summaries[number] = tuple(summary)
        return self._summaries[number]

    def _numbers(self, number: str) -> Ints:
        if number == "timestamp_ms":
            return self.batch.timestamp_ms
        if number == "rank":
            return self.batch.vocabulary.spellings.rank[self.batch.ids["spelling"]]
        return self.batch.numbers[number]
