"""The collections of alerts: schemas, indexes and queries. The package `alerts/` writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo.errors import ExecutionTimeout

from movie_stream.mongo.client import Database
from movie_stream.mongo.query import DOWN, UP, Direction, Order, Position, after_filter
from movie_stream.mongo.read import LIMIT_MS, Page, QueryTooSlow

ALERTS: Final = "alerts"
ALERTING: Final = "_alerting"
"""The completeness of results, windows to evaluate again, the evaluator's lease, and the progress of each rule."""
DELIVERIES: Final = "_deliveries"
"""The outbox of messages to receivers; messages are kept for a week after delivery."""
DELIVERED_FOR_S: Final = 7 * 86_400

_NUMBER: Final = {"bsonType": ["double", "int", "long", "null"]}
_TEXT: Final = {"bsonType": "string"}
_DATE: Final = {"bsonType": "date"}
_RUN: Final = {"bsonType": "long", "minimum": 1}
STATES: Final = ("open", "ended", "withdrawn")
FIELDS: Final[Mapping[str, Mapping[str, Any]]] = {
    "_id": _TEXT,
    "rule": _TEXT,
    "kind": _TEXT,
    "severity": _TEXT,
    "subject": _TEXT,
    "label": {"bsonType": ["string", "null"]},
    "state": {"enum": list(STATES)},
    "open": {"bsonType": "bool"},
    "start": _DATE,
    "end": {"bsonType": ["date", "null"]},
    "windows": {"bsonType": ["int", "long"], "minimum": 1},
    "window_s": {"bsonType": ["int", "long"], "minimum": 60},
    "value": _NUMBER,
    "value_at": _DATE,
    "threshold": _NUMBER,
    "usual": _NUMBER,
    "text": _TEXT,
}
"""The public fields of a document of `alerts`, with their schemas."""
_OURS: Final = {
    "_run": _RUN,
    "_pass": {"bsonType": "long", "minimum": 1},
    "_told": {"bsonType": ["object", "null"]},
    "_untold": {"bsonType": "bool"},
}
SCHEMAS: Final[Mapping[str, Mapping[str, Any]]] = {
    ALERTS: {
        "bsonType": "object",
        "required": [*FIELDS, "_run", "_pass"],
        "properties": {**FIELDS, **_OURS},
    },
    ALERTING: {
        "bsonType": "object",
        "required": ["_id", "kind", "_run"],
        "properties": {
            "_id": _TEXT,
            "kind": {"enum": ["partition", "marker", "control", "rule"]},
            "_run": _RUN,
        },
    },
    DELIVERIES: {
        "bsonType": "object",
        "required": ["_id", "alert", "receiver", "number", "transition", "message", "created", "due", "attempts"],
        "properties": {
            "_id": _TEXT,
            "alert": _TEXT,
            "receiver": _TEXT,
            "number": {"bsonType": ["int", "long"], "minimum": 1},
            "transition": {"enum": ["started", "ended", "withdrawn"]},
            "message": {"bsonType": "object"},
            "created": _DATE,
            "due": _DATE,
            "known": _DATE,
            "order": {"bsonType": ["int", "long"], "minimum": 0},
            "attempts": {"bsonType": ["int", "long"], "minimum": 0},
            "done": {"bsonType": ["date", "null"]},
            "error": {"bsonType": ["string", "null"]},
        },
    },
}
INDEXES: Final[Mapping[str, tuple[Mapping[str, int], ...]]] = {
    ALERTS: (
        {"open": -1, "start": -1, "_id": 1},
        {"start": -1},
        {"rule": 1, "end": 1},
        {"_untold": 1, "start": 1, "_id": 1},
    ),
    ALERTING: ({"_run": 1, "kind": 1},),
    DELIVERIES: (
        {"receiver": 1, "due": 1, "known": 1, "order": 1, "number": 1},
        {"alert": 1},
        {"done": 1, "created": 1},
    ),
}
EXPIRING: Final[Mapping[str, tuple[str, int]]] = {DELIVERIES: ("done", DELIVERED_FOR_S)}
"""Collections with a TTL index: field and seconds. The field of a pending message is null, so it does not expire."""

_PENDING: Final[Mapping[str, Any]] = {"done": None}
ORDER: Final[Order] = (("open", DOWN), ("start", DOWN), ("_id", UP))
"""Open alerts first, then the newest."""


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """A query of alerts, sorted by ORDER."""

    limit: int
    states: Sequence[str] = ("open", "ended")
    rule: str | None = None
    severity: str | None = None
    since: datetime | None = None
    """The earliest start, inclusive; aware, like `until`."""
    until: datetime | None = None
    """The latest start, exclusive."""
    after: Position | None = None
    """Only alerts after this position: the next page."""

    def filter(self) -> dict[str, Any]:
        """The query as a MongoDB filter."""
        wanted: dict[str, Any] = {"state": {"$in": list(self.states)}}
        wanted |= {name: value for name in ("rule", "severity") if (value := getattr(self, name)) is not None}
        times = {"$gte": self.since, "$lt": self.until}
        if bounds := {operator: time for operator, time in times.items() if time is not None}:
            wanted["start"] = bounds
        if self.after is not None:
            wanted["$or"] = after_filter(ORDER, self.after)
        return wanted


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of evaluation and delivery, for the newest run with an evaluation."""

    evaluated_until: datetime | None = None
    """The event time up to which all rules are evaluated; None before the first evaluation."""
    undelivered: int = 0
    """Pending messages: neither delivered nor given up."""
    given_up: int = 0
    """Messages given up within the last week."""
    oldest: datetime | None = None
    """When the oldest pending message was created."""
    failed: str | None = None
    """The receiver of the oldest pending message that has failed."""
    error: str | None = None
    """The error of that message."""
    holder: str | None = None
    """The evaluator as host, process and a random part, joined by dashes; None if there is none."""
    blocked_on: str | None = None
    """The reason for which the evaluation is blocked, in words; None if it is not."""
    blocked_since: datetime | None = None


async def progress(db: Database, limit_ms: int = LIMIT_MS, *, messages: bool = True) -> Progress:
    """The progress of alerts; without `messages` it omits the oldest messages and the number given up.

    Raises QueryTooSlow, and the driver's errors as they are.
    """
    latest_control: list[Mapping[str, Any]] = [
        {"$match": {"kind": "control"}},
        {"$sort": {"_run": -1}},
        {"$limit": 1},
        {"$set": {"lasts": {"$gt": ["$until", "$$NOW"]}}},
    ]
    try:
        found = await db[ALERTING].aggregate(latest_control, maxTimeMS=limit_ms).to_list(1)
        oldest: Mapping[str, Any] = {}
        failed, given_up = oldest, 0
        undelivered = await db[DELIVERIES].count_documents(_PENDING, maxTimeMS=limit_ms)
        if messages:
            oldest = await _oldest(db, _PENDING, limit_ms)
            failed = await _oldest(db, {**_PENDING, "error": {"$type": "string"}}, limit_ms)
            lost = {"done": {"$type": "date"}, "error": {"$type": "string"}}
            given_up = await db[DELIVERIES].count_documents(lost, maxTimeMS=limit_ms)
    except ExecutionTimeout as error:
        raise QueryTooSlow(collection=DELIVERIES, limit_ms=limit_ms) from error
    control = found[0] if found else {}
    blocked = control.get("waits") or {}
    return Progress(
        control.get("evaluated_until"),
        int(undelivered),
        int(given_up),
        oldest.get("created"),
        failed.get("receiver"),
        failed.get("error"),
        (control.get("holder") or None) if control.get("lasts") else None,
        blocked.get("for"),
        blocked.get("since"),
    )


async def _oldest(db: Database, wanted: Mapping[str, Any], limit_ms: int) -> Mapping[str, Any]:
    """The message among these that was created first; empty if there is none."""
    found = db[DELIVERIES].find(wanted, {"created": 1, "receiver": 1, "error": 1}).sort("created", 1)
    return next(iter(await found.limit(1).max_time_ms(limit_ms).to_list(1)), {})


async def alerts_page(db: Database, query: AlertQuery, limit_ms: int = LIMIT_MS) -> Page:
    """The alerts of the query. Raises QueryTooSlow, and the driver's errors as they are."""
    sort: list[tuple[str, Direction]] = list(ORDER)
    cursor = db[ALERTS].find(query.filter(), dict.fromkeys(FIELDS, 1)).sort(sort).limit(query.limit + 1)
    try:
        found = await cursor.max_time_ms(limit_ms).to_list(query.limit + 1)
    except ExecutionTimeout as error:
        raise QueryTooSlow(collection=ALERTS, limit_ms=limit_ms) from error
    documents = found[: query.limit]
    end = tuple(documents[-1].get(field) for field, _ in ORDER) if len(found) > query.limit else None
    return Page(documents, end)
