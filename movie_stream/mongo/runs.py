"""The current run: the epoch number that fences every document, and the fingerprint of the settings its figures depend
on.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from bson.int64 import Int64
from pymongo import ReturnDocument
from pymongo.errors import DuplicateKeyError, PyMongoError

from movie_stream.errors import MovieStreamError
from movie_stream.mongo.client import WRITE_LIMIT_MS, Database, address_of, explain, linearizable, majority_acknowledged
from movie_stream.tables.claim import Claim

RUNS: Final = "_runs"
_DELETED_AT_ONCE: Final = 5_000
_LOG: Final = "log"
"""The key of a fingerprint that is only set if the log is gone."""
Fingerprint = Mapping[str, Any]
"""A JSON object."""


@dataclass(frozen=True, slots=True)
class Run:
    """One aggregation of the whole topic from its beginning; a run with a larger number fences those before."""

    number: int
    """Unix milliseconds of its beginning, or one more than the last number. No two databases have the same number, so
    that the state of one in Kafka is never mistaken for the other's.
    """
    fingerprint: Fingerprint
    cleared: bool = field(default=False, compare=False)
    """Whether all documents of earlier runs are deleted, see `clear`."""


class RunUnreadable(MovieStreamError):
    """A stored run has an unknown format.

    What to do: use the version that wrote it, or restore the database.

    >>> print(RunUnreadable(name="movie-events", why="number is missing"))
    _runs, _id movie-events: expected a number and a fingerprint as JSON, which this version of movie-stream reads \
(number is missing); nothing was changed: use the version that wrote it, put the database back from a backup, or \
remove this document, after which workers count the whole topic afresh
    """

    def __init__(self, *, name: str, why: str) -> None:
        super().__init__(
            f"{RUNS}, _id {name}: expected a number and a fingerprint as JSON, which this version of movie-stream "
            f"reads ({why}); nothing was changed: use the version that wrote it, put the database back from a backup, "
            "or remove this document, after which workers count the whole topic afresh"
        )


async def current(db: Database, name: str) -> Run | None:
    """The current run of this name, None before the first.

    Raises MongoAway, MongoRefused, MongoFailed.
    """
    try:
        collection = await linearizable(majority_acknowledged(db, RUNS))
        found = await collection.find_one({"_id": name}, max_time_ms=WRITE_LIMIT_MS)
    except PyMongoError as error:
        raise explain(error, db) from error
    return None if found is None else _run(found)


async def claim_of(db: Database, name: str) -> Claim:
    """The identity of this database to others that may use the same topics. Raises what `current` raises."""
    try:
        found = await (await db.list_collections(filter={"name": RUNS})).to_list(1)
    except PyMongoError as error:
        raise explain(error, db) from error
    run = await current(db, name)
    identity = found[0].get("info", {}).get("uuid", "") if found else ""
    return Claim(run.number if run else 0, name, db.name, address_of(db), str(identity))


async def open_run(db: Database, name: str, fingerprint: Fingerprint) -> Run:
    """The current run of this name, whatever its fingerprint; if there is none, a first one with this fingerprint.

    Concurrent callers get the same run. Raises what `current` raises.
    """
    return await _update(
        db, name, {"$setOnInsert": {"number": _now(), "fingerprint": _text(fingerprint), "cleared": False}}
    )


async def start_new(db: Database, name: str, fingerprint: Fingerprint) -> Run:
    """Starts a run that fences all earlier ones. Raises what `current` raises."""
    successor = {"$add": [{"$ifNull": ["$number", 0]}, Int64(1)]}
    number = {"$max": [successor, _now()]}
    fresh = {"number": number, "fingerprint": {"$literal": _text(fingerprint)}, "cleared": False}
    return await _update(db, name, [{"$set": fresh}])


def is_valid(found: Mapping[str, Any]) -> bool:
    """Whether workers may resume a run, given its stored document with the `fingerprint`; see `invalidate`."""
    return _LOG not in orjson.loads(found["fingerprint"])


async def invalidate(db: Database, run: Run, name: str, why: str) -> None:
    """Changes the fingerprint of a run whose log is gone, so that no worker continues it.

    Raises what `current` raises.
    """
    await _set(db, name, run, {"fingerprint": _text({**run.fingerprint, _LOG: why})})


async def clear(db: Database, name: str, run: Run, collections: Iterable[str]) -> int:
    """Deletes the documents of earlier runs and marks the run as cleared; returns the number of documents deleted.

    The process that started the run may have died before: any process that finds the run not cleared repeats it.

    Raises what `current` raises.
    """
    deleted = await delete_older(db, collections, run.number)
    await _set(db, name, run, {"cleared": True})
    return deleted


async def delete_older(db: Database, collections: Iterable[str], run: int) -> int:
    """Deletes the documents of earlier runs; returns their number. Raises what `current` raises."""
    older = {"_run": {"$lt": Int64(run)}}
    deleted = 0
    try:
        for name in collections:
            collection = majority_acknowledged(db, name)
            # In batches, since a command beyond the driver's timeout would be reported as a failure.
            while found := await collection.find(older, {"_id": 1}).limit(_DELETED_AT_ONCE).to_list(_DELETED_AT_ONCE):
                ids = [document["_id"] for document in found]
                deleted += (await collection.delete_many({"_id": {"$in": ids}, **older})).deleted_count
    except PyMongoError as error:
        raise explain(error, db) from error
    return deleted


async def _set(db: Database, name: str, run: Run, fields: Mapping[str, Any]) -> None:
    """Changes fields of a run, unless a later one has begun."""
    try:
        await majority_acknowledged(db, RUNS).update_one({"_id": name, "number": Int64(run.number)}, {"$set": fields})
    except PyMongoError as error:
        raise explain(error, db) from error


async def _update(db: Database, name: str, update: Mapping[str, Any] | list[Mapping[str, Any]]) -> Run:
    collection = majority_acknowledged(db, RUNS)
    try:
        while True:
            try:
                found = await collection.find_one_and_update(
                    {"_id": name}, update, upsert=True, return_document=ReturnDocument.AFTER
                )
                return _run(found)
            except DuplicateKeyError:  # another process inserted it first: the next attempt finds it
                continue
    except PyMongoError as error:
        raise explain(error, db) from error


def _now() -> Int64:
    return Int64(time.time_ns() // 1_000_000)


def _run(found: Mapping[str, Any]) -> Run:
    try:
        fingerprint = orjson.loads(found["fingerprint"])
        if not isinstance(fingerprint, dict):
            raise TypeError(type(fingerprint).__name__)
        return Run(int(found["number"]), fingerprint, bool(found.get("cleared")))
    except (LookupError, TypeError, ValueError) as error:
        raise RunUnreadable(name=str(found["_id"]), why=repr(error)) from error


def _text(fingerprint: Fingerprint) -> str:
    return orjson.dumps(fingerprint, option=orjson.OPT_SORT_KEYS).decode()
