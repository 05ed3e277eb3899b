"""`/quality`: what the records of a range are worth, of each source partition and of all, by what is expected of them.

Figures of hours are added up; a mean delay is weighed by the views that it is of. The hours are those of stream time.
An hour is over once any partition has got beyond it: completeness is of these, from a partition's first one on, and one
without a document has no records. So a partition that is silent while the others go on is there, and incomplete.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from movie_stream.alerts.expectations import LIGHTS, Verdict, verdict
from movie_stream.alerts.quality import PARTITION, partitions_in
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.figures import HOUR_MS
from movie_stream.web.ranges import TimeRange
from movie_stream.web.stored import QUALITY

_MOST_PARTITIONS: Final = 10_000
_MOST_REASONS: Final = 50_000
_REASONS_SHOWN: Final = 10
_SUMS: Final = (
    *("records", "views", "bad", "late"),
    *("without_rating", "without_duration", "without_price", "new_genres", "retitled"),
)


@dataclass(slots=True)
class Sums:
    """Figures of hours, added up."""

    counts: Counter[str] = field(default_factory=Counter)
    delay_s: float = 0.0
    """The sum over the views."""
    timed: int = 0
    """The views that it is of."""
    longest_s: float | None = None
    most_new_genres: int = 0
    """In one hour of one partition."""
    over_records: int = 0
    """Those of hours that are over."""
    over_hours: int = 0
    empty_hours: int = 0
    """Of these, the ones without records."""
    heard: datetime | None = None
    """The start of the last hour with records before the end of the range, be it in the range or not."""

    def add(self, other: Sums) -> None:
        """Adds them."""
        self.counts.update(other.counts)
        self.delay_s += other.delay_s
        self.timed += other.timed
        longest = [one for one in (self.longest_s, other.longest_s) if one is not None]
        self.longest_s = max(longest, default=None)
        self.most_new_genres = max(self.most_new_genres, other.most_new_genres)
        self.over_records += other.over_records
        self.over_hours += other.over_hours
        self.empty_hours += other.empty_hours
        self.heard = max((one for one in (self.heard, other.heard) if one is not None), default=None)

    @property
    def avg_delay_s(self) -> float | None:
        """The mean over the views; None where none has a Kafka timestamp."""
        return self.delay_s / self.timed if self.timed else None

    def judged(self, dashboard: Dashboard) -> Verdict:
        """By what is expected; new genres are expected by hour, and the most of an hour are judged."""
        document = {**self.counts, "new_genres": self.most_new_genres, "avg_delay_s": self.avg_delay_s}
        expected = dashboard.expectations
        found = verdict(document, expected, hours=0)
        if not self.over_hours:
            return found
        over = verdict({"records": self.over_records}, expected, self.over_hours)
        both = (*(one for one in over.found if one.figure == "completeness"), *found.found)
        return Verdict(max((one.light for one in both), key=LIGHTS.index, default="grey"), both)

    def row(self, dashboard: Dashboard, partition: int | None, reasons: Counter[tuple[str, str]]) -> dict[str, Any]:
        """As it is answered; without a partition it is of all."""
        expected, found = dashboard.expectations.records_per_hour, self.judged(dashboard)
        largest = sorted(reasons.items(), key=lambda one: (-one[1], *one[0]))
        return {
            "partition": partition,
            "light": found.light,
            "judged": [one._asdict() for one in found.found],
            **{name: self.counts[name] for name in _SUMS},
            "avg_delay_s": self.avg_delay_s,
            "max_delay_s": self.longest_s,
            "completeness": self.over_records / (expected * self.over_hours) if expected and self.over_hours else None,
            "hours": self.over_hours,
            "empty_hours": self.empty_hours,
            "heard": self.heard,
            "reasons": [
                {"kind": kind, "reason": reason, "count": count} for (kind, reason), count in largest[:_REASONS_SHOWN]
            ],
        }


async def quality(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    """The answer of `/quality`."""
    within, asker = await dashboard.range_of(given), dashboard.asker
    match = within.touched(QUALITY.start, HOUR_MS)
    known = await asker.once(
        ("quality partitions", within.until),
        lambda: asker.aggregate(
            QUALITY.collection,
            partitions_in(QUALITY.collection, QUALITY.start, QUALITY.views, within.until),
            _MOST_PARTITIONS,
        ),
    )
    ends = {one["_id"]: one for one in known if isinstance(one["_id"], int)}
    newest = max((of for one in ends.values() if isinstance(of := one.get("newest"), datetime)), default=None)
    groups = await asker.once(
        ("quality", within.since, within.until, newest),
        lambda: asker.aggregate(
            QUALITY.collection, [{"$match": match}, {"$group": _grouped(newest)}], _MOST_PARTITIONS
        ),
    )
    found = {group["_id"]: group for group in groups if isinstance(group["_id"], int)}
    counted = await asker.once(
        ("quality reasons", within.since, within.until),
        lambda: asker.aggregate(
            QUALITY.collection,
            [{"$match": match}, {"$unwind": f"${QUALITY.entries}"}, {"$group": _REASONS}],
            _MOST_REASONS,
        ),
    )
    reasons = _by_partition(counted)
    total, partitions = Sums(), []
    for partition in sorted(found.keys() | {of for of, one in ends.items() if "any" in one}):
        sums = _sums_of(found.get(partition, {}), ends.get(partition, {}), within, newest)
        total.add(sums)
        partitions.append(sums.row(dashboard, partition, reasons[partition]))
    all_reasons = sum(reasons.values(), Counter[tuple[str, str]]())
    rows = [total.row(dashboard, None, all_reasons), *partitions] if partitions else []
    return {
        "since": within.since,
        "until": within.until,
        "newest": max((of for group in found.values() if isinstance(of := group["last"], datetime)), default=None),
        "over_until": newest,
        "light": max((row["light"] for row in rows), key=LIGHTS.index, default="grey"),
        "total": rows[0] if rows else None,
        "partitions": partitions,
    }


_OF_VIEWS: Final = {"$cond": [{"$gt": [f"${QUALITY.views}", 0]}, f"${QUALITY.start}", None]}
"""The start of an hour with views; those without lie before the first view, at the time of Kafka's clock."""
_TIMED: Final = {"$cond": [{"$gt": ["$avg_delay_s", None]}, f"${QUALITY.views}", 0]}
_GROUP: Final[Mapping[str, Any]] = {
    "_id": f"${PARTITION}",
    **{name: {"$sum": f"${name}"} for name in _SUMS},
    "last": {"$max": _OF_VIEWS},
    "delay_s": {"$sum": {"$multiply": [{"$ifNull": ["$avg_delay_s", 0]}, f"${QUALITY.views}"]}},
    "timed": {"$sum": _TIMED},
    "longest_s": {"$max": "$max_delay_s"},
    "most_new_genres": {"$max": "$new_genres"},
}
_REASONS: Final[Mapping[str, Any]] = {
    "_id": {"p": f"${PARTITION}", "k": f"${QUALITY.entries}.kind", "r": f"${QUALITY.entries}.reason"},
    "count": {"$sum": f"${QUALITY.entries}.count"},
}


def _grouped(newest: datetime | None) -> dict[str, Any]:
    """The sums by partition, among them those of hours with views that are over."""
    over = {"$and": [{"$gt": [f"${QUALITY.views}", 0]}, {"$lt": [f"${QUALITY.start}", newest]}]}
    return {
        **_GROUP,
        "over_records": {"$sum": {"$cond": [over, "$records", 0]}},
        "over_rows": {"$sum": {"$cond": [over, 1, 0]}},
    }


def _sums_of(group: Mapping[str, Any], ends: Mapping[str, Any], within: TimeRange, newest: datetime | None) -> Sums:
    """Of one partition; where it has no document in the range, the group is empty."""
    hours = _hours_over(ends.get("first"), within, newest)
    return Sums(
        Counter({name: int(group.get(name, 0)) for name in _SUMS}),
        float(group.get("delay_s", 0)),
        int(group.get("timed", 0)),
        group.get("longest_s"),
        int(group.get("most_new_genres") or 0),
        int(group.get("over_records", 0)) if hours else 0,
        hours,
        max(hours - int(group.get("over_rows", 0)), 0),
        ends.get("viewed", ends.get("any")),
    )


def _hours_over(first: Any, within: TimeRange, newest: datetime | None) -> int:
    """How many hours the range touches, from a partition's first one on, that are over by the stream's newest hour."""
    if not isinstance(first, datetime) or newest is None:
        return 0
    begin_ms, end_ms = timestamp_ms_of(first), timestamp_ms_of(newest)
    if within.since is not None:
        since_ms = timestamp_ms_of(within.since)
        begin_ms = max(begin_ms, since_ms - since_ms % HOUR_MS)
    if within.until is not None:
        end_ms = min(end_ms, -(-timestamp_ms_of(within.until) // HOUR_MS) * HOUR_MS)
    return max(end_ms - begin_ms, 0) // HOUR_MS


def _by_partition(counted: Iterable[Mapping[str, Any]]) -> defaultdict[Any, Counter[tuple[str, str]]]:
    found: defaultdict[Any, Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in counted:
        key = one["_id"]
        found[key.get("p")][str(key.get("k")), str(key.get("r"))] += int(one["count"])
    return found
