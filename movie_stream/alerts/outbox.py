"""A durable outbox of messages about alerts: each is enqueued exactly once, and delivered at least once.

The messages follow from the state of an alert and from the state that was reported last, which is stored in it. So a
message is enqueued once, whoever evaluates and however often; a crash at the wrong time can only repeat its delivery.
Errors of the driver are not translated.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from bson.int64 import Int64
from pymongo import ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from movie_stream.alerts.rules import Rule
from movie_stream.alerts.store import fenced, raise_if_lost
from movie_stream.events.timestamps import timestamp_ms_of
from movie_stream.mongo.alerts import ALERTS, DELIVERIES, FIELDS
from movie_stream.mongo.client import DUPLICATE_KEY, Database, majority_acknowledged

Transition = Literal["started", "ended", "withdrawn"]
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""The due time of messages that were delivered or given up."""
_AT_ONCE: Final = 1_000
_TRANSITIONS: Final[Mapping[tuple[str | None, str], tuple[Transition, ...]]] = {
    (None, "open"): ("started",),
    (None, "ended"): ("started", "ended"),
    ("open", "ended"): ("ended",),
    ("open", "withdrawn"): ("withdrawn",),
    ("ended", "open"): ("started",),
    ("ended", "withdrawn"): ("withdrawn",),
    ("withdrawn", "open"): ("started",),
    ("withdrawn", "ended"): ("started", "ended"),
}
"""The messages by the state reported last and the current state."""

_STATES: Final[Mapping[str, str]] = {"started": "open", "ended": "ended", "withdrawn": "withdrawn"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver."""

    id: str
    alert: str
    receiver: str
    number: int
    """The sequence number among the messages about the alert."""
    transition: Transition
    body: Mapping[str, Any]
    """The alert at the time of the message."""
    created: datetime
    attempts: int


class Outbox:
    """The queue of one run."""

    def __init__(
        self,
        db: Database,
        run: int,
        rules: Sequence[Rule],
        deliver_within_ms: int,
        held_until: Callable[[], datetime] = lambda: NEVER,
    ) -> None:
        """`held_until` returns the end of this process's lease."""
        self._held_until = held_until
        self._run, self._within_ms = Int64(run), deliver_within_ms
        self._rules = {rule.name: rule for rule in rules}
        self._alerts = majority_acknowledged(db, ALERTS)
        self._deliveries = majority_acknowledged(db, DELIVERIES)
        self._quick = db.get_collection(DELIVERIES, write_concern=WriteConcern(1))
        """For leases of messages, which may be lost: the message is then sent twice."""

    async def fill(self, until_ms: int, now: datetime) -> int:
        """Enqueues the messages about changed alerts; returns their number. Results are complete up to `until_ms`. Only
        for the holder of the lease: after its end none is enqueued, and LeaseLost raised.
        """
        messages = 0
        while True:
            unreported = self._alerts.find({"_untold": True, "_run": self._run}).sort([("start", 1), ("_id", 1)])
            found = await unreported.limit(_AT_ONCE).to_list(_AT_ONCE)
            if not found:
                return messages
            last = await self._last([alert["_id"] for alert in found])
            reports = [self._report(alert, last.get(alert["_id"], {}), until_ms, now) for alert in found]
            inserted = sorted(
                (message for pending, _ in reports for message in pending), key=lambda message: message["order"]
            )
            ordered = [{**message, "order": Int64(index)} for index, message in enumerate(inserted, messages)]
            existing = await self._insert(ordered)
            dirty = {message["alert"] for message in ordered if message["_id"] in existing}
            updates = [update for alert, (_, update) in zip(found, reports, strict=True) if alert["_id"] not in dirty]
            matched = 0 if not updates else (await self._alerts.bulk_write(updates, ordered=False)).matched_count
            if matched < len(updates):  # another process evaluates, and may not have seen these messages
                await self._alerts.bulk_write([_mark_dirty(alert) for alert in found], ordered=False)
            messages += len(inserted) - len(existing)

    async def _last(self, alerts: Sequence[str]) -> dict[str, dict[str, tuple[int, str]]]:
        """The last message by alert and receiver: its number, and the state that it reported."""
        last: defaultdict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
        fields = dict.fromkeys(("alert", "receiver", "number", "transition"), 1)
        async for message in self._deliveries.find({"alert": {"$in": list(alerts)}}, fields):
            known = last[message["alert"]].get(message["receiver"], (0, ""))
            reported = int(message["number"]), _STATES[message["transition"]]
            last[message["alert"]][message["receiver"]] = max(known, reported)
        return last

    def _report(
        self, alert: Mapping[str, Any], last: Mapping[str, tuple[int, str]], until_ms: int, now: datetime
    ) -> tuple[list[dict[str, Any]], UpdateOne]:
        """The messages about an alert, and the update of the alert that records them.

        The state reported to a receiver is stored in the alert and in the messages. The messages are enqueued first, by
        a process that may end then, and they outlast a rebuild.
        """
        before = alert.get("_told") or {}
        rule = self._rules.get(alert["rule"])
        to = list(rule.to) if rule is not None else before.get("to", [])
        by_note = int(before.get("number", 0)), before.get("was", before.get("state")) if before.get("sent") else None
        old, highest, knowing = self._is_old(alert, until_ms, now), by_note[0], list[str]()
        messages, withheld = list[dict[str, Any]](), False
        for receiver in to:
            number, was = by_note if receiver in before.get("to", ()) else (0, None)
            if (enqueued := last.get(receiver)) is not None and enqueued[0] >= number:
                number, was = enqueued
            transitions = _TRANSITIONS.get((was, alert["state"]), ())
            if old and transitions[:1] == ("started",):  # an end is sent however late, if the start was reported
                transitions, withheld = (), True
            messages += [
                _pending(alert, receiver, number + step, transition, _known_at(alert, rule, transition), now)
                for step, transition in enumerate(transitions, 1)
            ]
            highest = max(highest, number + len(transitions))
            if transitions or was is not None:
                knowing.append(receiver)
        note = {
            "state": None if withheld and alert["open"] else alert["state"],  # None: each window makes it dirty again
            "was": by_note[1] if withheld else alert["state"],
            "number": Int64(highest),
            "sent": bool(knowing),
            "to": knowing,
        }
        return messages, UpdateOne(
            {"_id": alert["_id"], "_run": self._run, "_pass": alert["_pass"]},
            {"$set": {"_told": note, "_untold": False}},
        )

    def _is_old(self, alert: Mapping[str, Any], until_ms: int, now: datetime) -> bool:
        """Whether an alert ended too long ago to be reported, as in a replay of old data.

        An open alert is not old while no later window can be complete: nothing would make it dirty again.
        """
        if alert["end"] is not None:
            return timestamp_ms_of(now) - timestamp_ms_of(alert["end"]) > self._within_ms
        return timestamp_ms_of(now) - until_ms > max(self._within_ms, int(alert["window_s"]) * 1_000)

    async def _insert(self, messages: Sequence[dict[str, Any]]) -> set[str]:
        """Inserts messages; returns the `_id`s of those that existed already, which are left unchanged.

        They exist if a process, whose lease has ended since, has enqueued a message of this number. The messages after
        it are determined in another round.
        """
        if not messages:
            return set()
        until = self._held_until()
        inserts = [
            UpdateOne({"_id": message["_id"]}, [_insertion(message, until)], upsert=True) for message in messages
        ]
        try:
            done = (await self._deliveries.bulk_write(inserts, ordered=False)).upserted_ids or {}
        except BulkWriteError as error:
            raise_if_lost(error)
            faults = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(fault["code"] != DUPLICATE_KEY for fault in faults):
                raise
            done = {upserted["index"]: upserted["_id"] for upserted in error.details["upserted"]}
        return {message["_id"] for index, message in enumerate(messages) if index not in done}

    async def take(self, receiver: str, for_s: float) -> Message | None:
        """Leases the next due message of a receiver for `for_s` seconds; None if there is none.

        Among messages enqueued together, the first is the one that was known first by event time; among those of one
        alert, the one with the lowest number.
        """
        while True:
            lease = {"$add": ["$$NOW", int(for_s * 1_000)]}
            found: Any = await self._quick.find_one_and_update(
                {"receiver": receiver, "due": {"$lt": NEVER}, "$expr": {"$lte": ["$due", "$$NOW"]}},
                [{"$set": {"due": lease, "attempts": {"$add": ["$attempts", Int64(1)]}}}],
                sort=[("due", 1), ("known", 1), ("order", 1), ("number", 1)],
                return_document=ReturnDocument.AFTER,
            )
            if found is None:
                return None
            if found["number"] == 1:
                return _message(found)
            earlier = await self._deliveries.find_one(
                {"alert": found["alert"], "receiver": receiver, "done": None, "number": {"$lt": found["number"]}},
                {"due": 1},
            )
            if earlier is None:
                return _message(found)
            after = earlier["due"] + timedelta(milliseconds=1)
            await self._deliveries.update_one(
                {"_id": found["_id"]}, {"$set": {"due": after}, "$inc": {"attempts": Int64(-1)}}
            )

    async def done(self, message: Message, error: str | None = None) -> None:
        """Marks a message as delivered, or as given up with this error."""
        fields = {"done": "$$NOW", "due": NEVER, "error": {"$literal": error}}
        await self._deliveries.update_one({"_id": message.id}, [{"$set": fields}])

    async def reschedule(self, message: Message, pause_s: float, error: str) -> bool:
        """Schedules a retry of a failed message after a pause; returns False if it is no longer pending."""
        due = {"$add": ["$$NOW", int(pause_s * 1_000)]}
        result = await self._deliveries.update_one(
            {"_id": message.id, "done": None}, [{"$set": {"due": due, "error": {"$literal": error}}}]
        )
        return bool(result.matched_count)

    async def retry_now(self, receiver: str) -> int:
        """Makes the messages in backoff due now, in their original order; returns their number. Messages being sent for
        the first time are left unchanged.
        """
        waits = {"$or": [{"error": {"$type": "string"}}, {"attempts": 0}], "$expr": {"$gt": ["$due", "$$NOW"]}}
        wanted = {"receiver": receiver, "done": None, **waits}
        return int((await self._deliveries.update_many(wanted, [{"$set": {"due": "$created"}}])).modified_count)

    async def older(self, receiver: str, than: datetime) -> list[Message]:
        """Some of the pending messages created before a time."""
        wanted = {"receiver": receiver, "done": None, "created": {"$lt": than}}
        found = await self._deliveries.find(wanted).sort([("created", 1), ("order", 1)]).to_list(_AT_ONCE)
        return [_message(document) for document in found]

    async def abandon(self, receivers: Collection[str]) -> int:
        """Gives up the messages to receivers that were removed from the file; returns their number."""
        fields = {"done": "$$NOW", "due": NEVER, "error": "no such receiver any more"}
        gone = {"done": None, "receiver": {"$nin": list(receivers)}}
        return int((await self._deliveries.update_many(gone, [{"$set": fields}])).modified_count)

    async def waiting(self) -> int:
        """The number of pending messages."""
        return int(await self._deliveries.count_documents({"done": None}))

    async def waiting_by_receiver(self) -> dict[str, tuple[int, float]]:
        """The number of pending messages of each receiver, and the age of the oldest one in seconds."""
        steps: list[Mapping[str, Any]] = [
            {"$match": {"done": None}},
            {"$group": {"_id": "$receiver", "count": {"$sum": 1}, "first": {"$min": "$created"}}},
            {"$set": {"age_ms": {"$subtract": ["$$NOW", "$first"]}}},
        ]
        found = await self._deliveries.aggregate(steps).to_list(None)
        return {group["_id"]: (int(group["count"]), max(int(group["age_ms"]), 0) / 1_000) for group in found}


def _known_at(alert: Mapping[str, Any], rule: Rule | None, transition: Transition) -> datetime:
    """The event time at which a transition could be known first."""
    length = timedelta(seconds=int(alert["window_s"]))
    in_a_row, wait_ms = (1, 0) if rule is None else (rule.in_a_row, rule.wait_ms)
    begins: datetime = alert["start"] + length * in_a_row
    ends: datetime = begins if alert["end"] is None else alert["end"] + length
    return (begins if transition == "started" else ends) + timedelta(milliseconds=wait_ms)


def _pending(
    alert: Mapping[str, Any], receiver: str, number: int, transition: Transition, known: datetime, now: datetime
) -> dict[str, Any]:
    """A pending message. Its `_id` makes the enqueueing idempotent: a receiver has one message of each number."""
    return {
        "_id": f"{alert['_id']}|{number}|{receiver}",
        "alert": alert["_id"],
        "receiver": receiver,
        "number": Int64(number),
        "transition": transition,
        "message": {name: alert.get(name) for name in FIELDS},
        "created": now,
        "due": now,
        "attempts": Int64(0),
        "done": None,
        "error": None,
        "known": known,
        "order": (known, alert["start"], alert["_id"], number, receiver),
    }


def _insertion(message: Mapping[str, Any], held_until: datetime) -> dict[str, Any]:
    """Inserts a message, unless there is one already, or the lease has ended.

    A late message, such as "ended" of an alert that lasts again, would contradict what its successor has recorded.
    """
    is_there = {"$ne": [{"$type": "$alert"}, "missing"]}
    return {"$replaceWith": {"$cond": [is_there, "$$ROOT", fenced({"$literal": message}, held_until)]}}


def _mark_dirty(alert: Mapping[str, Any]) -> UpdateOne:
    """Marks an alert as unreported, if it was evaluated again since it was read."""
    newer = {"_id": alert["_id"], "_run": alert["_run"], "_pass": {"$ne": alert["_pass"]}}
    return UpdateOne(newer, {"$set": {"_untold": True}})


def _message(found: Mapping[str, Any]) -> Message:
    return Message(
        found["_id"],
        found["alert"],
        found["receiver"],
        int(found["number"]),
        found["transition"],
        found["message"],
        found["created"],
        int(found["attempts"]),
    )
