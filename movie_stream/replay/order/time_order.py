"""Finds whether a file is in time order, and whether any of its rows lies far off the rest.

A worker's watermark, which closes its windows, follows the newest view it has seen. So a file is sent in time order,
and one view misdated by a year would make everything after it late for a year.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

DAY_MS: Final = 86_400_000
FAR_DAYS: Final = 366
NAMED_LINES: Final = 5
"""The most far-off rows that are listed by line; all are counted."""


@dataclass(frozen=True, slots=True)
class FarOff:
    """Rows that lie more than a year after (almost) all others."""

    rows: int
    lines: list[int]
    """The lines of the first few of them."""
    usual_end_day: np.datetime64
    """The day that (almost) all others lie on or before."""

    def __str__(self) -> str:
        listed = ", ".join(map(str, self.lines)) + (", ..." if self.rows > len(self.lines) else "")
        what, where = ("1 row lies", "line") if self.rows == 1 else (f"{self.rows} rows lie", "lines")
        return (
            f"{what} more than a year after the rest, which ends on {self.usual_end_day} ({where} {listed}); "
            "once a worker has seen such a view, it takes all that follow it as late"
        )


@dataclass(slots=True)
class _Day:
    rows: int = 0
    lines: list[int] = field(default_factory=list)


class TimeSurvey:
    """Surveys all timestamps of a file, chunk by chunk; keeps a count per day, nothing per row."""

    def __init__(self) -> None:
        self.rows = 0
        self.in_order = True
        self.oldest_ms: int | None = None
        self.newest_ms = -1
        self._days: dict[int, _Day] = {}

    def add(self, timestamp_ms: NDArray[np.int64], lines: NDArray[np.int64]) -> None:
        """Adds the next rows of the file, by timestamp and line."""
        if not len(timestamp_ms):
            return
        self.rows += len(timestamp_ms)
        if timestamp_ms[0] < self.newest_ms or (timestamp_ms[1:] < timestamp_ms[:-1]).any():
            self.in_order = False
        oldest_ms = int(timestamp_ms.min())
        self.oldest_ms = oldest_ms if self.oldest_ms is None else min(self.oldest_ms, oldest_ms)
        self.newest_ms = max(self.newest_ms, int(timestamp_ms.max()))
        days = timestamp_ms // DAY_MS
        by_day = np.argsort(days, kind="stable")
        found, starts, counts = np.unique(days[by_day], return_index=True, return_counts=True)
        for number, start, count in zip(found.tolist(), starts.tolist(), counts.tolist(), strict=True):
            day = self._days.setdefault(number, _Day())
            day.rows += count
            wanted = min(count, NAMED_LINES - len(day.lines))
            day.lines += lines[by_day[start : start + wanted]].tolist()

    @property
    def round_ms(self) -> int:
        """How much later the next round of a loop begins, without a pause."""
        span_ms = self.newest_ms - (self.oldest_ms or 0) if self.rows else 0
        return span_ms + max(1, span_ms // max(1, self.rows - 1))

    def far_off(self) -> FarOff | None:
        """The rows more than 366 days after the file's 99.9th percentile, to the day; None if there are none.

        In a file of less than 3,000 rows up to three, but at most a quarter, count as outliers instead of a
        thousandth: otherwise its one misdated row would itself be the percentile.
        """
        exceptions = max(self.rows // 1_000, min(3, self.rows // 4))
        usual_rows = self.rows - exceptions
        usual_end = -1
        far: list[_Day] = []
        for number in sorted(self._days):
            if usual_rows > 0:
                usual_end = number
                usual_rows -= self._days[number].rows
            elif number > usual_end + FAR_DAYS:
                far.append(self._days[number])
        if not far:
            return None
        lines = sorted(line for day in far for line in day.lines)[:NAMED_LINES]
        return FarOff(sum(day.rows for day in far), lines, np.datetime64(usual_end, "D"))
