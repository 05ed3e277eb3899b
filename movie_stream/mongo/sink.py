"""The finished documents' way into MongoDB."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from movie_stream.mongo.bulk import write_guarded
from movie_stream.mongo.client import Database, majority_acknowledged
from movie_stream.mongo.guard import GuardedDocument
from movie_stream.mongo.report import WriteReport


class Sink:
    """Writes documents into their collections; whatever is stored only ever moves forward.

    Its documents may come twice, late, or from several processes that each think they are alone.
    """

    def __init__(self, db: Database) -> None:
        self._db = db

    async def write(self, documents: Sequence[GuardedDocument]) -> WriteReport:
        """Returns once all that MongoDB takes is on the disks of a majority, in this or a newer form.

        Look into the report: a document that the validator refuses is `parked`, one whose `_rev` fits into no
        order is `incomparable`.

        Raises MongoAway (send all of it again later), MongoDiskFull, MongoRefused, MongoFailed: nothing
        counts as acknowledged then.
        """
        by_collection: dict[str, list[GuardedDocument]] = defaultdict(list)
        for document in documents:
            by_collection[document.collection].append(document)
        # All are waited for, even where one fails: nothing is under way still when the caller sends again.
        outcomes = await asyncio.gather(
            *(write_guarded(majority_acknowledged(self._db, name), some) for name, some in by_collection.items()),
            return_exceptions=True,
        )
        report = WriteReport()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome
            report.add(outcome)
        return report
