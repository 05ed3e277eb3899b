"""Windows of event time, in UTC."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from movie_stream.columnar.columns import Ints


@dataclass(frozen=True, slots=True)
class Window:
    """Windows of one length, start inclusive, end exclusive; no length means one window for all time.

    >>> HOUR.labels([HOUR.start_of(1_730_385_000_000)])
    ['2024-10-31T14:00:00Z']
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

    def labels(self, starts_ms: Sequence[int] | Ints) -> list[str]:
        """The starts as formatted in an `_id`, by the pattern."""
        return formatted(starts_ms, "s" if "%S" in self.pattern else "D")


def formatted(timestamps_ms: Sequence[int] | Ints, unit: Literal["s", "D"]) -> list[str]:
    """Unix milliseconds as 2024-10-31T14:30:00Z, or as days, 2024-10-31."""
    times = np.asarray(timestamps_ms, np.int64).astype("datetime64[ms]")
    texts: list[str] = np.datetime_as_string(times, unit, "UTC" if unit == "s" else "naive", "unsafe").tolist()
    return texts


MINUTE: Final = Window("minute", 60_000, "%Y-%m-%dT%H:%M:%SZ")
HOUR: Final = Window("hour", 3_600_000, "%Y-%m-%dT%H:%M:%SZ")
DAY: Final = Window("day", 86_400_000, "%Y-%m-%d")
ALL_TIME: Final = Window("all time", None, "")
