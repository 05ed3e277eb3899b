"""Windows of event time, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from movie_stream.columnar.columns import Ints
from movie_stream.events.timestamps import datetime_of


@dataclass(frozen=True, slots=True)
class Window:
    """Windows of one length, start inclusive, end exclusive; no length means one window for all time.

    >>> HOUR.label(HOUR.start_of(1_730_385_000_000))
    '2024-10-31T14:00:00Z'
    """

    name: str
    length_ms: int | None
    pattern: str
    """The strftime format of a start in an `_id`."""

    @property
    def stored(self) -> str:
        """Its name in the fingerprint of a run; see Result.stored."""
        return f"Window(name={self.name!r}, length_ms={self.length_ms!r}, pattern={self.pattern!r})"

    def starts(self, timestamp_ms: Ints) -> Ints:
        """The start of each timestamp's window, in Unix milliseconds."""
        if self.length_ms is None:
            return np.zeros_like(timestamp_ms)
        return timestamp_ms // self.length_ms * self.length_ms  # numpy vectorizes the division, but not the remainder

    def start_of(self, timestamp_ms: int) -> int:
        """The start of one timestamp's window."""
        return 0 if self.length_ms is None else timestamp_ms - timestamp_ms % self.length_ms

    def label(self, start_ms: int) -> str:
        """The start as formatted in an `_id`."""
        return datetime_of(start_ms).strftime(self.pattern)


MINUTE: Final = Window("minute", 60_000, "%Y-%m-%dT%H:%M:%SZ")
HOUR: Final = Window("hour", 3_600_000, "%Y-%m-%dT%H:%M:%SZ")
DAY: Final = Window("day", 86_400_000, "%Y-%m-%d")
ALL_TIME: Final = Window("all time", None, "")
