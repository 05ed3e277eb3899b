"""Partial results that were moved out of memory: opaque payloads, guarded like documents."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Final

from bson.binary import Binary
from pymongo.errors import PyMongoError

from movie_stream.errors import MovieStreamError
from movie_stream.mongo.bulk import write_guarded
from movie_stream.mongo.client import WRITE_LIMIT_MS, Database, explain, guarded, newest
from movie_stream.mongo.guard import GuardedDocument, Rev
from movie_stream.mongo.report import WriteReport

PARTIALS: Final = "_partials"
LARGEST_PAYLOAD: Final = 15_000_000
"""In bytes."""
_IDS_AT_ONCE: Final = 1_000


class PartialTooLarge(MovieStreamError):
    """One key's partials do not fit into a document of MongoDB."""

    def __init__(self, *, key: str, size: int) -> None:
        super().__init__(
            f"the partial results of {key} take {size:,} bytes, more than the {LARGEST_PAYLOAD:,} that "
            "fit into a MongoDB document; give the topic fewer partitions"
        )


class PartialsStore:
    """Payloads by key, in `_partials`."""

    def __init__(self, db: Database) -> None:
        self._collection = guarded(db, PARTIALS)

    async def save(self, partials: Sequence[tuple[str, Rev, int, bytes]]) -> WriteReport:
        """Stores (key, `_rev`, `_run`, payload), unless a newer one is there; acknowledged like documents.

        Raises PartialTooLarge before anything is sent, and what `Sink.write` raises.
        """
        for key, _, _, payload in partials:
            if len(payload) > LARGEST_PAYLOAD:
                raise PartialTooLarge(key=key, size=len(payload))
        return await write_guarded(
            self._collection,
            [GuardedDocument(PARTIALS, key, rev, run, {"payload": Binary(load)}) for key, rev, run, load in partials],
        )

    async def load(self, keys: Sequence[str], run: int) -> dict[str, bytes]:
        """The stored payloads of this run, by key; read from the primary, which has all that was
        acknowledged.

        Raises what `Sink.write` raises.
        """
        payloads: dict[str, bytes] = {}
        left = iter(keys)
        try:
            collection = await newest(self._collection)
            while some := list(islice(left, _IDS_AT_ONCE)):
                cursor = collection.find({"_id": {"$in": some}, "_run": run}, {"payload": 1})
                async for found in cursor.max_time_ms(WRITE_LIMIT_MS):
                    payloads[found["_id"]] = bytes(found["payload"])
        except PyMongoError as error:
            raise explain(error, self._collection) from error
        return payloads
