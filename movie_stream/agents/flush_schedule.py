"""When partitions are flushed, and how often a flush is a checkpoint."""

from __future__ import annotations

from typing import Final, NamedTuple


class Cadence(NamedTuple):
    """How long the next flush, and the next checkpoint, wait for more to come once all that is there is counted."""

    flush_s: float
    """What a view waits for, twice, until it shows in MongoDB."""
    checkpoint_s: float
    """What is counted again, at most, after a crash; more under backlog."""


LIVE: Final = Cadence(flush_s=0.15, checkpoint_s=1.0)
UNTIL_END: Final = Cadence(flush_s=0.03, checkpoint_s=0.0)
"""Of a worker that ends then, as everybody waits for it."""


class FlushSchedule:
    """When the next flush is due: `base_s` after the last when caught up; under backlog rarer, by what it took.

    >>> schedule = FlushSchedule(base_s=0.25, at_most_s=5.0)
    >>> schedule.flushed(now_s=10.0, took_s=0.05)
    >>> schedule.due_s(caught_up=True), schedule.due_s(caught_up=False)
    (10.25, 11.0)
    """

    SHARE: Final = 20
    """Under backlog a flush may take about one part in so many of the time."""

    def __init__(self, base_s: float, at_most_s: float) -> None:
        self._base_s, self._at_most_s = base_s, at_most_s
        self._flushed_s = self._took_s = 0.0

    def flushed(self, now_s: float, took_s: float) -> None:
        """Notes a flush that ended at `now_s` and took `took_s` seconds."""
        self._flushed_s, self._took_s = now_s, took_s

    def due_s(self, caught_up: bool) -> float:
        """When the next one is due."""
        wait_s = self._base_s if caught_up else max(self._base_s, self.SHARE * self._took_s)
        return self._flushed_s + min(wait_s, self._at_most_s)
