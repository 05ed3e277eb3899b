"""The causes that block the evaluation, and their report. Pure.

The evaluation follows the smallest watermark that a source has published. So a source that does not advance blocks all
others: its records are not counted, or their publisher does not report them, as a worker without ALERTS_FILE.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Final

from movie_stream.alerts.frontier import MINUTE_MS, Inactivity, Topics, Watermarks, reached
from movie_stream.events.timestamps import datetime_of
from movie_stream.mongo.workers import OwnedPartition, WorkerReport

REPORTED_AFTER: Final = timedelta(minutes=1)
"""The delay of the first report, after an idle source would be ignored."""
REPORTED_AT_MOST_EVERY: Final = timedelta(hours=1)
_LISTED: Final = 10
WITHOUT_RULES: Final = ""
"""The value that a worker without ALERTS_FILE reports as its rules."""


def holdings(workers: Iterable[WorkerReport]) -> dict[tuple[str, int], tuple[WorkerReport, OwnedPartition]]:
    """The live worker that owns each partition, by topic and partition."""
    alive = [worker for worker in workers if not worker.silent]
    return {(held.topic, held.partition): (worker, held) for worker in alive for held in worker.status.partitions}


def without_rules(workers: Iterable[WorkerReport]) -> list[WorkerReport]:
    """The live workers that report no ALERTS_FILE."""
    return [worker for worker in workers if not worker.silent and worker.status.rules == WITHOUT_RULES]


def quiet_sources(
    watermarks: Watermarks,
    inactivity: Inactivity,
    topics: Topics,
    workers: Collection[WorkerReport],
    idle: timedelta,
    now_s: float,
) -> set[int]:
    """The idle sources: all their records are counted and published, and no new ones arrive."""
    held = holdings(workers)
    if any((owner := held.get((topics.partials, at))) is None or owner[1].lag != 0 for at in range(topics.targets)):
        return set()
    at = reached(watermarks, topics.sources, topics.targets)
    quiet = set[int]()
    for source in range(topics.sources):
        found = held.get((topics.events, source))
        if found is None or found[1].lag != 0:
            continue
        still = inactivity.inactive_for(source, now_s) >= idle.total_seconds()
        if still or (at[source] is None and found[1].position == 0):
            quiet.add(source)
    return quiet


def blocking_causes(
    watermarks: Watermarks,
    topics: Topics,
    quiet: Collection[int],
    still: Collection[int],
    until_ms: int | None,
    workers: Collection[WorkerReport],
) -> list[str]:
    """The causes that block the evaluation, as text; empty if there is nothing more to evaluate.

    Only sources in `still` are causes: the others advance, if slowly.
    """
    if not watermarks:
        return []
    held = holdings(workers)
    unknown = [target for target in range(topics.targets) if target not in watermarks]
    if unknown:
        return _unreported(topics, unknown, held, "yet")
    newest_ms = max((at for own in watermarks.values() for at in own.values()), default=0) // MINUTE_MS * MINUTE_MS
    behind = until_ms is None or newest_ms > until_ms
    at = reached(watermarks, topics.sources, topics.targets)
    least = {
        source: at[source]
        for source in range(topics.sources)
        if source not in quiet and (until_ms is None or (at[source] or 0) // MINUTE_MS * MINUTE_MS <= until_ms)
    }
    if until_ms is None:
        least = {source: at_ms for source, at_ms in least.items() if at_ms is None}
    if not behind:  # no newer view is known; a source with lag may have some
        least = {source: at_ms for source, at_ms in least.items() if not _counted(held.get((topics.events, source)))}
    targets = [target for target in range(topics.targets) if _is_behind(watermarks, target, least)]
    if targets:
        return _unreported(topics, targets, held, "lately")
    return [_still(topics, source, at_ms, held) for source, at_ms in least.items() if source in still]


class Blockage:
    """Schedules the reports of a blocked evaluation: once, then at growing intervals, and when it resumes."""

    def __init__(self, idle: timedelta) -> None:
        self._patience_s = (idle + REPORTED_AFTER).total_seconds()
        self._until_ms: int | None = None
        self._since_s: float | None = None
        self._report_at_s, self._interval_s = 0.0, 0.0
        self.reported = False
        """Whether a blockage was reported that still lasts."""

    def look(self, until_ms: int | None, causes: Collection[str], now_s: float) -> bool:
        """Records the current causes; returns whether to report now."""
        if not causes or until_ms != self._until_ms or self._since_s is None:
            resumed, self.reported = self.reported, False
            self._until_ms, self._since_s = until_ms, now_s
            self._report_at_s, self._interval_s = now_s + self._patience_s, REPORTED_AFTER.total_seconds()
            return resumed
        if now_s < self._report_at_s:
            return False
        self.reported = True
        self._interval_s = min(2 * self._interval_s, REPORTED_AT_MOST_EVERY.total_seconds())
        self._report_at_s = now_s + self._interval_s
        return True

    def stalled_s(self, now_s: float) -> float:
        """Seconds without progress."""
        return 0.0 if self._since_s is None else now_s - self._since_s


def in_words(causes: Collection[str]) -> str:
    """The first causes, and the number of further ones.

    >>> in_words(["a", "b"])
    'a; b'
    """
    more = len(causes) - _LISTED
    return "; ".join(list(causes)[:_LISTED]) + (f"; and {more} more" if more > 0 else "")


def utc(time_ms: int | None) -> str:
    """An event time as text.

    >>> utc(1_730_383_500_000), utc(None)
    ('2024-10-31 14:05 UTC', 'no time yet')
    """
    return "no time yet" if time_ms is None else f"{datetime_of(time_ms):%Y-%m-%d %H:%M} UTC"


Held = Mapping[tuple[str, int], tuple[WorkerReport, OwnedPartition]]


def _counted(found: tuple[WorkerReport, OwnedPartition] | None) -> bool:
    return found is not None and found[1].lag == 0


def _is_behind(watermarks: Watermarks, target: int, least: Mapping[int, int | None]) -> bool:
    """Whether other targets have published all of these sources further than this one, by a minute or more."""

    def minute(published_by: int, source: int) -> int:
        return watermarks[published_by].get(source, -MINUTE_MS) // MINUTE_MS

    return bool(least) and all(
        minute(target, source) < max(minute(other, source) for other in watermarks) for source in least
    )


def _unreported(topics: Topics, targets: Collection[int], held: Held, when: str) -> list[str]:
    """The causes for partitions of the partials without a report, one for each owner."""
    by_holder: dict[str, list[int]] = {}
    for target in targets:
        by_holder.setdefault(_owner(held.get((topics.partials, target))), []).append(target)
    return [
        f"nobody has said {when} how far {topics.partials}, partition {', '.join(map(str, owned))} is published: {who}"
        for who, owned in by_holder.items()
    ]


def _owner(found: tuple[WorkerReport, OwnedPartition] | None) -> str:
    if found is None:
        return "no worker has it at the moment"
    worker, holding = found
    if worker.status.rules == WITHOUT_RULES:
        return f"{worker} has it, without ALERTS_FILE, which all workers of the group need"
    return f"{worker} has it, {_waiting(holding)}; all workers of the group need ALERTS_FILE"


def _still(topics: Topics, source: int, at_ms: int | None, held: Held) -> str:
    status = f"{topics.events}, partition {source} stands still, published until {utc(at_ms)}"
    found = held.get((topics.events, source))
    if found is None:
        return f"{status}: no worker has it at the moment"
    worker, holding = found
    return f"{status}: {worker} has it, {_waiting(holding)}"


def _waiting(holding: OwnedPartition) -> str:
    return "it is not known how many records wait" if holding.lag is None else f"{holding.lag:,} records wait"
