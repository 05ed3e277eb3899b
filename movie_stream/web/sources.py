"""Where changes are learnt from: a change stream where MongoDB has them, else counters that it keeps anyway.

Both go on where they were when they are asked again after a while: with what has changed meanwhile, or saying that this
is not known any more.
"""

from __future__ import annotations

import asyncio
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, ClassVar, Final, Literal, Protocol

import pymongo
from pymongo.errors import OperationFailure
from pymongo.read_preferences import ReadPreference

from movie_stream.mongo.client import Database
from movie_stream.web.coalesced import At

LOOK_EVERY_S: Final = 0.4
"""How often the counters are asked for; one query, of no documents."""
GATHER_S: Final = 0.1
"""How long changes gather in a change stream before the next ones are fetched: many at once cost little."""
WAIT_S: Final = 0.5
"""The longest that nothing is said where nothing changes."""
ANSWER_WITHIN_S: Final = 3.0
"""How long MongoDB may take to answer, beyond what it is allowed to wait."""
_DOCUMENTS_AT_MOST: Final = 1_000
"""Those that changed last, of one time that is asked."""
_OPENED_AGAIN: Final = frozenset({260, 280, 286})
"""InvalidResumeToken, ChangeStreamFatalError, ChangeStreamHistoryLost: it is not known what has changed meanwhile."""
_NONE_HERE: Final = frozenset({13, 59, 303, 8000, 40324, 40573})
"""Unauthorized, CommandNotFound, FeatureNotSupported, AtlasError, an unknown stage, no replica set."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What has changed since the source was asked before."""

    writes: Mapping[str, int] = field(default_factory=dict)
    """How often, by collection; those alone that have changed."""
    documents: Sequence[At] = ()
    """Documents that changed last, the last one last."""
    lost: bool = False
    """Whether more may have changed than is known."""


class NoChangeStreams(Exception):
    """MongoDB has none, or does not let us have one."""


class Source(Protocol):
    """Tells what changes in some collections. Raises the driver's errors as they are, and goes on after them."""

    name: ClassVar[Literal["change stream", "polling"]]
    names_documents: ClassVar[bool]

    async def seen(self) -> Seen:
        """What has changed since the last time; waits a little where that is nothing. The first time it returns as soon
        as every later change will be seen.
        """
        ...

    async def pause(self) -> None:
        """Asks for nothing until `seen` is called again."""
        ...


async def has_change_streams(db: Database) -> bool:
    """Whether it is a replica set or a sharded cluster."""
    with pymongo.timeout(ANSWER_WITHIN_S):
        hello = await db.client.admin.command("hello")
    return "setName" in hello or hello.get("msg") == "isdbgrid"


class Polling:
    """Asks MongoDB how often it has written to each collection, which it counts anyway.

    However large the collections are, one query, which looks at no document; and nothing that workers would have to
    write. A write that has left a document as it was is counted too: readers look once too often, never once too
    little.
    """

    name: ClassVar[Literal["change stream", "polling"]] = "polling"
    names_documents: ClassVar[bool] = False

    def __init__(self, db: Database, collections: Sequence[str]) -> None:
        self._db, self._collections = db, collections
        self._process: Any = None
        self._counted: dict[str, int] | None = None
        """How often each collection was written to; -1 where there is none."""
        self._rested = True

    async def seen(self) -> Seen:
        if not self._rested:
            await asyncio.sleep(LOOK_EVERY_S)
        with pymongo.timeout(ANSWER_WITHIN_S):
            hello = await self._db.client.admin.command("hello", read_preference=ReadPreference.PRIMARY)
            counted = await self._look()
        self._rested = False
        process = hello.get("topologyVersion", {}).get("processId")
        before, same = self._counted or {}, process == self._process and self._counted is not None
        lost = self._counted is not None and not same  # it was started again, and counts from 0
        self._process, self._counted = process, counted
        if not same:
            return Seen(lost=lost)
        # A collection that was made anew counts from 0 again.
        grown = {name: count - before[name] if count >= before[name] else 1 for name, count in counted.items()}
        return Seen({name: count for name, count in grown.items() if count})

    async def pause(self) -> None:
        self._rested = True

    async def _look(self) -> dict[str, int]:
        """How often each of the collections was written to since it, or mongod, began."""
        there = await self._db.list_collection_names(filter={"name": {"$in": list(self._collections)}})
        first, *others = self._collections
        count: list[Mapping[str, Any]] = [
            {"$collStats": {"latencyStats": {}}},
            {"$project": {"ns": 1, "ops": "$latencyStats.writes.ops"}},
        ]
        pipeline = [*count, *({"$unionWith": {"coll": name, "pipeline": count}} for name in others)]
        collection = self._db.get_collection(first, read_preference=ReadPreference.PRIMARY)
        found = await collection.aggregate(pipeline, maxTimeMS=int(ANSWER_WITHIN_S * 1_000)).to_list(None)
        counted = Counter(dict.fromkeys(self._collections, 0))
        for row in found:  # of a sharded collection, one for each shard
            counted[row["ns"].partition(".")[2]] += int(row["ops"])
        return {name: count if name in there else -1 for name, count in counted.items()}


class ChangeStream:
    """Follows the database's change stream, in a thread of its own: the driver takes its events one by one."""

    name: ClassVar[Literal["change stream", "polling"]] = "change stream"
    names_documents: ClassVar[bool] = True

    def __init__(self, db: Database, collections: Sequence[str]) -> None:
        self._db, self._collections = db, collections
        self._token: Mapping[str, Any] | None = None
        self._lost = False
        self._lock = threading.Lock()
        self._writes: Counter[str] = Counter()
        self._documents: dict[At, None] = {}
        self._enough = threading.Event()
        self._news = asyncio.Event()
        self._opened = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    async def seen(self) -> Seen:
        while True:
            opens = self._following is None
            if self._following is None:
                self._enough.clear()
                self._opened.clear()
                self._following = asyncio.create_task(self._follow_in_thread())
            await self._wait_for(self._following, self._opened, None)
            if not opens:
                await self._wait_for(self._following, self._news, WAIT_S)
                if self._news.is_set():
                    await asyncio.sleep(GATHER_S / 2)  # for those that were fetched with it
            if not self._following.done():
                return self._taken()
            task, self._following = self._following, None
            await task  # raises what has ended it, unless it may be opened again

    async def pause(self) -> None:
        self._enough.set()
        if self._following is not None:
            task, self._following = self._following, None
            await asyncio.gather(task, return_exceptions=True)

    async def _follow_in_thread(self) -> None:
        loop = asyncio.get_running_loop()
        following = asyncio.create_task(asyncio.to_thread(self._follow, loop))
        try:
            await asyncio.shield(following)
        except asyncio.CancelledError:
            self._enough.set()
            await asyncio.gather(following, return_exceptions=True)
            raise
        except OperationFailure as error:
            if error.code in _OPENED_AGAIN and self._token is not None:
                self._token, self._lost = None, True
            elif error.code in _NONE_HERE:
                raise NoChangeStreams(str(error)) from error
            else:
                raise

    async def _wait_for(self, following: asyncio.Task[None], event: asyncio.Event, within_s: float | None) -> None:
        """Until the event, until nothing follows any more, or so long."""
        waiting = asyncio.create_task(event.wait())
        try:
            await asyncio.wait([waiting, following], timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            waiting.cancel()

    def _taken(self) -> Seen:
        with self._lock:
            self._news.clear()
            seen = Seen(dict(self._writes), list(self._documents), self._lost)
            self._writes, self._documents, self._lost = Counter(), {}, False
        return seen

    def _follow(self, loop: asyncio.AbstractEventLoop) -> None:
        """In the thread: until it is enough, or the stream ends."""
        pipeline: list[Mapping[str, Any]] = [
            {"$match": {"$or": [{"ns.coll": {"$in": list(self._collections)}}, {"operationType": "invalidate"}]}},
            {"$project": {"operationType": 1, "ns.coll": 1, "documentKey._id": 1}},
        ]
        wait_ms = int(WAIT_S * 1_000)
        with pymongo.timeout(ANSWER_WITHIN_S):
            stream = self._db.delegate.watch(pipeline, max_await_time_ms=wait_ms, resume_after=self._token)
        with stream:
            self._token = stream.resume_token
            loop.call_soon_threadsafe(self._opened.set)
            gathered_s = 0.0
            while not self._enough.is_set() and stream.alive:
                with pymongo.timeout(WAIT_S + ANSWER_WITHIN_S):
                    change = stream.try_next()
                if change is not None and change["operationType"] != "invalidate":
                    if monotonic() - gathered_s > GATHER_S:
                        self._enough.wait(GATHER_S)
                        gathered_s = monotonic()
                    if self._put(change):
                        loop.call_soon_threadsafe(self._news.set)
                self._token = stream.resume_token
        if not stream.alive and not self._enough.is_set():  # the database was dropped
            self._token, self._lost = None, True

    def _put(self, change: Mapping[str, Any]) -> bool:
        """Notes a change; whether it is the first one since they were taken."""
        collection, key = change["ns"]["coll"], change.get("documentKey")
        with self._lock:
            first = not self._writes
            self._writes[collection] += 1
            if key is not None:
                at = (collection, str(key["_id"]))
                self._documents.pop(at, None)
                self._documents[at] = None
                if len(self._documents) > _DOCUMENTS_AT_MOST:
                    del self._documents[next(iter(self._documents))]
        return first
