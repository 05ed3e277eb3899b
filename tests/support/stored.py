"""Plain documents, as a finished stream would have left them in MongoDB."""

from __future__ import annotations

from movie_stream.mongo.client import Database
from movie_stream.mongo.guard import guarded
from movie_stream.mongo.sink import Sink
from tests.support.reference import Documents


async def store(db: Database, documents: Documents, *, version: int = 1) -> None:
    """Writes them through the sink; none may be refused."""
    report = await Sink(db).write(
        [
            guarded(collection, name, (version,), 1, {k: v for k, v in body.items() if k != "_id"})
            for collection, held in documents.items()
            for name, body in held.items()
        ]
    )
    assert report.changed == report.sent, report
