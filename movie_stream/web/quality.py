"""`/quality`: what the records of a range are worth, of each source partition and of all, by what is expected of them.

Figures of hours are added up; a mean delay is weighed by the views that it is of. The hours are those of stream time,
so that of each partition its newest hour in the range may not be over: completeness leaves it out.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from movie_stream.aggregates.fields import Key
from movie_stream.alerts.expectations import LIGHTS, Verdict, verdict
from movie_stream.events.moment import timestamp_ms_of
from movie_stream.web.dashboard import Dashboard
from movie_stream.web.figures import HOUR_MS
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
            "reasons": [
                {"kind": kind, "reason": reason, "count": count} for (kind, reason), count in largest[:_REASONS_SHOWN]
            ],
        }


async def quality(dashboard: Dashboard, given: dict[str, Any]) -> dict[str, Any]:
    """The answer of `/quality`."""
    within, asker = await dashboard.range_of(given), dashboard.asker
    match = within.touched(QUALITY.start, HOUR_MS)
    groups = await asker.once(
        ("quality", within.since, within.until),
        lambda: asker.aggregate(QUALITY.collection, [{"$match": match}, {"$group": _GROUP}], _MOST_PARTITIONS),
    )
    groups = [group for group in groups if isinstance(group["_id"], int)]
    counted = await asker.once(
        ("quality reasons", within.since, within.until),
        lambda: asker.aggregate(
            QUALITY.collection,
            [{"$match": match}, {"$unwind": f"${QUALITY.entries}"}, {"$group": _REASONS}],
            _MOST_REASONS,
        ),
    )
    newest = await _records_of_newest_hours(dashboard, groups)
    reasons = _by_partition(counted)
    total, partitions = Sums(), []
    for group in sorted(groups, key=lambda one: int(one["_id"])):
        sums = _sums_of(group, newest)
        total.add(sums)
        partitions.append(sums.row(dashboard, group["_id"], reasons[group["_id"]]))
    all_reasons = sum(reasons.values(), Counter[tuple[str, str]]())
    rows = [total.row(dashboard, None, all_reasons), *partitions] if partitions else []
    return {
        "since": within.since,
        "until": within.until,
        "newest": max((group["last"] for group in groups if isinstance(group["last"], datetime)), default=None),
        "light": max((row["light"] for row in rows), key=LIGHTS.index, default="grey"),
        "total": rows[0] if rows else None,
        "partitions": partitions,
    }


_OF_VIEWS: Final = {"$cond": [{"$gt": [f"${QUALITY.views}", 0]}, f"${QUALITY.start}", None]}
"""The start of an hour with views; those without lie before the first view, at the time of Kafka's clock."""
_TIMED: Final = {"$cond": [{"$gt": ["$avg_delay_s", None]}, f"${QUALITY.views}", 0]}
_GROUP: Final[Mapping[str, Any]] = {
    "_id": "$partition",
    **{name: {"$sum": f"${name}"} for name in _SUMS},
    "first": {"$min": _OF_VIEWS},
    "last": {"$max": _OF_VIEWS},
    "of_views": {"$sum": {"$cond": [{"$gt": [f"${QUALITY.views}", 0]}, "$records", 0]}},
    "delay_s": {"$sum": {"$multiply": [{"$ifNull": ["$avg_delay_s", 0]}, f"${QUALITY.views}"]}},
    "timed": {"$sum": _TIMED},
    "longest_s": {"$max": "$max_delay_s"},
    "most_new_genres": {"$max": "$new_genres"},
}
_REASONS: Final[Mapping[str, Any]] = {
    "_id": {"p": "$partition", "k": f"${QUALITY.entries}.kind", "r": f"${QUALITY.entries}.reason"},
    "count": {"$sum": f"${QUALITY.entries}.count"},
}


async def _records_of_newest_hours(dashboard: Dashboard, groups: Iterable[Mapping[str, Any]]) -> dict[Any, int]:
    """By partition; nothing is asked where nothing is expected."""
    if not dashboard.expectations.records_per_hour:
        return {}
    result = QUALITY.shape.result
    ids = [
        result.document_id(Key(result.window, timestamp_ms_of(group["last"]), str(group["_id"])))
        for group in groups
        if isinstance(group["last"], datetime)
    ]
    asker = dashboard.asker
    found = await asker.once(
        ("quality newest", *ids),
        lambda: asker.find(
            QUALITY.collection, {"_id": {"$in": ids}}, ["partition", "records"], [("_id", 1)], max(len(ids), 1)
        ),
    )
    return {one.get("partition"): int(one.get("records") or 0) for one in found}


def _sums_of(group: Mapping[str, Any], newest: Mapping[Any, int]) -> Sums:
    first, last, partition = group["first"], group["last"], group["_id"]
    hours = 0
    if partition in newest and isinstance(first, datetime) and isinstance(last, datetime):
        hours = (timestamp_ms_of(last) - timestamp_ms_of(first)) // HOUR_MS
    return Sums(
        Counter({name: int(group[name]) for name in _SUMS}),
        float(group["delay_s"]),
        int(group["timed"]),
        group["longest_s"],
        int(group["most_new_genres"] or 0),
        max(int(group["of_views"]) - newest[partition], 0) if hours else 0,
        hours,
    )


def _by_partition(counted: Iterable[Mapping[str, Any]]) -> defaultdict[Any, Counter[tuple[str, str]]]:
    found: defaultdict[Any, Counter[tuple[str, str]]] = defaultdict(Counter)
    for one in counted:
        key = one["_id"]
        found[key.get("p")][str(key.get("k")), str(key.get("r"))] += int(one["count"])
    return found
