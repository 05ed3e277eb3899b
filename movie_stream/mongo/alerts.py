"""The collections of alerts: what their documents look like, and their indexes. Who writes them is in `alerts/`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pymongo.errors import ExecutionTimeout

from movie_stream.mongo.client import Database
from movie_stream.mongo.query import DOWN, UP, Direction, Order, Position, behind
from movie_stream.mongo.read import LIMIT_MS, Page, QueryTooSlow

ALERTS: Final = "alerts"
ALERTING: Final = "_alerting"
"""How far results are complete, what has to be evaluated again, who evaluates, and how far each rule is."""
DELIVERIES: Final = "_deliveries"
"""Messages on their way to receivers, and for a week those that have arrived."""
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
"""Of a document of `alerts`, as everybody may read it."""
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
"""Collections with a TTL index; a message that is not done has no such time."""

_WAITS: Final[Mapping[str, Any]] = {"done": None}
ORDER: Final[Order] = (("open", DOWN), ("start", DOWN), ("_id", UP))
"""Those that last first, and then the newest."""


@dataclass(frozen=True, slots=True)
class AlertQuery:
    """Alerts, in their order."""

    limit: int
    states: Sequence[str] = ("open", "ended")
    rule: str | None = None
    severity: str | None = None
    since: datetime | None = None
    """That start then or later; aware, like `until`."""
    until: datetime | None = None
    """That start before."""
    after: Position | None = None
    """Only what stands behind this position: the next page."""

    def filter(self) -> dict[str, Any]:
        """Which alerts, as MongoDB is asked for them."""
        wanted: dict[str, Any] = {"state": {"$in": list(self.states)}}
        wanted |= {name: of for name in ("rule", "severity") if (of := getattr(self, name)) is not None}
        times = {"$gte": self.since, "$lt": self.until}
        if bounds := {operator: time for operator, time in times.items() if time is not None}:
            wanted["start"] = bounds
        if self.after is not None:
            wanted["$or"] = behind(ORDER, self.after)
        return wanted


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the alerts are, of the newest run that rules were evaluated of."""

    evaluated_until: datetime | None = None
    """Up to which event time all rules are evaluated; None where they never were."""
    undelivered: int = 0
    """Messages that have not arrived yet, and are not given up."""
    given_up: int = 0
    """Those of the last week that were."""
    oldest: datetime | None = None
    """When the oldest of those that wait was put away."""
    failed: str | None = None
    """The receiver that did not get one of those that wait: the oldest that was tried."""
    error: str | None = None
    """Why it did not."""
    holder: str | None = None
    """Who evaluates: a host, a process and a random part, with dashes between; None where nobody does."""
    waits_for: str | None = None
    """What holds the evaluation up, in words, where it is held up."""
    waits_since: datetime | None = None


async def progress(db: Database, limit_ms: int = LIMIT_MS, *, messages: bool = True) -> Progress:
    """How far the alerts are; without `messages` not which of them is the oldest, nor how many were given up.

    Raises QueryTooSlow, and the driver's errors as they are.
    """
    lasts: list[Mapping[str, Any]] = [
        {"$match": {"kind": "control"}},
        {"$sort": {"_run": -1}},
        {"$limit": 1},
        {"$set": {"lasts": {"$gt": ["$until", "$$NOW"]}}},
    ]
    try:
        found = await db[ALERTING].aggregate(lasts, maxTimeMS=limit_ms).to_list(1)
        oldest: Mapping[str, Any] = {}
        failed, given_up = oldest, 0
        undelivered = await db[DELIVERIES].count_documents(_WAITS, maxTimeMS=limit_ms)
        if messages:
            oldest = await _oldest(db, _WAITS, limit_ms)
            failed = await _oldest(db, {**_WAITS, "error": {"$type": "string"}}, limit_ms)
            lost = {"done": {"$type": "date"}, "error": {"$type": "string"}}
            given_up = await db[DELIVERIES].count_documents(lost, maxTimeMS=limit_ms)
    except ExecutionTimeout as error:
        raise QueryTooSlow(collection=DELIVERIES, limit_ms=limit_ms) from error
    control = found[0] if found else {}
    held_up = control.get("waits") or {}
    return Progress(
        control.get("evaluated_until"),
        int(undelivered),
        int(given_up),
        oldest.get("created"),
        failed.get("receiver"),
        failed.get("error"),
        (control.get("holder") or None) if control.get("lasts") else None,
        held_up.get("for"),
        held_up.get("since"),
    )


async def _oldest(db: Database, wanted: Mapping[str, Any], limit_ms: int) -> Mapping[str, Any]:
    """The first message that was put away of these; an empty one where there is none."""
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
