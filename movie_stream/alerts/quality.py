"""The data's quality, where rules look at it: the verdict of expectations.py; which source partitions there are; and
what an hour counts as in which one got no record, of which there is no document.

Such an hour has 0 records. It is one of a partition from the first hour with views on: what lies before that are
records of no known time, in hours of Kafka's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, Final

from bson.int64 import Int64

from movie_stream.alerts.expectations import LIGHTS, Expectations, verdict
from movie_stream.alerts.series import Silence, Verdicts

PARTITION: Final = "partition"
"""The field with the number of the source partition."""


def light_by(expected: Expectations) -> Verdicts:
    """The verdict by these expectations."""
    return lambda document: verdict(document, expected)


def silence_of(first_ms: int | None, counts: Iterable[str], verdicts: Verdicts | None = None) -> Silence | None:
    """What an hour without a document counts as: of each count 0, and no averages; None before there is a view."""
    if first_ms is None:
        return None
    figures = dict.fromkeys(counts, 0.0)
    if verdicts is None:
        return Silence(first_ms, figures)
    found = verdicts(figures)
    return Silence(first_ms, {**figures, "light": float(LIGHTS.index(found.light))}, found.reasons)


def firsts_in(collection: str, start: str, views: str, run: int) -> list[dict[str, Any]]:
    """The pipeline that finds each source partition (`_id`) with the start of its `first` hour with views in a run; it
    lacks that where there is none. It looks at one end of an index, however many hours there are.
    """
    return _with_ends(collection, start, {"first": ({"_run": Int64(run), views: {"$gt": 0}}, 1)})


def partitions_in(collection: str, start: str, views: str, before: datetime | None) -> list[dict[str, Any]]:
    """Like `firsts_in`, with the `newest` hour with views too, and with the last one that begins `before` a time: with
    views (`viewed`), and with any records (`any`).
    """
    with_views, until = {views: {"$gt": 0}}, {} if before is None else {start: {"$lt": before}}
    ends = {"first": (with_views, 1), "newest": (with_views, -1)}
    return _with_ends(collection, start, {**ends, "viewed": ({**with_views, **until}, -1), "any": (until, -1)})


def _with_ends(collection: str, start: str, ends: Mapping[str, tuple[Mapping[str, Any], int]]) -> list[dict[str, Any]]:
    """All partitions, with the starts of the hours that come first in this direction of those that match."""

    def end_of(name: str, matches: Mapping[str, Any], direction: int) -> dict[str, Any]:
        pipeline = [
            {"$match": matches},
            {"$sort": {start: direction}},
            {"$limit": 1},
            {"$project": {"_id": 0, "at": f"${start}"}},
        ]
        fields = {"from": collection, "localField": "_id", "foreignField": PARTITION, "pipeline": pipeline, "as": name}
        return {"$lookup": fields}

    return [
        {"$match": {PARTITION: {"$gte": 0}}},
        {"$group": {"_id": f"${PARTITION}"}},
        *(end_of(name, *of) for name, of in ends.items()),
        {"$project": {name: {"$first": f"${name}.at"} for name in ends}},
    ]
