"""When partitions are flushed, and how often a flush is a checkpoint."""

from __future__ import annotations

from typing import Final, NamedTuple


class Cadence(NamedTuple):
    """The intervals between flushes, and between checkpoints, of partitions that are read as records arrive."""

    flush_s: float
    """Partials are sent when views arrive, but no sooner after the last, in seconds."""
    publish_s: float
    """Documents are written when partials arrive, but no sooner after the last, in seconds."""
    checkpoint_s: float
    """The most that is counted again after a crash, and for which figures of long windows wait; more under backlog."""


LIVE: Final = Cadence(flush_s=0.02, publish_s=0.02, checkpoint_s=1.0)
UNTIL_END: Final = Cadence(flush_s=0.03, publish_s=0.03, checkpoint_s=0.0)
"""For a worker that ends at the end of its topics: its caller waits for it."""


class FlushSchedule:
    """When the next flush is due: `base_s` after the last, or later, the more work that was and the more partitions a
    worker has.

    >>> schedule = FlushSchedule(base_s=0.05, at_most_s=5.0)
    >>> schedule.flushed(now_s=10.0, took_s=0.01)
    >>> schedule.due_s(live=True), schedule.due_s(live=False)
    (10.05, 10.2)
    >>> schedule.flushed(now_s=11.0, took_s=0.125)
    >>> schedule.due_s(live=True), schedule.due_s(live=False), schedule.due_s(live=False, partitions=12)
    (11.125, 13.5, 16.0)
    """

    SHARE: Final = 20
    """Under backlog, the flushes of all partitions may take about 1/SHARE of the event loop's time; if they are live, a
    half or a little more.
    """
    AT_MOST: Final = 100
    """A live partition waits at most this many times `base_s`."""

    FIRST_S: Final = 3.0
    """Under backlog, when the first flush is due that nothing is known of."""

    def __init__(self, base_s: float, at_most_s: float, now_s: float = 0.0, took_s: float | None = 0.0) -> None:
        """As if there had been a flush at `now_s` that took so long; None: nothing is known of it."""
        self._base_s, self._at_most_s = base_s, at_most_s
        self._flushed_s, self._took_s = now_s, took_s

    def flushed(self, now_s: float, took_s: float | None) -> None:
        """Notes a flush that ended at `now_s` and took `took_s` seconds of CPU time; None: as long as the last."""
        self._flushed_s = now_s
        if took_s is not None:
            self._took_s = took_s

    def due_s(self, live: bool, partitions: int = 1) -> float:
        """When the next flush is due, by the clock of `now_s`; `partitions` share the time that flushes may take."""
        return self._flushed_s + self.wait_s(live, partitions)

    def wait_s(self, live: bool, partitions: int = 1) -> float:
        """The seconds between the last flush and the next one."""
        if self._took_s is None:
            return self._base_s if live else self.FIRST_S
        all_take_s = partitions * self._took_s
        if live:
            return min(max(self._base_s, all_take_s), self.AT_MOST * self._base_s, self._at_most_s)
        return min(max(self._base_s, self.SHARE * all_take_s), self._at_most_s)
