"""What a publisher leaves for the evaluation: up to when it has published, and which old windows it has changed.

After its documents and before its checkpoint, so that nothing is missed whatever is killed when: the evaluation says
up to when it is going to evaluate *before* it reads the documents. So either it reads what was written, or the writer
reads what it said, and leaves a marker: what ended before that is evaluated again.
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

from movie_stream.alerts.frontier import MINUTE_MS
from movie_stream.alerts.rules import HOUR_MS
from movie_stream.events.moment import datetime_of
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

WindowKey = tuple[str, int]
"""A collection, and a window's start."""
_ATTEMPTS: Final = 20


def control_id(run: int) -> str:
    """The `_id` of the document that says who evaluates, and how far."""
    return f"{run}|control"


class Completeness:
    """The publisher's side, of one run; `lengths_ms` has the windows of the collections that rules look at, and `idle`
    is after how long a source that stands still holds nobody up.
    """

    def __init__(self, db: Database, run: int, lengths_ms: Mapping[str, int], idle: timedelta) -> None:
        self._db, self._run, self._lengths_ms = db, run, lengths_ms
        self._told_every_s = idle.total_seconds() / 4
        self._collection = majority_acknowledged(db, ALERTING)
        self._strict: Stored | None = None
        self._told: dict[int, tuple[Mapping[int, int], float]] = {}
        """By partition what was told of it last, and when."""

    def untold(self, partition: int, watermarks: Mapping[int, int]) -> bool:
        """Whether it is to be told how far a partition of `movie-partials` is: where a source has got on by a minute
        since, or by less a while ago, so that one from which something comes does not seem to stand still.
        """
        told, told_s = self._told.get(partition, ({}, 0.0))
        if told == watermarks:
            return False
        return _minutes(told) != _minutes(watermarks) or monotonic() - told_s >= self._told_every_s

    def forget(self, partition: int) -> None:
        """The partition went to somebody else, or came from there."""
        self._told.pop(partition, None)

    def concerns(self, collection: str) -> bool:
        """Whether a rule looks at it."""
        return collection in self._lengths_ms

    async def published(self, partition: int, watermarks: Mapping[int, int], windows: Collection[WindowKey]) -> None:
        """The documents of these windows were written, and with them all up to these watermarks.

        Raises MongoAway, MongoRefused, MongoFailed: to be done again then.
        """
        try:
            if windows:
                await self._mark(windows)
            if self.untold(partition, watermarks):
                await self._tell(partition, watermarks)
        except PyMongoError as error:
            raise explain(error, self._db) from error

    async def _mark(self, windows: Collection[WindowKey]) -> None:
        """Leaves a marker for each hour whose windows were evaluated, or are being evaluated."""
        if self._strict is None:
            self._strict = await linearizable(self._collection)
        control = await self._strict.find_one({"_id": control_id(self._run)}, max_time_ms=WRITE_LIMIT_MS)
        until_ms = 0 if control is None else int(control.get("evaluating_until", 0))
        ended = {start for of, start in windows if start + self._lengths_ms[of] <= until_ms}
        hours = {start - start % HOUR_MS for start in ended}
        updates = [
            UpdateOne(
                {"_id": f"{self._run}|marker|{hour}"},
                {
                    "$set": {"of": ObjectId()},  # not a count, which would begin again once it was deleted
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

    async def _tell(self, partition: int, watermarks: Mapping[int, int]) -> None:
        told_s = monotonic()
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
        self._told[partition] = dict(watermarks), told_s


def _minutes(watermarks: Mapping[int, int]) -> dict[int, int]:
    """Watermarks in whole minutes: no window is shorter."""
    return {source: at - at % MINUTE_MS for source, at in watermarks.items()}


def watermarks_in(document: Mapping[str, Any]) -> dict[int, int]:
    """The watermarks that such a document tells, by source partition."""
    return {int(name.removeprefix("of")): int(at) for name, at in document.get("watermarks", {}).items()}
