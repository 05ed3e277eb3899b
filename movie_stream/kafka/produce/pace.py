"""The schedule of a replay, smooth instead of in bursts: by a rate, or by the timestamps of the events."""

from __future__ import annotations

import math
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import UsageError

SLICE_SECONDS: Final = 0.05
MOST_BEHIND_SECONDS: Final = 0.25
"""The most of a delay that is caught up; more would be a burst."""


def check_rate(rate: float) -> None:
    """Raises UsageError for an invalid number of events/s."""
    if not 0 <= rate < math.inf:
        raise UsageError(argument="--rate", expected="a number of events/s, or 0 for as fast as it goes", got=str(rate))


class Schedule(Protocol):
    """The slices in which events are sent, and their times."""

    def slice_events(self, available: int) -> int:
        """The number of events to send together, of those available."""

    def delay(self, events: int, now: float) -> float:
        """Schedules the next `events`; returns the seconds from `now` until they are to be sent."""


class ConstantRate:
    """The schedule of a constant rate of `rate` events/s; 0 is as fast as possible.

    >>> pace = ConstantRate(100, start=10.0)
    >>> pace.slice_events(5000), pace.delay(5, now=10.0), round(pace.delay(5, now=10.01), 9)
    (5, 0.0, 0.04)
    """

    def __init__(self, rate: float, start: float) -> None:
        self._rate = rate
        self._due = start

    def slice_events(self, available: int) -> int:
        """The number of events to send together, of those available."""
        return max(1, min(available, int(self._rate * SLICE_SECONDS))) if self._rate else available

    def delay(self, events: int, now: float) -> float:
        """Schedules the next `events`; returns the seconds from `now` until they are to be sent."""
        if not self._rate:
            return 0.0
        due = max(self._due, now - MOST_BEHIND_SECONDS)
        self._due = due + events / self._rate
        return max(0.0, due - now)


class ReplayClock:
    """Schedules events by their timestamps, on a clock that runs `speed` times as fast as ours.

    >>> clock = ReplayClock(60, start=10.0, first_ms=0)
    >>> hour = clock.schedule_of(np.array([0, 1_000, 3_600_000]))
    >>> hour.slice_events(3), hour.delay(2, now=10.0), hour.slice_events(1), hour.delay(1, now=10.0)
    (2, 0.0, 1, 60.0)

    A pause on our clock is at most `max_gap_s` long; later events are sent earlier by the rest.

    >>> ReplayClock(60, start=10.0, first_ms=0, max_gap_s=5).schedule_of(np.array([3_600_000])).delay(1, now=10.0)
    5.0
    """

    def __init__(self, speed: float, start: float, first_ms: int, max_gap_s: float | None = None) -> None:
        self._speed, self._start, self._first_ms = speed, start, first_ms
        self._max_gap_s = max_gap_s
        self._last_ms, self._due_s = first_ms, start

    def schedule_of(self, times_ms: NDArray[np.int64]) -> Schedule:
        """The schedule of events with these timestamps, in this order."""
        if self._max_gap_s is None:
            return _Over(self._start + (times_ms - self._first_ms) / (1000 * self._speed))
        gaps_s = np.diff(times_ms, prepend=self._last_ms) / (1000 * self._speed)
        due = self._due_s + np.cumsum(np.minimum(gaps_s, self._max_gap_s))
        self._last_ms, self._due_s = int(times_ms[-1]), float(due[-1])
        return _Over(due)


class _Over:
    """The schedule of events that are due at these times."""

    def __init__(self, due: NDArray[np.float64]) -> None:
        self._due = due

    def slice_events(self, available: int) -> int:
        later = self._due[-available:] > self._due[-available] + SLICE_SECONDS
        return int(later.argmax()) if later.any() else available

    def delay(self, events: int, now: float) -> float:
        due, self._due = self._due[0], self._due[events:]
        return max(0.0, float(due) - now)
