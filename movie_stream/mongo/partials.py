"""Partial results that were moved out of memory: opaque payloads, guarded like documents; and marks.

A mark says up to which offset a partition of `movie-partials` is published. It stands beside the results, so that it is
dumped, lost and restored with them: where it is behind what a checkpoint in Kafka says, the database was set back.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from itertools import islice
from typing import Final

from bson.binary import Binary
from bson.int64 import Int64
from pymongo.errors import PyMongoError

from movie_stream.mongo.bulk import write_guarded
from movie_stream.mongo.client import WRITE_LIMIT_MS, Database, address_of, explain, linearizable, majority_acknowledged
from movie_stream.mongo.failures import MongoAway, MongoFailed
from movie_stream.mongo.guard import GuardedDocument, Rev
from movie_stream.mongo.report import WriteReport

PARTIALS: Final = "_partials"
_IDS_AT_ONCE: Final = 1_000
_MOVED: Final = "moved"
"""The field of a mark that says that it was moved, by one whose checkpoint counted since it was first made."""


class PartialsStore:
    """Payloads by key, in `_partials`."""

    def __init__(self, db: Database) -> None:
        self._collection = majority_acknowledged(db, PARTIALS)

    async def save(self, partials: Sequence[tuple[str, Rev, int, bytes]]) -> WriteReport:
        """Stores (`_id`, `_rev`, `_run`, payload), unless a newer one is there; acknowledged like documents.

        Raises what `Sink.write` raises.
        """
        return await write_guarded(
            self._collection,
            [GuardedDocument(PARTIALS, key, rev, run, {"payload": Binary(load)}) for key, rev, run, load in partials],
        )

    async def load(self, keys: Sequence[str], run: int) -> AsyncIterator[tuple[str, bytes]]:
        """The stored payloads of this run with their `_id`s, one by one; read from the primary, which has all that was
        acknowledged.

        Raises what `Sink.write` raises.
        """
        left = iter(keys)
        try:
            collection = await linearizable(self._collection)
            while some := list(islice(left, _IDS_AT_ONCE)):
                cursor = collection.find({"_id": {"$in": some}, "_run": run}, {"payload": 1})
                async for found in cursor.max_time_ms(WRITE_LIMIT_MS):
                    yield found["_id"], bytes(found["payload"])
        except PyMongoError as error:
            raise explain(error, self._collection) from error

    async def marks(self, partitions: Iterable[int], run: int) -> dict[int, int]:
        """Up to where partitions are published in this run, of those that have a mark. Raises what `load` raises."""
        by_id = {_mark_id(partition): partition for partition in partitions}
        try:
            collection = await linearizable(self._collection)
            cursor = collection.find({"_id": {"$in": list(by_id)}, "_run": run}, {"_rev": 1})
            return {by_id[found["_id"]]: found["_rev"][0] async for found in cursor.max_time_ms(WRITE_LIMIT_MS)}
        except PyMongoError as error:
            raise explain(error, self._collection) from error

    async def counting(self, partitions: Iterable[int], run: int) -> set[int]:
        """The partitions whose mark of this run was moved, so that there has been a checkpoint after it. Raises what
        `load` raises.
        """
        by_id = {_mark_id(partition): partition for partition in partitions}
        try:
            collection = await linearizable(self._collection)
            cursor = collection.find({"_id": {"$in": list(by_id)}, "_run": run, _MOVED: True}, {"_id": 1})
            return {by_id[found["_id"]] async for found in cursor.max_time_ms(WRITE_LIMIT_MS)}
        except PyMongoError as error:
            raise explain(error, self._collection) from error

    async def mark(self, partition: int, run: int, known: int | None, position: int) -> bool:
        """Moves a mark to a position, if it is not beyond it. False where it is not as far as is `known`: the database
        was set back, or another run has begun. None is known of one that is not there yet.

        Raises what `Sink.write` raises; MongoAway also where another primary has what this one has not.
        """
        if known is None:
            return await self._first_mark(partition, run, position)
        as_known = {"_id": _mark_id(partition), "_run": Int64(run), "_rev.0": {"$gte": Int64(known)}}
        further = {"$max": {"_rev.0": Int64(position)}, "$set": {_MOVED: True}}
        try:
            if (await self._collection.update_one(as_known, further)).matched_count == 1:
                return True
        except PyMongoError as error:
            raise explain(error, self._collection) from error
        there = (await self.marks([partition], run)).get(partition)  # a deposed primary does not answer this
        if there is None or there < known:
            return False
        raise MongoAway(uri=address_of(self._collection), cause="a primary that was deposed has answered")

    async def _first_mark(self, partition: int, run: int, position: int) -> bool:
        document = GuardedDocument(PARTIALS, _mark_id(partition), (position,), run, {"payload": Binary(b"")})
        report = await write_guarded(self._collection, [document])
        for refused in (*report.parked, *report.incomparable):
            raise MongoFailed(uri=address_of(self._collection), cause=f"{PARTIALS} does not take a mark: {refused}")
        return not report.outranked


def _mark_id(partition: int) -> str:
    """Keys of what left the memory begin with a collection, so that no key is a mark."""
    return f"|published|{partition}"
