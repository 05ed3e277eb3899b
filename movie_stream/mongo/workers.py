"""Heartbeats of workers: each writes its status every few seconds, for monitoring.

No result depends on them. A worker that shuts down cleanly removes its document; that of a killed worker expires after
a minute.
"""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import inf
from time import monotonic
from typing import Any, Final, Literal

import pymongo
from bson.int64 import Int64
from pymongo import WriteConcern
from pymongo.errors import PyMongoError
from pymongo.read_preferences import ReadPreference

from movie_stream import __version__
from movie_stream.errors import MovieStreamError
from movie_stream.mongo.client import Collection, Database, explain

logger = logging.getLogger(__name__)

WORKERS: Final = "_workers"
BEAT_EVERY: Final = timedelta(seconds=5)
SILENT_AFTER: Final = timedelta(seconds=15)
"""A worker without a heartbeat for this long is suspended, disconnected, or dead."""
EXPIRES_AFTER: Final = timedelta(seconds=60)
_NOT_SAID: Final = "unknown"
_LONG_AGO: Final = datetime.min.replace(tzinfo=UTC)
_WRITTEN_WITHIN_S: Final = 5.0
_GONE_WITHIN_S: Final = 0.5
_REASONS_AT_MOST: Final = 100
"""The most reasons in a heartbeat, by number of records: they bound the document. A few dozen exist."""

WorkerState = Literal["starting", "running", "waiting for partitions", "stopping"]


@dataclass(frozen=True, slots=True)
class OwnedPartition:
    """A partition that a worker owns."""

    topic: str
    partition: int
    position: int
    """The next offset to count."""
    lag: int | None = None
    """Records that are not counted yet; None if unknown."""
    watermark: datetime | None = None
    """The largest timestamp counted."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """The status of a worker, as it reports it."""

    group: str
    state: WorkerState
    run: int | None = None
    last_flush: datetime | None = None
    partitions: tuple[OwnedPartition, ...] = ()
    events: int | None = None
    """Views that this process has counted since its start; None if not reported, as by older versions."""
    refused: Mapping[str, int] = field(default_factory=dict)
    """The number of records it has refused since its start, by kind of the reason."""
    delay_ms: float | None = None
    """From a view's Kafka timestamp to its documents in MongoDB, over the last flushes; None without views."""
    rules: str | None = None
    """The digest of its rules for alerts, "" without rules; None if not reported, as by older versions."""


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """The last heartbeat of a worker."""

    id: str
    host: str
    pid: int
    version: str
    started: datetime
    """By the worker's own clock."""
    seen: datetime
    """By MongoDB's clock, like `age`."""
    age: timedelta
    """The time since then; negative if MongoDB's clock was set back."""
    status: WorkerStatus

    @property
    def silent(self) -> bool:
        """Whether its heartbeat is overdue. After a change of the clock a live worker soon sends another."""
        return abs(self.age) > SILENT_AFTER

    @property
    def silence(self) -> str:
        """The time without a heartbeat, as text."""
        seconds = int(self.age.total_seconds())
        return (
            f"not heard of for {seconds} s" if seconds >= 0 else f"last heard of {-seconds} s ahead of MongoDB's clock"
        )

    def __str__(self) -> str:
        return f"{self.host}, process {self.pid}"


@dataclass
class Heartbeat:
    """Sends the heartbeats of one worker."""

    db: Database
    look: Callable[[], WorkerStatus]
    host: str = field(default_factory=socket.gethostname)
    pid: int = field(default_factory=os.getpid)
    started: datetime = field(default_factory=lambda: datetime.now(UTC))

    def __post_init__(self) -> None:
        self.id = f"{self.host}-{self.pid}-{secrets.token_hex(4)}"
        self._changed = asyncio.Event()
        self._failed = False
        self._succeeded_s: float | None = None

    @property
    def silence_s(self) -> float:
        """Seconds since MongoDB accepted a heartbeat; infinite before the first."""
        return inf if self._succeeded_s is None else monotonic() - self._succeeded_s

    def send_now(self) -> None:
        """Sends the next heartbeat immediately: the state has changed."""
        self._changed.set()

    async def run(self) -> None:
        """Writes the worker's status every few seconds. An unavailable MongoDB is logged once, and not raised."""
        while True:
            self._changed.clear()
            await self._attempt(self._write, _WRITTEN_WITHIN_S, logging.WARNING)
            try:
                async with asyncio.timeout(BEAT_EVERY.total_seconds()):
                    await self._changed.wait()
            except TimeoutError:
                continue

    async def end(self) -> None:
        """Removes the heartbeat on a clean shutdown; takes at most half a second."""
        await self._attempt(self._remove, _GONE_WITHIN_S, logging.DEBUG)

    async def _attempt(self, do: Callable[[Collection], Awaitable[Any]], within_s: float, level: int) -> None:
        try:
            with pymongo.timeout(within_s):
                await do(_collection(self.db))
        except PyMongoError as error:
            if not self._failed:
                logger.log(
                    level,
                    "could not write to %s where this worker stands, which disturbs nothing else: %s",
                    *(WORKERS, explain(error, self.db)),
                )
            self._failed = True
        else:
            self._failed = False
            self._succeeded_s = monotonic()

    async def _write(self, collection: Collection) -> None:
        document = self._document()
        seen = {"$replaceWith": {"$mergeObjects": [{"$literal": document}, {"seen": "$$NOW"}]}}
        await collection.update_one({"_id": self.id}, [seen], upsert=True)

    async def _remove(self, collection: Collection) -> None:
        await collection.delete_one({"_id": self.id})

    def _document(self) -> dict[str, Any]:
        status = self.look()
        return {
            "_id": self.id,
            "host": self.host,
            "pid": self.pid,
            "version": __version__,
            "group": status.group,
            "run": None if status.run is None else Int64(status.run),
            "started": self.started,
            "last_flush": status.last_flush,
            "state": status.state,
            "events": None if status.events is None else Int64(status.events),
            "refused": {
                reason: Int64(count) for reason, count in Counter(status.refused).most_common(_REASONS_AT_MOST)
            },
            "delay_ms": status.delay_ms,
            "rules": status.rules,
            "partitions": [
                {
                    "topic": held.topic,
                    "partition": held.partition,
                    "position": Int64(held.position),
                    "lag": None if held.lag is None else Int64(held.lag),
                    "watermark": held.watermark,
                }
                for held in status.partitions
            ],
        }


class DatabaseShared(MovieStreamError):
    """Workers of another group write to this database.

    What to do: give each group a MONGODB_DATABASE of its own.

    >>> print(DatabaseShared(
    ...     database="movies_db",
    ...     group="a",
    ...     others=[
    ...         WorkerReport("w", "host-1", 7, "1", _LONG_AGO, _LONG_AGO, timedelta(0), WorkerStatus("b", "running"))
    ...     ],
    ... ))
    the database movies_db is being filled by the group b (host-1, process 7), and cannot serve the group a too; give \
each group a MONGODB_DATABASE of its own, or stop the other's workers
    """

    def __init__(self, *, database: str, group: str, others: Sequence[WorkerReport]) -> None:
        theirs = ", ".join(sorted({worker.status.group for worker in others}))
        super().__init__(
            f"the database {database} is being filled by the group {theirs} ({others[0]}), and cannot serve the group "
            f"{group} too; give each group a MONGODB_DATABASE of its own, or stop the other's workers"
        )


async def require_sole_group(db: Database, group: str) -> None:
    """Raises DatabaseShared if workers of another group are running, and what `seen` raises."""
    others = [worker for worker in await seen(db) if worker.status.group != group and not worker.silent]
    if others:
        raise DatabaseShared(database=db.name, group=group, others=others)


async def seen(db: Database, group: str | None = None) -> list[WorkerReport]:
    """The workers of a group, or of all groups that write to this database; the longest running first.

    Raises MongoAway, MongoRefused, MongoFailed.
    """
    pipeline: list[Mapping[str, Any]] = [
        {"$match": {} if group is None else {"group": group}},
        {"$set": {"age_ms": {"$subtract": ["$$NOW", "$seen"]}}},
        {"$sort": {"started": 1, "_id": 1}},
    ]
    try:
        found = (
            await db.get_collection(WORKERS, read_preference=ReadPreference.PRIMARY).aggregate(pipeline).to_list(None)
        )
    except PyMongoError as error:
        raise explain(error, db) from error
    return [_seen(document) for document in found]


def _seen(document: Mapping[str, Any]) -> WorkerReport:
    """Parses a heartbeat, which may be of an older or a newer version: fields may be missing, or new."""
    age_ms = document.get("age_ms")
    age = EXPIRES_AFTER if age_ms is None else timedelta(milliseconds=int(age_ms))
    return WorkerReport(
        str(document["_id"]),
        document.get("host", _NOT_SAID),
        document.get("pid", 0),
        document.get("version", _NOT_SAID),
        document.get("started", _LONG_AGO),
        document.get("seen", _LONG_AGO),
        age,
        WorkerStatus(
            document.get("group", _NOT_SAID),
            document.get("state", "starting"),
            document.get("run"),
            document.get("last_flush"),
            tuple(
                OwnedPartition(
                    held["topic"], held["partition"], held.get("position", 0), held.get("lag"), held.get("watermark")
                )
                for held in document.get("partitions") or ()
                if "topic" in held and "partition" in held
            ),
            document.get("events"),
            document.get("refused") or {},
            document.get("delay_ms"),
            document.get("rules"),
        ),
    )


def _collection(db: Database) -> Collection:
    """The collection with write concern 1: a lost heartbeat is followed by another."""
    return db.get_collection(WORKERS, write_concern=WriteConcern(1))
