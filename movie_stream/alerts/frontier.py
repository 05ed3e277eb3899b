"""The event time up to which results are complete. Pure.

Each source partition has a watermark, its largest event time so far. The publisher of each partition of
`movie-partials` reports the watermarks that it has published, after the documents. A window is complete once the
watermark of every source is behind it in all of these partitions. An idle source, without new records and without lag,
is ignored. No window is complete before its end by the wall clock, whatever the timestamps of views are.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Final

MINUTE_MS: Final = 60_000
LIVE_WITHIN_MS: Final = 3_600_000
"""A stream is live if its newest view arrived within this time of its timestamp: while all sources are idle, its time
follows the clock.
"""

Watermarks = Mapping[int, Mapping[int, int]]
"""By partition of `movie-partials` and source partition, in Unix milliseconds."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics that workers report on, and their numbers of partitions."""

    events: str
    sources: int
    partials: str
    targets: int


@dataclass(slots=True)
class Inactivity:
    """The time since which the watermark of each source has not moved, by the caller's clock."""

    since_s: dict[int, float] = field(default_factory=dict)
    _seen: dict[int, tuple[int | None, ...]] = field(default_factory=dict)

    def look(self, watermarks: Watermarks, sources: int, now_s: float) -> None:
        """Records which watermarks have moved."""
        for source in range(sources):
            now = tuple(published.get(source) for _, published in sorted(watermarks.items()))
            if self._seen.get(source) != now or source not in self.since_s:
                self._seen[source], self.since_s[source] = now, now_s

    def longer_than(self, idle_s: float, now_s: float) -> set[int]:
        """The sources that have not moved for at least this number of seconds."""
        return {source for source in self.since_s if self.inactive_for(source, now_s) >= idle_s}

    def inactive_for(self, source: int, now_s: float) -> float:
        """The seconds for which a source has not moved, as far as known."""
        return now_s - self.since_s.get(source, now_s)


def reached(watermarks: Watermarks, sources: int, targets: int) -> dict[int, int | None]:
    """The watermark of each source that all targets have published; None if a target has not reported one."""
    found: dict[int, int | None] = {}
    for source in range(sources):
        published = [watermarks.get(target, {}).get(source) for target in range(targets)]
        known = [watermark for watermark in published if watermark is not None]
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
    """The time up to which everything is published, in Unix milliseconds, a whole minute; None if unknown.

    `quiet` are the idle sources; `now_ms` is the time that a live stream has reached by the wall clock while all are
    idle, and `moved_ms` the time of the last move of a watermark by the same clock. Nothing is complete beyond
    `clock_ms`, the current time: a view from the future says nothing about those yet to arrive.

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
    return _whole_minutes(until_ms if clock_ms is None else min(until_ms, clock_ms))


def _published_until(
    watermarks: Watermarks,
    sources: int,
    targets: int,
    quiet: Collection[int],
    now_ms: int | None,
    moved_ms: int | None,
) -> int | None:
    """The time by the watermarks or, while all sources are idle, by the clock."""
    if any(target not in watermarks for target in range(targets)):
        return None
    at = reached(watermarks, sources, targets)
    active = [at[source] for source in range(sources) if source not in quiet]
    if active:
        known = [watermark for watermark in active if watermark is not None]
        return min(known) if len(known) == len(active) else None
    newest = max((watermark for watermark in at.values() if watermark is not None), default=None)
    if newest is None:
        return None
    live = now_ms is not None and moved_ms is not None and abs(moved_ms - newest) <= LIVE_WITHIN_MS
    return max(newest, now_ms) if live and now_ms is not None else newest


def _whole_minutes(time_ms: int) -> int:
    return time_ms - time_ms % MINUTE_MS
