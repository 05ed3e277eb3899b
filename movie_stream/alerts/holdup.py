"""What holds the evaluation up, and how that is said. Nothing in here asks anybody.

The least that a source has published is how far all is evaluated. So one that stands still holds up all others: since
its records are not counted, or since who publishes them does not tell so, as a worker without ALERTS_FILE.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import timedelta
from typing import Final

from movie_stream.alerts.frontier import MINUTE_MS, Stillness, Topics, Watermarks, reached
from movie_stream.events.moment import datetime_of
from movie_stream.mongo.workers import Holding, WorkerSeen

SAID_AFTER: Final = timedelta(minutes=1)
"""So much later than a source that is quiet would hold nobody up any more."""
SAID_AT_MOST_EVERY: Final = timedelta(hours=1)
_NAMED: Final = 10
WITHOUT_RULES: Final = ""
"""What a worker without ALERTS_FILE says of its rules."""


def holdings(workers: Iterable[WorkerSeen]) -> dict[tuple[str, int], tuple[WorkerSeen, Holding]]:
    """By topic and partition who counts it, of those that are heard of."""
    alive = [worker for worker in workers if not worker.silent]
    return {(of.topic, of.partition): (worker, of) for worker in alive for of in worker.standing.partitions}


def without_rules(workers: Iterable[WorkerSeen]) -> list[WorkerSeen]:
    """The workers that have no ALERTS_FILE, as they say."""
    return [worker for worker in workers if not worker.silent and worker.standing.rules == WITHOUT_RULES]


def quiet_sources(
    watermarks: Watermarks,
    stillness: Stillness,
    topics: Topics,
    workers: Collection[WorkerSeen],
    idle: timedelta,
    now_s: float,
) -> set[int]:
    """The sources that hold nobody up: of which all is counted and published, and nothing comes."""
    held = holdings(workers)
    if any((of := held.get((topics.partials, at))) is None or of[1].lag != 0 for at in range(topics.targets)):
        return set()
    at = reached(watermarks, topics.sources, topics.targets)
    quiet = set[int]()
    for source in range(topics.sources):
        found = held.get((topics.events, source))
        if found is None or found[1].lag != 0:
            continue
        still = stillness.still_for(source, now_s) >= idle.total_seconds()
        if still or (at[source] is None and found[1].position == 0):
            quiet.add(source)
    return quiet


def holding_up(
    watermarks: Watermarks,
    topics: Topics,
    quiet: Collection[int],
    still: Collection[int],
    until_ms: int | None,
    workers: Collection[WorkerSeen],
) -> list[str]:
    """What the evaluation waits for, in words, where there is more to evaluate; nothing where there is not.

    Of the sources only those that stand `still`: another one gets on, be it slowly.
    """
    if not watermarks:
        return []
    held = holdings(workers)
    unknown = [target for target in range(topics.targets) if target not in watermarks]
    if unknown:
        return _untold(topics, unknown, held, "yet")
    newest_ms = max((at for of in watermarks.values() for at in of.values()), default=0) // MINUTE_MS * MINUTE_MS
    behind = until_ms is None or newest_ms > until_ms
    at = reached(watermarks, topics.sources, topics.targets)
    least = {
        source: at[source]
        for source in range(topics.sources)
        if source not in quiet and (until_ms is None or (at[source] or 0) // MINUTE_MS * MINUTE_MS <= until_ms)
    }
    if until_ms is None:
        least = {source: of for source, of in least.items() if of is None}
    if not behind:  # nothing newer is known; a source whose records wait may have some
        least = {source: of for source, of in least.items() if not _counted(held.get((topics.events, source)))}
    targets = [target for target in range(topics.targets) if _is_behind(watermarks, target, least)]
    if targets:
        return _untold(topics, targets, held, "lately")
    return [_still(topics, source, of, held) for source, of in least.items() if source in still]


class Holdup:
    """Says once that the evaluation is held up, then at intervals that grow, and that it goes on."""

    def __init__(self, idle: timedelta) -> None:
        self._patience_s = (idle + SAID_AFTER).total_seconds()
        self._until_ms: int | None = None
        self._since_s: float | None = None
        self._say_at_s, self._pause_s = 0.0, 0.0
        self.said = False
        """Whether it is held up, and for so long that it was said."""

    def look(self, until_ms: int | None, causes: Collection[str], now_s: float) -> bool:
        """Notes what there is; whether it is to be said now."""
        if not causes or until_ms != self._until_ms or self._since_s is None:
            went_on, self.said = self.said, False
            self._until_ms, self._since_s = until_ms, now_s
            self._say_at_s, self._pause_s = now_s + self._patience_s, SAID_AFTER.total_seconds()
            return went_on
        if now_s < self._say_at_s:
            return False
        self.said = True
        self._pause_s = min(2 * self._pause_s, SAID_AT_MOST_EVERY.total_seconds())
        self._say_at_s = now_s + self._pause_s
        return True

    def still_s(self, now_s: float) -> float:
        """For how long it has not got on."""
        return 0.0 if self._since_s is None else now_s - self._since_s


def in_words(causes: Collection[str]) -> str:
    """Some of them, and how many more there are.

    >>> in_words(["a", "b"])
    'a; b'
    """
    more = len(causes) - _NAMED
    return "; ".join(list(causes)[:_NAMED]) + (f"; and {more} more" if more > 0 else "")


def utc(time_ms: int | None) -> str:
    """A time of events as people read it.

    >>> utc(1_730_383_500_000), utc(None)
    ('2024-10-31 14:05 UTC', 'no time yet')
    """
    return "no time yet" if time_ms is None else f"{datetime_of(time_ms):%Y-%m-%d %H:%M} UTC"


Held = Mapping[tuple[str, int], tuple[WorkerSeen, Holding]]


def _counted(found: tuple[WorkerSeen, Holding] | None) -> bool:
    return found is not None and found[1].lag == 0


def _is_behind(watermarks: Watermarks, target: int, least: Mapping[int, int | None]) -> bool:
    """Whether of all of these sources others have published more than this one by a minute or more."""

    def minute(of: int, source: int) -> int:
        return watermarks[of].get(source, -MINUTE_MS) // MINUTE_MS

    return bool(least) and all(
        minute(target, source) < max(minute(other, source) for other in watermarks) for source in least
    )


def _untold(topics: Topics, targets: Collection[int], held: Held, when: str) -> list[str]:
    """Partitions of the partials of which it is not said how far they are, by who has them."""
    by_holder: dict[str, list[int]] = {}
    for target in targets:
        by_holder.setdefault(_who(held.get((topics.partials, target))), []).append(target)
    return [
        f"nobody has said {when} how far {topics.partials}, partition {', '.join(map(str, some))} is published: {who}"
        for who, some in by_holder.items()
    ]


def _who(found: tuple[WorkerSeen, Holding] | None) -> str:
    if found is None:
        return "no worker has it at the moment"
    worker, of = found
    if worker.standing.rules == WITHOUT_RULES:
        return f"{worker} has it, without ALERTS_FILE, which all workers of the group need"
    return f"{worker} has it, {_waiting(of)}; all workers of the group need ALERTS_FILE"


def _still(topics: Topics, source: int, at_ms: int | None, held: Held) -> str:
    where = f"{topics.events}, partition {source} stands still, published until {utc(at_ms)}"
    found = held.get((topics.events, source))
    if found is None:
        return f"{where}: no worker has it at the moment"
    worker, of = found
    return f"{where}: {worker} has it, {_waiting(of)}"


def _waiting(of: Holding) -> str:
    return "it is not known how many records wait" if of.lag is None else f"{of.lag:,} records wait"
