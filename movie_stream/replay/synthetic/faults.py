"""Faults among generated views, for demonstrations: some come late, and some are spoilt.

Which ones is decided by a hash of the seed and the view's number, as everything about a view is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from itertools import cycle
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.replay.synthetic.chance import chance
from movie_stream.replay.synthetic.damage import DAMAGES, Damage, Lines
from movie_stream.replay.synthetic.generate import GeneratedRows
from movie_stream.settings import Settings

SELECTED: Final = 12
DELAYED: Final = 13
"""Streams of chance that the views themselves do not use."""
ALLOWED: Final[timedelta] = Settings.model_fields["allowed_lateness"].default
MILLISECOND: Final = timedelta(milliseconds=1)
ON_TIME_FIRST: Final = 1_000
"""As many views at the beginning, but at most half of all, come in time: what nothing came before is not late."""


@dataclass(frozen=True, slots=True)
class FaultyRows:
    """Neighbouring views, some of them with a fault."""

    rows: GeneratedRows
    """With the times that late views claim."""
    late: NDArray[np.intp]
    """The rows that come late."""
    damages: Mapping[int, Damage]
    """What is done to the rows that are spoilt."""

    def __len__(self) -> int:
        return len(self.rows)

    def lines(self, lines: Lines) -> list[bytes]:
        """The rows as lines or records, the spoilt ones spoilt."""
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
        """Counts these."""
        self.late += len(rows.late)
        self.bad += len(rows.damages)

    def __str__(self) -> str:
        return f", {self.late:,} of them late and {self.bad:,} bad"


@dataclass(frozen=True, slots=True)
class Faults:
    """Which shares of `count` views that are spread over `span` are late and bad; both together at most 1."""

    late: float
    bad: float
    count: int
    seed: int
    span: timedelta

    @property
    def longest_delay(self) -> timedelta:
        """No view claims to be older than this by the time it comes."""
        return 3 * ALLOWED + self.span * (self._on_time_first / max(self.count, 1))

    def among(self, chunks: Iterable[GeneratedRows]) -> Iterator[FaultyRows]:
        """The views, all of them from the first on, with their faults. The ways to spoil one take turns."""
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
        """The rows that are late, and those that are bad; none is both."""
        lot = chance(self.seed, SELECTED, number)
        bad = lot < self.bad
        first = self._on_time_first
        late = (lot >= 1 - self.late * self.count / max(self.count - first, 1)) & (number >= first) & ~bad
        return np.flatnonzero(late), np.flatnonzero(bad)

    def _delayed(self, rows: GeneratedRows, number: NDArray[np.uint64], late: NDArray[np.intp]) -> GeneratedRows:
        """With the late rows' times set back.

        By two to three times what a worker allows, and by the time in which the views came that are not late in any
        case: of as many before this one, some have come to its partition, and they are newer than it may be.
        """
        if not len(late):
            return rows
        longest_ms, allowed_ms = self.longest_delay // MILLISECOND, ALLOWED // MILLISECOND
        timestamp_ms = np.array(rows.timestamp, np.int64)
        timestamp_ms[late] -= longest_ms - (allowed_ms * chance(self.seed, DELAYED, number[late])).astype(np.int64)
        return replace(rows, timestamp=timestamp_ms.tolist())
