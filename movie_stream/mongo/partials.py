"""Partial results that were moved out of memory: opaque payloads, guarded like documents."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from itertools import islice
from typing import Final

from bson.binary import Binary
from pymongo.errors import PyMongoError

from movie_stream.mongo.bulk import write_guarded
from movie_stream.mongo.client import WRITE_LIMIT_MS, Database, explain, linearizable, majority_acknowledged
from movie_stream.mongo.guard import GuardedDocument, Rev
from movie_stream.mongo.report import WriteReport

PARTIALS: Final = "_partials"
_IDS_AT_ONCE: Final = 1_000


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
