"""The evaluation's state in MongoDB: the alerts, the evaluator's lease, the progress of each rule, and the markers.

Only the holder of the lease evaluates. The lease is by MongoDB's own clock, which also fences writes after its end: a
process that was suspended and resumes later changes nothing. Raises LeaseLost; errors of the driver are not translated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any, Final

from bson.int64 import Int64
from bson.objectid import ObjectId
from pymongo import ReturnDocument, UpdateOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from movie_stream.alerts.completeness import control_id, watermarks_in
from movie_stream.alerts.pace import READ_AT_ONCE
from movie_stream.errors import MovieStreamError
from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.mongo.alerts import ALERTING, ALERTS, FIELDS
from movie_stream.mongo.client import Database, majority_acknowledged

LEASE: Final = timedelta(seconds=20)
"""The duration of the lease. After a crash, the next process evaluates once LEASE and MARGIN have passed."""
MARGIN: Final = timedelta(seconds=3)
"""The most that the clocks of two primaries may differ."""
RENEWED_EVERY: Final = timedelta(seconds=5)
_CONVERSION_FAILURE: Final = 241
_AT_ONCE: Final = 500
_LONG_AGO: Final = datetime(1970, 1, 1, tzinfo=UTC)


FORMAT: Final = 1
"""The format version of `alerts`, `_alerting` and `_deliveries`, in addition to that of the run."""


class AlertsFormatVersionMismatch(MovieStreamError):
    """A later version of movie-stream has evaluated this run.

    What to do: use the newer version, or run this one without alerts.

    >>> print(AlertsFormatVersionMismatch(database="movies_db", found=9))
    the alerts in the database movies_db are those of a newer version of movie-stream: they have format 9, and this \
version reads and writes format 1; nothing was changed: use that version, or run this one without ALERTS_FILE
    """

    def __init__(self, *, database: str, found: int) -> None:
        super().__init__(
            f"the alerts in the database {database} are those of a newer version of movie-stream: they have format "
            f"{found}, and this version reads and writes format {FORMAT}; nothing was changed: use that version, or "
            "run this one without ALERTS_FILE"
        )


class LeaseLost(Exception):
    """The lease has ended, and another process may evaluate: later writes were refused."""

    def __init__(self, why: str = "its lease has ended") -> None:
        super().__init__(why)


@dataclass(frozen=True, slots=True)
class Lease:
    """The evaluator's lease, by MongoDB's clock."""

    held: bool
    until: datetime
    now: datetime
    number: int
    """The number of the pass, a fencing token: a larger one has read later."""
    anew: bool = True
    """Whether another process may have held the lease since the last call."""


@dataclass(frozen=True, slots=True)
class Marker:
    """An hour whose windows changed after they were evaluated."""

    id: str
    hour_ms: int
    of: ObjectId
    """A new id each time that the marker is written."""


@dataclass(frozen=True, slots=True)
class Published:
    """The reports of the publishers."""

    watermarks: dict[int, dict[int, int]]
    moved_ms: int | None
    """The time of the last move of a watermark, in Unix milliseconds."""
    markers: tuple[Marker, ...]


@dataclass(slots=True)
class RuleState:
    """The progress of a rule."""

    definition: str
    until_ms: int
    firsts: dict[str, int] = field(default_factory=dict)


class Store:
    """The state of one run, for one process."""

    def __init__(self, db: Database, run: int, holder: str) -> None:
        self._run, self._holder = Int64(run), holder
        self._control = control_id(run)
        self._alerting = majority_acknowledged(db, ALERTING)
        self._alerts = majority_acknowledged(db, ALERTS)
        self.lease = Lease(held=False, until=_LONG_AGO, now=_LONG_AGO, number=0)
        self.evaluated_until: datetime | None = None
        """The event time up to which all rules were evaluated, by any process."""
        self._renewed_s = float("-inf")

    async def claim(self) -> Lease:
        """Acquires or renews the lease, unless another process holds it. Raises AlertsFormatVersionMismatch."""
        return await self._update_control({})

    async def begin(self, until_ms: int) -> None:
        """Begins a pass up to a time, before anything is read. Raises LeaseLost."""
        until = {"$max": [Int64(until_ms), "$evaluating_until"]}
        await self._update({"evaluating_until": until, "pass": {"$add": [{"$ifNull": ["$pass", 0]}, Int64(1)]}})

    async def renew(self) -> None:
        """Renews the lease in the middle of a pass. Raises LeaseLost."""
        await self._update({})

    async def save_evaluated_until(self, until_ms: int) -> None:
        """Records that all rules are evaluated up to a time. Raises LeaseLost."""
        until = {"$max": [datetime_of(until_ms), "$evaluated_until"]}
        await self._update({"evaluated_until": until, "evaluated_at": "$$NOW"})

    async def set_blocked(self, for_what: str | None, since: datetime | None = None) -> None:
        """Stores the causes that block the evaluation; None once it resumes. Raises LeaseLost."""
        waits = None if for_what is None else {"for": for_what, "since": since}
        await self._update({"waits": {"$literal": waits}})

    async def _update(self, changes: Mapping[str, Any]) -> None:
        """Updates the control document, if the lease was held without interruption."""
        lease = await self._update_control(changes)
        if not lease.held:
            raise LeaseLost("another worker has taken over: this one was too slow or stopped for a while")
        if lease.anew:
            raise LeaseLost("its lease ended before it was renewed: this worker was too slow, or stopped for a while")

    async def _update_control(self, changes: Mapping[str, Any]) -> Lease:
        until = {"$ifNull": ["$until", _LONG_AGO]}
        margin_ms = int(MARGIN / timedelta(milliseconds=1))
        mine = {"$eq": ["$holder", self._holder]}
        known = {"$lte": [{"$ifNull": ["$format", 0]}, FORMAT]}
        free = {"$and": [known, {"$or": [mine, {"$lt": [{"$add": [until, margin_ms]}, "$$NOW"]}]}]}
        fields = {
            "holder": self._holder,
            "until": {"$add": ["$$NOW", int(LEASE / timedelta(milliseconds=1))]},
            **changes,
        }
        update: dict[str, Any] = {name: {"$cond": [free, value, f"${name}"]} for name, value in fields.items()}
        update |= {"kind": "control", "_run": self._run, "now": "$$NOW", "format": {"$max": ["$format", FORMAT]}}
        while True:
            try:
                found = await self._alerting.find_one_and_update(
                    {"_id": self._control}, [{"$set": update}], upsert=True, return_document=ReturnDocument.AFTER
                )
                break
            except DuplicateKeyError:  # another process inserted it first: retry
                continue
        if found["format"] > FORMAT:
            raise AlertsFormatVersionMismatch(database=self._alerting.database.name, found=found["format"])
        held = found["holder"] == self._holder
        anew = not self.lease.held or found["now"] >= self.lease.until
        self.evaluated_until, self._renewed_s = found.get("evaluated_until"), monotonic()
        self.lease = Lease(held, found["until"], found["now"], int(found.get("pass") or 0), anew)
        return self.lease

    @property
    def evaluates(self) -> bool:
        """Whether the lease is held and was renewed in time, as far as this process can tell."""
        return self.lease.held and monotonic() - self._renewed_s < LEASE.total_seconds()

    @property
    def now_ms(self) -> int:
        """An estimate of MongoDB's clock: its last time, plus the time elapsed since."""
        return timestamp_ms_of(self.lease.now) + max(int(1_000 * (monotonic() - self._renewed_s)), 0)

    async def release(self) -> None:
        """Releases the lease, so that the next process need not wait for its end."""
        self.lease = replace(self.lease, held=False)
        await self._alerting.update_one(
            {"_id": self._control, "holder": self._holder}, {"$set": {"until": _LONG_AGO, "holder": ""}}
        )

    async def clear(self) -> None:
        """Deletes documents that a process of an earlier run wrote after its end. Raises LeaseLost."""
        for collection in (self._alerts, self._alerting):
            await self._delete(collection, {"_run": {"$lt": self._run}})
        await self.renew()

    async def published(self) -> Published:
        """The current reports of the publishers."""
        watermarks: dict[int, dict[int, int]] = {}
        markers, moved = list[Marker](), list[int]()
        async for found in self._alerting.find({"_run": self._run, "kind": {"$in": ["partition", "marker"]}}):
            if found["kind"] == "marker":
                markers.append(Marker(found["_id"], timestamp_ms_of(found["hour"]), found["of"]))
            else:
                watermarks[int(found["partition"])] = watermarks_in(found)
                if isinstance(found.get("moved"), datetime):
                    moved.append(timestamp_ms_of(found["moved"]))
        return Published(watermarks, max(moved, default=None), tuple(markers))

    async def remove(self, markers: Sequence[Marker]) -> None:
        """Removes markers whose windows were evaluated; those rewritten meanwhile stay. Raises LeaseLost."""
        for begin in range(0, len(markers), _AT_ONCE):
            portion = [{"_id": marker.id, "of": marker.of} for marker in markers[begin : begin + _AT_ONCE]]
            await self._delete(self._alerting, {"$or": portion})
        if markers:
            await self.renew()

    async def rules(self) -> dict[str, RuleState]:
        """The progress of each rule."""
        found = self._alerting.find({"_run": self._run, "kind": "rule"})
        return {
            document["name"]: RuleState(
                document["definition"],
                timestamp_ms_of(document["until"]),
                {first["subject"]: timestamp_ms_of(first["at"]) for first in document["firsts"]},
            )
            async for document in found
        }

    async def save_rule_state(self, name: str, state: RuleState) -> None:
        """Stores the progress of a rule. Raises LeaseLost."""
        document = {
            "_id": f"{self._run}|rule|{name}",
            "_run": self._run,
            "kind": "rule",
            "name": name,
            "definition": state.definition,
            "until": datetime_of(state.until_ms),
            "firsts": [{"subject": subject, "at": datetime_of(at)} for subject, at in sorted(state.firsts.items())],
        }
        replaced = fenced({"$literal": document}, self.held_until)
        await self._write(
            self._alerting, [UpdateOne({"_id": document["_id"]}, [{"$replaceWith": replaced}], upsert=True)]
        )

    async def delete_progress(self, name: str) -> None:
        """Deletes the progress of a removed rule. Raises LeaseLost."""
        await self._delete(self._alerting, {"_id": f"{self._run}|rule|{name}"})
        await self.renew()

    async def alerts(self, rule: str, reach_ms: int | None) -> dict[str, dict[str, Any]]:
        """The alerts of a rule that are open, or ended at a time or later (None: all of them), by `_id`."""
        wanted: dict[str, Any] = {"rule": rule, "_run": self._run, "state": {"$ne": "withdrawn"}}
        if reach_ms is not None:
            wanted["$or"] = [{"end": None}, {"end": {"$gte": datetime_of(reach_ms)}}]
        cursor = self._alerts.find(wanted, dict.fromkeys(FIELDS, 1)).batch_size(READ_AT_ONCE)
        return {found["_id"]: found async for found in cursor}

    async def rules_with_alerts(self) -> set[str]:
        """The rules with alerts that are not withdrawn, including rules without stored progress."""
        return set(await self._alerts.distinct("rule", {"_run": self._run, "state": {"$ne": "withdrawn"}}))

    async def write(self, bodies: Sequence[Mapping[str, Any]]) -> None:
        """Inserts or replaces alerts; keeps the state reported to receivers. Raises LeaseLost."""
        for begin in range(0, len(bodies), _AT_ONCE):
            if monotonic() - self._renewed_s > RENEWED_EVERY.total_seconds():
                await self.renew()
            portion = bodies[begin : begin + _AT_ONCE]
            updates = [UpdateOne({"_id": body["_id"]}, [self._replacement(body)], True) for body in portion]
            await self._write(self._alerts, updates)

    def _replacement(self, body: Mapping[str, Any]) -> dict[str, Any]:
        run, number = self._run, Int64(self.lease.number)
        same = {"$and": [{"$eq": [run, "$_run"]}, {"$gte": [number, "$_pass"]}]}
        document = {"$literal": {**body, "_run": run, "_pass": number}}
        # What is dirty stays so until it is recorded: a message may be enqueued already, by a process that has ended.
        untold = {"$ne": ["$_told.state", body["state"]]}
        reported = {"_told": {"$ifNull": ["$_told", None]}, "_untold": {"$or": ["$_untold", untold]}}
        replaced = {"$mergeObjects": [document, reported]}
        newer = {"$cond": [{"$or": [{"$gt": [run, "$_run"]}, same]}, replaced, "$$ROOT"]}
        return {"$replaceWith": fenced(newer, self.held_until)}

    @property
    def held_until(self) -> datetime:
        """The end of the lease, by MongoDB's clock: what is `fenced` by it is refused from then on."""
        return self.lease.until if self.lease.held else _LONG_AGO

    async def _delete(self, collection: Any, wanted: Mapping[str, Any]) -> None:
        """Deletes documents while the lease lasts; after its end none, which `keep` then detects."""
        await collection.delete_many({**wanted, "$expr": {"$lt": ["$$NOW", self.held_until]}})

    async def _write(self, collection: Any, updates: Sequence[UpdateOne]) -> None:
        try:
            await collection.bulk_write(list(updates), ordered=False)
        except BulkWriteError as error:
            raise_if_lost(error)
            raise


def fenced(value: Any, held_until: datetime) -> dict[str, Any]:
    """The value while a lease lasts; after its end the expression fails in MongoDB."""
    refused = {"$toInt": {"$concat": ["the lease has ended: ", {"$ifNull": ["$_id", "new"]}]}}
    return {"$cond": [{"$lt": ["$$NOW", held_until]}, value, refused]}


def raise_if_lost(error: BulkWriteError) -> None:
    """Raises LeaseLost if something `fenced` was refused."""
    if any(fault["code"] == _CONVERSION_FAILURE for fault in error.details["writeErrors"]):
        raise LeaseLost("its lease ended before it could write what it had found") from error
