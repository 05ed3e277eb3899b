"""Partial results evicted from memory: opaque payloads, guarded like documents; and marks.

A mark is the offset up to which a partition of `movie-partials` is published. It is stored with the results, so that it
is dumped, lost and restored with them: if it is behind the checkpoint in Kafka, the database was set back.
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
from movie_stream.mongo.guard import Rev, guarded
from movie_stream.mongo.report import WriteReport

PARTIALS: Final = "_partials"
_IDS_AT_ONCE: Final = 1_000
_MOVED: Final = "moved"
"""The field of a mark that was moved since it was created, by a worker that had made a checkpoint by then."""


class PartialsStore:
    """Payloads by key, in `_partials`."""

    def __init__(self, db: Database) -> None:
        self._collection = majority_acknowledged(db, PARTIALS)

    async def save(self, partials: Sequence[tuple[str, Rev, int, bytes]]) -> WriteReport:
        """Stores (`_id`, `_rev`, `_run`, payload), unless a newer one is stored; acknowledged like documents.

        Raises what `Sink.write` raises.
        """
        return await write_guarded(
            self._collection,
            [guarded(PARTIALS, key, rev, run, {"payload": Binary(data)}) for key, rev, run, data in partials],
        )

    async def load(self, keys: Sequence[str], run: int) -> AsyncIterator[tuple[str, bytes]]:
        """The stored payloads of this run with their `_id`s, one by one; linearizable reads, which see all acknowledged
        writes.

        Raises what `Sink.write` raises.
        """
        remaining = iter(keys)
        try:
            collection = await linearizable(self._collection)
            while batch := list(islice(remaining, _IDS_AT_ONCE)):
                cursor = collection.find({"_id": {"$in": batch}, "_run": run}, {"payload": 1})
                async for found in cursor.max_time_ms(WRITE_LIMIT_MS):
                    yield found["_id"], bytes(found["payload"])
        except PyMongoError as error:
            raise explain(error, self._collection) from error

    async def marks(self, partitions: Iterable[int], run: int, moved: bool = False) -> dict[int, int]:
        """The marks of these partitions in this run, for those that have one; only those that were `moved`, if it is
        set. Raises what `load` raises.
        """
        by_id = {_mark_id(partition): partition for partition in partitions}
        try:
            collection = await linearizable(self._collection)
            cursor = collection.find(
                {"_id": {"$in": list(by_id)}, "_run": run, **({_MOVED: True} if moved else {})}, {"_rev": 1}
            )
            return {by_id[found["_id"]]: found["_rev"][0] async for found in cursor.max_time_ms(WRITE_LIMIT_MS)}
        except PyMongoError as error:
            raise explain(error, self._collection) from error

    async def counting(self, partitions: Iterable[int], run: int) -> set[int]:
        """The partitions whose mark of this run was moved, so that a checkpoint has followed it. Raises what `load`
        raises.
        """
        return set(await self.marks(partitions, run, moved=True))

    async def mark(self, partition: int, run: int, known: int | None, position: int) -> bool:
        """Moves a mark forward to a position; creates it if `known` is None. Returns False if the stored mark is below
        `known`: the database was set back, or another run has begun.

        Raises what `Sink.write` raises; MongoAway also if a deposed primary lacks the mark that another one has.
        """
        if known is None:
            return await self._first_mark(partition, run, position)
        at_known = {"_id": _mark_id(partition), "_run": Int64(run), "_rev.0": {"$gte": Int64(known)}}
        update = {"$max": {"_rev.0": Int64(position)}, "$set": {_MOVED: True}}
        try:
            if (await self._collection.update_one(at_known, update)).matched_count == 1:
                return True
        except PyMongoError as error:
            raise explain(error, self._collection) from error
        stored = (await self.marks([partition], run)).get(partition)  # a deposed primary cannot answer this
        if stored is None or stored < known:
            return False
        raise MongoAway(uri=address_of(self._collection), cause="a primary that was deposed has answered")

    async def _first_mark(self, partition: int, run: int, position: int) -> bool:
        document = guarded(PARTIALS, _mark_id(partition), (position,), run, {"payload": Binary(b"")})
        report = await write_guarded(self._collection, [document])
        for refused in (*report.parked, *report.incomparable):
            raise MongoFailed(uri=address_of(self._collection), cause=f"{PARTIALS} does not take a mark: {refused}")
        return not report.outranked


def _mark_id(partition: int) -> str:
    """The `_id` of a mark. Keys of evicted figures begin with a collection, so that none equals a mark's."""
    return f"|published|{partition}"
