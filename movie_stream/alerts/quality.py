"""Data quality for rules: the verdict of expectations.py, the existing source partitions, and the figures of hours
without records, which have no document.

Such an hour has 0 records. It counts from the partition's first hour with views on: the hours of earlier records are by
Kafka's clock, as their event time is unknown.
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
    """A function that judges documents by these expectations."""
    return lambda document: verdict(document, expected)


def silence_of(first_ms: int | None, counts: Iterable[str], verdicts: Verdicts | None = None) -> Silence | None:
    """The figures of an hour without a document: all counts 0, no averages; None if there was no view yet."""
    if first_ms is None:
        return None
    figures = dict.fromkeys(counts, 0.0)
    if verdicts is None:
        return Silence(first_ms, figures)
    found = verdicts(figures)
    return Silence(first_ms, {**figures, "light": float(LIGHTS.index(found.light))}, found.reasons)


def firsts_in(collection: str, start: str, views: str, run: int) -> list[dict[str, Any]]:
    """The pipeline that finds each source partition (`_id`) with the start of its `first` hour with views in a run, if
    there is one. It reads one end of an index, however many hours there are.
    """
    return _with_ends(collection, start, {"first": ({"_run": Int64(run), views: {"$gt": 0}}, 1)})


def partitions_in(collection: str, start: str, views: str, before: datetime | None) -> list[dict[str, Any]]:
    """Like `firsts_in`, and also with the `newest` hour with views, and the last hour that starts `before` a time: with
    views (`viewed`), and with any records (`any`).
    """
    with_views, until = {views: {"$gt": 0}}, {} if before is None else {start: {"$lt": before}}
    ends = {"first": (with_views, 1), "newest": (with_views, -1)}
    return _with_ends(collection, start, {**ends, "viewed": ({**with_views, **until}, -1), "any": (until, -1)})


def _with_ends(collection: str, start: str, ends: Mapping[str, tuple[Mapping[str, Any], int]]) -> list[dict[str, Any]]:
    """The pipeline for all partitions with, for each of `ends`, the start of the first matching hour in a direction."""

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
        *(end_of(name, *end) for name, end in ends.items()),
        {"$project": {name: {"$first": f"${name}.at"} for name in ends}},
    ]
