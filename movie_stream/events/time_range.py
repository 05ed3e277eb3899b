"""A range of time, and moments as a user writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import UsageError
from movie_stream.events.moment import parse_moment, timestamp_ms_of

NOW: Final = "now"


@dataclass(frozen=True, slots=True)
class TimeRange:
    """From one moment to before another, in Unix milliseconds; None is without a bound.

    >>> TimeRange(5, None).has(np.array([4, 5, 6])).tolist()
    [False, True, True]
    """

    start_ms: int | None = None
    end_ms: int | None = None

    def has(self, times_ms: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which of these moments lie in it."""
        within = np.ones(len(times_ms), np.bool_)
        if self.start_ms is not None:
            within &= times_ms >= self.start_ms
        if self.end_ms is not None:
            within &= times_ms < self.end_ms
        return within


EVER: Final = TimeRange()


def moment_ms(argument: str, text: str) -> int:
    """A moment as a user writes it, in Unix milliseconds; in UTC where it has no zone.

    >>> moment_ms("--start", "2024-10-31T14:00"), moment_ms("--start", "2024-10-31")
    (1730383200000, 1730332800000)

    Raises UsageError.
    """
    try:
        return timestamp_ms_of(parse_moment(text))
    except ValueError as error:
        expected = "a time (UTC) such as 2024-10-31 or 2024-10-31T14:00"
        raise UsageError(argument=argument, expected=expected, got=text) from error
