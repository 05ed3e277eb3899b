"""A range of time, and parsing of times that a user gives as arguments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import UsageError
from movie_stream.events.timestamps import parse_time, timestamp_ms_of

NOW: Final = "now"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """A range of time in Unix milliseconds, its end exclusive; None is no bound.

    >>> TimeRange(5, None).has(np.array([4, 5, 6])).tolist()
    [False, True, True]
    """

    start_ms: int | None = None
    end_ms: int | None = None

    def has(self, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each of these times is in the range."""
        within = np.ones(len(times_ms), np.bool_)
        if self.start_ms is not None:
            within &= times_ms >= self.start_ms
        if self.end_ms is not None:
            within &= times_ms < self.end_ms
        return within


EVER: Final = TimeRange()


def parse_time_ms(argument: str, text: str) -> int:
    """Parses a time that a user gives, in Unix milliseconds; UTC if it has no time zone.

    >>> parse_time_ms("--start", "2024-10-31T14:00"), parse_time_ms("--start", "2024-10-31")
    (1730383200000, 1730332800000)

    Raises UsageError.
    """
    try:
        return timestamp_ms_of(parse_time(text))
    except ValueError as error:
        expected = "a time (UTC) such as 2024-10-31 or 2024-10-31T14:00"
        raise UsageError(argument=argument, expected=expected, got=text) from error
