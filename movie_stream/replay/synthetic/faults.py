"""Faults in made-up views, for demonstrations: some are late, and some are damaged.

A hash of the seed and the number of the view decides which, as it decides everything about a view.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.replay.synthetic.chance import random_numbers
from movie_stream.replay.synthetic.damage import DAMAGES, Damage, Lines
from movie_stream.replay.synthetic.generate import GeneratedRows
from movie_stream.settings import Settings

SELECTED: Final = 12
DELAYED: Final = 13
"""Streams of random numbers that the views themselves do not use."""
ALLOWED: Final[timedelta] = Settings.model_fields["allowed_lateness"].default
MILLISECOND: Final = timedelta(milliseconds=1)
ON_TIME_FIRST: Final = 1_000
"""The views at the beginning that are never late (but at most half of all): a first view cannot be late."""


@dataclass(frozen=True, slots=True)
class FaultyRows:
    """Consecutive views, some with a fault."""

    rows: GeneratedRows
    """The rows, with the timestamps of late views set back."""
    late: NDArray[np.intp]
    """The rows that are late."""
    damages: Mapping[int, Damage]
    """The damage by damaged row."""

    def __len__(self) -> int:
        return len(self.rows)

    def lines(self, lines: Lines) -> list[bytes]:
        """The rows as lines or records, with their damage."""
        made = lines(self.rows)
        for row, damage in self.damages.items():
            made[row] = damage.line(self.rows.only(row), lines)
        return made


@dataclass(slots=True)
class Tally:
    """How many views had a fault.

    >>> str(Tally(late=1_200, bad=7))
    ', 1,200 of them late and 7 bad'
    """

    late: int = 0
    bad: int = 0

    def add(self, rows: FaultyRows) -> None:
        """Counts the faults of these rows."""
        self.late += len(rows.late)
        self.bad += len(rows.damages)

    def __str__(self) -> str:
        return f", {self.late:,} of them late and {self.bad:,} bad"


@dataclass(frozen=True, slots=True)
class Faults:
    """The shares of late and bad views among `count` views over `span`; together at most 1."""

    late: float
    bad: float
    count: int
    seed: int
    span: timedelta

    @property
    def longest_delay(self) -> timedelta:
        """The longest time by which a timestamp is set back."""
        return 3 * ALLOWED + self.span * (self._on_time_first / max(self.count, 1))

    def add_to(self, chunks: Iterable[GeneratedRows]) -> Iterator[FaultyRows]:
        """Adds faults to the views, which must be complete from the first on. The kinds of damage take turns."""
        ways = cycle(DAMAGES)
        start = 0
        for rows in chunks:
            number = np.arange(start, start + len(rows), dtype=np.uint64)
            start += len(rows)
            late, bad = self._selected(number)
            damages = {row: next(ways) for row in bad.tolist()}
            yield FaultyRows(self._delayed(rows, number, late), late, damages)

    @property
    def _on_time_first(self) -> int:
        return min(ON_TIME_FIRST, -(-self.count // 2))

    def _selected(self, number: NDArray[np.uint64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """The late rows and the bad rows, without overlap."""
        lot = random_numbers(self.seed, SELECTED, number)
        bad = lot < self.bad
        first = self._on_time_first
        late = (lot >= 1 - self.late * self.count / max(self.count - first, 1)) & (number >= first) & ~bad
        return np.flatnonzero(late), np.flatnonzero(bad)

    def _delayed(self, rows: GeneratedRows, number: NDArray[np.uint64], late: NDArray[np.intp]) -> GeneratedRows:
        """The rows with the timestamps of the late ones set back.

        They are set back by two to three times ALLOWED_LATENESS, plus the time that the first ON_TIME_FIRST views span:
        of that many views before it, some are in its partition, and new enough to make it late.
        """
        if not len(late):
            return rows
        longest_ms, allowed_ms = self.longest_delay // MILLISECOND, ALLOWED // MILLISECOND
        timestamp_ms = np.array(rows.timestamp, np.int64)
        lateness_ms = longest_ms - (allowed_ms * random_numbers(self.seed, DELAYED, number[late])).astype(np.int64)
        timestamp_ms[late] -= lateness_ms
        return replace(rows, timestamp=timestamp_ms.tolist())
