"""The rate of a replay: a smooth schedule instead of bursts."""

from __future__ import annotations

import math
from typing import Final

from movie_stream.errors import UsageError

SLICE_SECONDS: Final = 0.05
MOST_BEHIND_SECONDS: Final = 0.25
"""Of a longer delay only so much is made up for; the rest is given up, since catching up is a burst."""


def check_rate(rate: float) -> None:
    """Raises UsageError where this is no number of events/s."""
    if not 0 <= rate < math.inf:
        raise UsageError(argument="--rate", expected="a number of events/s, or 0 for as fast as it goes", got=str(rate))


class Pace:
    """When the next slice of events is due at `rate` events/s; 0 is as fast as it goes.

    >>> pace = Pace(100, start=10.0)
    >>> pace.slice_events(5000), pace.delay(5, now=10.0), round(pace.delay(5, now=10.01), 9)
    (5, 0.0, 0.04)
    """

    def __init__(self, rate: float, start: float) -> None:
        self._rate = rate
        self._due = start

    def slice_events(self, available: int) -> int:
        """How many events to send at once, of those that there are."""
        return max(1, min(available, int(self._rate * SLICE_SECONDS))) if self._rate else available

    def delay(self, events: int, now: float) -> float:
        """Takes the next `events` into the schedule; the seconds from `now` until they are to be sent."""
        if not self._rate:
            return 0.0
        due = max(self._due, now - MOST_BEHIND_SECONDS)
        self._due = due + events / self._rate
        return max(0.0, due - now)
