"""Messages on their way: what receivers are to be told of an alert, put away where it survives a restart.

What is to be told follows from what an alert is and what was told of it before, which stands in it. So a message is put
away once, whoever evaluates and however often; it is sent once or, after a crash at the wrong moment, again. Raises the
driver's errors as they are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from bson.int64 import Int64
from pymongo import InsertOne, ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import BulkWriteError

from movie_stream.alerts.rules import Rule
from movie_stream.events.moment import timestamp_ms_of
from movie_stream.mongo.alerts import ALERTS, DELIVERIES, FIELDS
from movie_stream.mongo.client import DUPLICATE_KEY, Database, majority_acknowledged

Transition = Literal["started", "ended", "withdrawn"]
NEVER: Final = datetime(9999, 1, 1, tzinfo=UTC)
"""When a message is due again that has arrived, or was given up."""
_AT_ONCE: Final = 1_000
_SAID: Final[Mapping[tuple[str | None, str], tuple[Transition, ...]]] = {
    (None, "open"): ("started",),
    (None, "ended"): ("started", "ended"),
    ("open", "ended"): ("ended",),
    ("open", "withdrawn"): ("withdrawn",),
    ("ended", "open"): ("started",),
    ("ended", "withdrawn"): ("withdrawn",),
    ("withdrawn", "open"): ("started",),
    ("withdrawn", "ended"): ("started", "ended"),
}
"""What is said when an alert was told to be the one and is the other."""

_STATES: Final[Mapping[str, str]] = {"started": "open", "ended": "ended", "withdrawn": "withdrawn"}


@dataclass(frozen=True, slots=True)
class Message:
    """One message to one receiver."""

    id: str
    alert: str
    receiver: str
    number: int
    """Of those about the alert: the larger one is the later one."""
    transition: Transition
    body: Mapping[str, Any]
    """The alert, as it was then."""
    created: datetime
    attempts: int


class Outbox:
    """The queue of one run."""

    def __init__(self, db: Database, run: int, rules: Sequence[Rule], deliver_within_ms: int) -> None:
        self._run, self._within_ms = Int64(run), deliver_within_ms
        self._rules = {rule.name: rule for rule in rules}
        self._alerts = majority_acknowledged(db, ALERTS)
        self._deliveries = majority_acknowledged(db, DELIVERIES)
        self._quick = db.get_collection(DELIVERIES, write_concern=WriteConcern(1))
        """For what may be lost: that a message is taken, which is sent again then."""

    async def fill(self, until_ms: int, now: datetime) -> int:
        """Puts away what is to be told of alerts that have changed; how many messages. Results are complete up to
        `until_ms`. Only for who holds the lease.
        """
        messages = 0
        while True:
            untold = self._alerts.find({"_untold": True, "_run": self._run}).sort([("start", 1), ("_id", 1)])
            found = await untold.limit(_AT_ONCE).to_list(_AT_ONCE)
            if not found:
                return messages
            last = await self._last([alert["_id"] for alert in found])
            told = [self._told(alert, last.get(alert["_id"], {}), until_ms, now) for alert in found]
            inserted = sorted((message for some, _ in told for message in some), key=lambda message: message["order"])
            ordered = [{**message, "order": Int64(place)} for place, message in enumerate(inserted, messages)]
            others = await self._insert(ordered)
            again = {message["alert"] for message in ordered if message["_id"] in others}
            notes = [note for alert, (_, note) in zip(found, told, strict=True) if alert["_id"] not in again]
            noted = 0 if not notes else (await self._alerts.bulk_write(notes, ordered=False)).matched_count
            if noted < len(notes):  # somebody else evaluates, who may not have seen these messages
                await self._alerts.bulk_write([_look_again(alert) for alert in found], ordered=False)
            messages += len(inserted) - len(others)

    async def _last(self, alerts: Sequence[str]) -> dict[str, dict[str, tuple[int, str]]]:
        """By alert and receiver the last message: its number, and the state that it told of."""
        last: defaultdict[str, dict[str, tuple[int, str]]] = defaultdict(dict)
        fields = dict.fromkeys(("alert", "receiver", "number", "transition"), 1)
        async for of in self._deliveries.find({"alert": {"$in": list(alerts)}}, fields):
            known = last[of["alert"]].get(of["receiver"], (0, ""))
            last[of["alert"]][of["receiver"]] = max(known, (int(of["number"]), _STATES[of["transition"]]))
        return last

    def _told(
        self, alert: Mapping[str, Any], last: Mapping[str, tuple[int, str]], until_ms: int, now: datetime
    ) -> tuple[list[dict[str, Any]], UpdateOne]:
        """The messages about an alert, and the note in it that they are put away.

        What a receiver was told stands in the alert, and in the messages: these are put away first, by a process that
        may end then, and they outlast a rebuild.
        """
        before = alert.get("_told") or {}
        rule = self._rules.get(alert["rule"])
        to = list(rule.to) if rule is not None else before.get("to", [])
        by_note = int(before.get("number", 0)), before.get("was", before.get("state")) if before.get("sent") else None
        old, highest, knowing = self._is_old(alert, until_ms, now), by_note[0], list[str]()
        messages, withheld = list[dict[str, Any]](), False
        for receiver in to:
            number, was = by_note if receiver in before.get("to", ()) else (0, None)
            if (put_away := last.get(receiver)) is not None and put_away[0] >= number:
                number, was = put_away
            said = _SAID.get((was, alert["state"]), ())
            if old and said[:1] == ("started",):  # whoever was told of its start waits for its end, however late
                said, withheld = (), True
            messages += [
                _put_away(alert, receiver, number + step, transition, _known_at(alert, rule, transition), now)
                for step, transition in enumerate(said, 1)
            ]
            highest = max(highest, number + len(said))
            if said or was is not None:
                knowing.append(receiver)
        note = {
            "state": None if withheld and alert["open"] else alert["state"],  # None: each window has it looked at again
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
        """Whether it was over too long ago to be news, as in a replay of old data.

        One that lasts is not while no later window can be complete: nothing would have it looked at again.
        """
        if alert["end"] is not None:
            return timestamp_ms_of(now) - timestamp_ms_of(alert["end"]) > self._within_ms
        return timestamp_ms_of(now) - until_ms > max(self._within_ms, int(alert["window_s"]) * 1_000)

    async def _insert(self, messages: Sequence[dict[str, Any]]) -> set[str]:
        """Those that are there already stay as they are; the `_id` of each of these.

        That is so where somebody else, whose lease may have ended, has put away a message of this number meanwhile:
        what is to be told after it is for another look.
        """
        if not messages:
            return set()
        try:
            await self._deliveries.bulk_write([InsertOne(message) for message in messages], ordered=False)
        except BulkWriteError as error:
            faults = error.details["writeErrors"]
            if error.details["writeConcernErrors"] or any(fault["code"] != DUPLICATE_KEY for fault in faults):
                raise
            return {messages[fault["index"]]["_id"] for fault in faults}
        return set()

    async def take(self, receiver: str, for_s: float) -> Message | None:
        """The next message that is due to a receiver, which is nobody else's for so long; None where there is none.

        Of those that came together the one that could be known first, by event time; of one alert the earlier one.
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
        """It has arrived, or is given up for this reason."""
        fields = {"done": "$$NOW", "due": NEVER, "error": {"$literal": error}}
        await self._deliveries.update_one({"_id": message.id}, [{"$set": fields}])

    async def again(self, message: Message, pause_s: float, error: str) -> bool:
        """It did not arrive, and is due again after a pause; False where nobody waits for it any more."""
        due = {"$add": ["$$NOW", int(pause_s * 1_000)]}
        result = await self._deliveries.update_one(
            {"_id": message.id, "done": None}, [{"$set": {"due": due, "error": {"$literal": error}}}]
        )
        return bool(result.matched_count)

    async def hurry(self, receiver: str) -> int:
        """What waits for its next attempt is due now, in the order of the beginning; how many messages. What is being
        sent for the first time stays.
        """
        waits = {"$or": [{"error": {"$type": "string"}}, {"attempts": 0}], "$expr": {"$gt": ["$due", "$$NOW"]}}
        wanted = {"receiver": receiver, "done": None, **waits}
        return int((await self._deliveries.update_many(wanted, [{"$set": {"due": "$created"}}])).modified_count)

    async def older(self, receiver: str, than: datetime) -> list[Message]:
        """Some messages that wait for longer."""
        wanted = {"receiver": receiver, "done": None, "created": {"$lt": than}}
        found = await self._deliveries.find(wanted).sort([("created", 1), ("order", 1)]).to_list(_AT_ONCE)
        return [_message(of) for of in found]

    async def abandon(self, receivers: Collection[str]) -> int:
        """Gives up what waits for receivers that are in the file no more; how many messages."""
        fields = {"done": "$$NOW", "due": NEVER, "error": "no such receiver any more"}
        gone = {"done": None, "receiver": {"$nin": list(receivers)}}
        return int((await self._deliveries.update_many(gone, [{"$set": fields}])).modified_count)

    async def waiting(self) -> int:
        """How many messages have not arrived and are not given up."""
        return int(await self._deliveries.count_documents({"done": None}))

    async def waiting_by_receiver(self) -> dict[str, tuple[int, float]]:
        """How many messages wait for each receiver, and for how many seconds the oldest one has."""
        steps: list[Mapping[str, Any]] = [
            {"$match": {"done": None}},
            {"$group": {"_id": "$receiver", "count": {"$sum": 1}, "first": {"$min": "$created"}}},
            {"$set": {"age_ms": {"$subtract": ["$$NOW", "$first"]}}},
        ]
        found = await self._deliveries.aggregate(steps).to_list(None)
        return {of["_id"]: (int(of["count"]), max(int(of["age_ms"]), 0) / 1_000) for of in found}


def _known_at(alert: Mapping[str, Any], rule: Rule | None, transition: Transition) -> datetime:
    """By event time, when that could be known first."""
    length = timedelta(seconds=int(alert["window_s"]))
    in_a_row, wait_ms = (1, 0) if rule is None else (rule.in_a_row, rule.wait_ms)
    begins: datetime = alert["start"] + length * in_a_row
    ends: datetime = begins if alert["end"] is None else alert["end"] + length
    return (begins if transition == "started" else ends) + timedelta(milliseconds=wait_ms)


def _put_away(
    alert: Mapping[str, Any], receiver: str, number: int, transition: Transition, known: datetime, now: datetime
) -> dict[str, Any]:
    """A message that waits. By its `_id` a receiver has one of each number, whoever puts it away."""
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


def _look_again(alert: Mapping[str, Any]) -> UpdateOne:
    """Has it looked at once more, where it was evaluated again since it was read."""
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
