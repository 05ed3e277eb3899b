"""The finished documents' way into MongoDB."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from movie_stream.mongo.bulk import write_guarded
from movie_stream.mongo.changed import Remembered, Subscriber, Written
from movie_stream.mongo.client import Database, majority_acknowledged
from movie_stream.mongo.guard import GuardedDocument
from movie_stream.mongo.report import WriteReport


class Sink:
    """Writes documents into their collections; whatever is stored only ever moves forward.

    Its documents may come twice, late, or from several processes that each think they are alone.

    Subscribers are told of each document that has changed, once or more often, before `write` returns: so before a
    checkpoint says that it was written. Only a document that another writer has replaced by a newer one meanwhile may
    be left out; that writer tells its own subscribers.
    """

    def __init__(self, db: Database, subscribers: Sequence[Subscriber] = ()) -> None:
        self._db, self._subscribers, self._remembered = db, subscribers, Remembered()

    async def write(self, documents: Sequence[GuardedDocument]) -> WriteReport:
        """Returns once all that MongoDB takes is on the disks of a majority, in this or a newer form.

        Look into the report: a document that the validator refuses is `parked`, one whose `_rev` fits into no
        order is `incomparable`.

        Raises what a subscriber raises; and MongoAway (send all of it again later), MongoDiskFull, MongoRefused,
        MongoFailed: nothing counts as acknowledged then.
        """
        written: list[Written] | None = [] if self._subscribers else None
        by_collection: dict[str, list[GuardedDocument]] = defaultdict(list)
        for document in documents:
            by_collection[document.collection].append(document)
        # All are waited for, even where one fails: nothing is under way still when the caller sends again.
        outcomes = await asyncio.gather(
            *(
                write_guarded(majority_acknowledged(self._db, name), some, written)
                for name, some in by_collection.items()
            ),
            return_exceptions=True,
        )
        report = WriteReport()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            report.add(outcome)
        if written:
            changed = [self._remembered.replace(one) for one in written]
            for subscriber in self._subscribers:
                subscriber(changed)
        return report
