"""Up to which event time the results are complete. Nothing in here asks anybody.

Each source partition has a watermark, its largest event time so far; what a partition of `movie-partials` has published
of it is told by the publisher, after the documents. A window is complete where every source has left it behind, in all
of these partitions. A source that is quiet, from which nothing comes and of which nothing is left to be counted, holds
nobody up. No window is complete that is not over by the clock, whatever is dated ahead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

MINUTE_MS: Final = 60_000
LIVE_WITHIN_MS: Final = 3_600_000
"""A stream whose newest view came within so much of its time is live: while all of it is quiet, time passes anyway."""

Watermarks = Mapping[int, Mapping[int, int]]
"""By partition of `movie-partials` and source partition, in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that workers report of, and how many partitions they have."""

    events: str
    sources: int
    partials: str
    targets: int


@dataclass(slots=True)
class Stillness:
    """Since when the watermark of each source stands still, by a clock of the caller's."""

    since_s: dict[int, float] = field(default_factory=dict)
    _seen: dict[int, tuple[int | None, ...]] = field(default_factory=dict)

    def look(self, watermarks: Watermarks, sources: int, now_s: float) -> None:
        """Notes what has moved."""
        for source in range(sources):
            now = tuple(of.get(source) for _, of in sorted(watermarks.items()))
            if self._seen.get(source) != now or source not in self.since_s:
                self._seen[source], self.since_s[source] = now, now_s

    def longer_than(self, idle_s: float, now_s: float) -> set[int]:
        """The sources that have not moved for so many seconds."""
        return {source for source in self.since_s if self.still_for(source, now_s) >= idle_s}

    def still_for(self, source: int, now_s: float) -> float:
        """For how many seconds it has not moved, as far as is known."""
        return now_s - self.since_s.get(source, now_s)


def reached(watermarks: Watermarks, sources: int, targets: int) -> dict[int, int | None]:
    """Up to when each source is published everywhere; None where that is not known of all targets."""
    found: dict[int, int | None] = {}
    for source in range(sources):
        of_each = [watermarks.get(target, {}).get(source) for target in range(targets)]
        known = [of for of in of_each if of is not None]
        found[source] = min(known) if len(known) == targets else None
    return found


def complete_until(
    watermarks: Watermarks,
    sources: int,
    targets: int,
    quiet: Collection[int],
    now_ms: int | None = None,
    moved_ms: int | None = None,
    clock_ms: int | None = None,
) -> int | None:
    """Up to when (ms) everything is published, in whole minutes; None where that is not known.

    `quiet` are the sources that hold nobody up; `now_ms` is what a live stream has reached by the wall clock while all
    are quiet, and `moved_ms` when a watermark moved last by the same clock. Beyond `clock_ms`, the time by that clock,
    nothing is complete: one view that is dated ahead says nothing of those that are still to come.

    >>> complete_until({0: {0: 600_000, 1: 120_000}}, 2, 1, ())
    120000
    >>> complete_until({0: {0: 600_000, 1: 120_000}}, 2, 1, {1})
    600000
    >>> complete_until({0: {0: 600_000, 1: 120_000}}, 2, 1, {1}, clock_ms=200_000)
    180000
    """
    until_ms = _published_until(watermarks, sources, targets, quiet, now_ms, moved_ms)
    if until_ms is None:
        return None
    return _whole(until_ms if clock_ms is None else min(until_ms, clock_ms))


def _published_until(
    watermarks: Watermarks,
    sources: int,
    targets: int,
    quiet: Collection[int],
    now_ms: int | None,
    moved_ms: int | None,
) -> int | None:
    """What the watermarks and, while all are quiet, the clock say."""
    if any(target not in watermarks for target in range(targets)):
        return None
    at = reached(watermarks, sources, targets)
    active = [at[source] for source in range(sources) if source not in quiet]
    if active:
        known = [of for of in active if of is not None]
        return min(known) if len(known) == len(active) else None
    newest = max((of for of in at.values() if of is not None), default=None)
    if newest is None:
        return None
    live = now_ms is not None and moved_ms is not None and abs(moved_ms - newest) <= LIVE_WITHIN_MS
    return max(newest, now_ms) if live and now_ms is not None else newest


def _whole(time_ms: int) -> int:
    return time_ms - time_ms % MINUTE_MS
