"""The sink: writes finished documents to MongoDB."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from movie_stream.mongo.bulk import write_guarded
from movie_stream.mongo.changed import ReportedDocuments, Subscriber, Written
from movie_stream.mongo.client import Database, majority_acknowledged
from movie_stream.mongo.guard import GuardedDocument
from movie_stream.mongo.report import WriteReport


class Sink:
    """Writes documents into their collections; stored documents only ever move forward.

    Writes are idempotent: documents may be written twice, late, or by several processes at the same time.

    Subscribers are notified of each changed document at least once, before `write` returns, and so before the
    checkpoint that covers it. A document may only be left out if another writer has replaced it by a newer one; that
    writer notifies its own subscribers.
    """

    def __init__(self, db: Database, subscribers: Sequence[Subscriber] = ()) -> None:
        self._db, self._subscribers, self._remembered = db, subscribers, ReportedDocuments()

    async def write(self, documents: Sequence[GuardedDocument]) -> WriteReport:
        """Writes documents; returns once all that MongoDB accepts are on disk at a majority, in this version or newer.

        Check the report: documents that the validator refuses are `parked`, those whose `_rev` has no order to the
        stored one are `incomparable`.

        Raises what a subscriber raises; and MongoAway (retry all later), MongoDiskFull, MongoRefused, MongoFailed:
        nothing counts as acknowledged then.
        """
        written: list[Written] | None = [] if self._subscribers else None
        by_collection: dict[str, list[GuardedDocument]] = defaultdict(list)
        for document in documents:
            by_collection[document.collection].append(document)
        # All are awaited, even if one fails: no write is in flight when the caller retries.
        outcomes = await asyncio.gather(
            *(
                write_guarded(majority_acknowledged(self._db, name), group, written)
                for name, group in by_collection.items()
            ),
            return_exceptions=True,
        )
        report = WriteReport()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            report.add(outcome)
        if written:
            changed = [self._remembered.replace(item) for item in written]
            for subscriber in self._subscribers:
                subscriber(changed)
        return report
