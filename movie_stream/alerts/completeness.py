"""A publisher's report to the evaluation: the event time up to which it has published, and the old windows it changed.

It is written after the documents and before the checkpoint, so that a crash at any time loses nothing. The evaluation
announces the time up to which it evaluates *before* it reads the documents. So either it reads a written document, or
the writer reads the announcement and leaves a marker: the windows that ended before that time are evaluated again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from time import monotonic
from typing import Any, Final

from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from movie_stream.aggregates.document_keys import WindowKey
from movie_stream.alerts.frontier import MINUTE_MS
from movie_stream.alerts.rules import HOUR_MS
from movie_stream.events.timestamps import datetime_of
from movie_stream.mongo.alerts import ALERTING
from movie_stream.mongo.client import (
    DUPLICATE_KEY,
    WRITE_LIMIT_MS,
    Database,
    explain,
    linearizable,
    majority_acknowledged,
)
from movie_stream.mongo.client import Collection as Stored

_ATTEMPTS: Final = 20


def control_id(run: int) -> str:
    """The `_id` of the document with the evaluator's lease and progress."""
    return f"{run}|control"


class Completeness:
    """The publisher's side for one run. `lengths_ms` has the window lengths of the collections that rules use; `idle`
    is the time after which an inactive source no longer blocks the evaluation.
    """

    def __init__(self, db: Database, run: int, lengths_ms: Mapping[str, int], idle: timedelta) -> None:
        self._db, self._run, self._lengths_ms = db, run, lengths_ms
        self._report_every_s = idle.total_seconds() / 4
        self._collection = majority_acknowledged(db, ALERTING)
        self._linearizable: Stored | None = None
        self._reported: dict[int, tuple[Mapping[int, int], float]] = {}
        """By partition, the watermarks reported last, and when."""

    def needs_report(self, partition: int, watermarks: Mapping[int, int]) -> bool:
        """Whether to report the watermarks of a partition of `movie-partials`: if a source has advanced by a minute
        since the last report, or by less and some time has passed, so that an active source does not seem inactive.
        """
        reported, reported_s = self._reported.get(partition, ({}, 0.0))
        if reported == watermarks:
            return False
        return _minutes(reported) != _minutes(watermarks) or monotonic() - reported_s >= self._report_every_s

    def forget(self, partition: int) -> None:
        """Drops the last report of a partition, when it is revoked or assigned."""
        self._reported.pop(partition, None)

    def is_used(self, collection: str) -> bool:
        """Whether a rule uses the collection."""
        return collection in self._lengths_ms

    async def published(
        self, partition: int, watermarks: Mapping[int, int] | None, windows: Collection[WindowKey]
    ) -> None:
        """Reports that the documents of these windows, and all up to these watermarks if there are any, were written.

        Raises MongoAway, MongoRefused, MongoFailed: retry then.
        """
        try:
            if windows:
                await self._mark(windows)
            if watermarks is not None and self.needs_report(partition, watermarks):
                await self._report(partition, watermarks)
        except PyMongoError as error:
            raise explain(error, self._db) from error

    async def _mark(self, windows: Collection[WindowKey]) -> None:
        """Writes a marker for each hour whose windows were evaluated, or are being evaluated."""
        if self._linearizable is None:
            self._linearizable = await linearizable(self._collection)
        control = await self._linearizable.find_one({"_id": control_id(self._run)}, max_time_ms=WRITE_LIMIT_MS)
        until_ms = 0 if control is None else int(control.get("evaluating_until", 0))
        ended = {start for name, start in windows if start + self._lengths_ms[name] <= until_ms}
        hours = {start - start % HOUR_MS for start in ended}
        updates = [
            UpdateOne(
                {"_id": f"{self._run}|marker|{hour}"},
                {
                    "$set": {"of": ObjectId()},  # not a counter, which would restart after a deletion
                    "$setOnInsert": {"kind": "marker", "hour": datetime_of(hour), "_run": Int64(self._run)},
                },
                upsert=True,
            )
            for hour in sorted(hours)
        ]
        for attempt in range(_ATTEMPTS):
            if not updates:
                return
            try:
                await self._collection.bulk_write(updates, ordered=False)
                return
            except BulkWriteError as error:
                faults = {fault["index"]: fault["code"] for fault in error.details["writeErrors"]}
                raced = error.details["writeConcernErrors"] == [] and set(faults.values()) == {DUPLICATE_KEY}
                if not raced or attempt == _ATTEMPTS - 1:
                    raise
                updates = [updates[index] for index in faults]

    async def _report(self, partition: int, watermarks: Mapping[int, int]) -> None:
        reported_s = monotonic()
        known: dict[str, Any] = {f"of{source}": f"$watermarks.of{source}" for source in watermarks}
        mine = {f"of{source}": Int64(at) for source, at in watermarks.items()}
        moved = {"$or": [{"$gt": [at, known[name]]} for name, at in mine.items()]}
        update = {
            "kind": "partition",
            "_run": Int64(self._run),
            "partition": partition,
            "watermarks": {
                "$mergeObjects": ["$watermarks", {name: {"$max": [at, known[name]]} for name, at in mine.items()}]
            },
            "moved": {"$cond": [moved, "$$NOW", "$moved"]},
        }
        await self._collection.update_one(
            {"_id": f"{self._run}|partition|{partition}"}, [{"$set": update}], upsert=True
        )
        self._reported[partition] = dict(watermarks), reported_s


def _minutes(watermarks: Mapping[int, int]) -> dict[int, int]:
    """Watermarks rounded down to whole minutes, the shortest window."""
    return {source: at - at % MINUTE_MS for source, at in watermarks.items()}


def watermarks_in(document: Mapping[str, Any]) -> dict[int, int]:
    """The watermarks in such a document, by source partition."""
    return {int(name.removeprefix("of")): int(at) for name, at in document.get("watermarks", {}).items()}
