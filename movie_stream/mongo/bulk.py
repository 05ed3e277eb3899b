"""Bulk writes of guarded documents to one collection, with the outcome of each document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.errors import BulkWriteError, PyMongoError

from movie_stream.mongo.changed import Written
from movie_stream.mongo.client import DUPLICATE_KEY, Collection, address_of, explain
from movie_stream.mongo.failures import MongoFailed
from movie_stream.mongo.guard import GuardedDocument, compare, guarded_update
from movie_stream.mongo.refusal import reason_of
from movie_stream.mongo.report import Incomparable, Outranked, Parked, WriteReport

MAX_BYTES: Final = 8 * 1024 * 1024
"""The most bytes of documents in one request; a larger document is sent alone."""
LARGEST_DOCUMENT: Final = 15 * 1024 * 1024
"""In bytes. MongoDB accepts 16 MB, including the update around the document."""

_ATTEMPTS: Final = 20
_RACES: Final = frozenset({DUPLICATE_KEY, 112})
"""DuplicateKey, if a document that is inserted is there already, or another writer inserts the same `_id` concurrently;
WriteConflict.
"""
_REFUSED_DOCUMENT: Final = frozenset({121, 10334, 17419, 17420})
"""DocumentValidationFailure; the three codes for a document that is too large."""

Command = Literal["insert", "update"]
_OPERATIONS: Final[Mapping[Command, str]] = {"insert": "documents", "update": "updates"}
"""The field of a command that holds its operations."""
_Fault = Mapping[str, Any]


class _Operations(RawBSONDocument):
    """Operations one after the other, as they stand in a message, into which the driver copies `raw` as it is: an
    object for each of them would take longer than all the rest of a request.
    """

    def __init__(self, operations: Iterable[bytes]) -> None:
        super().__init__(bson.encode({}))
        self._joined = b"".join(operations)

    @property
    def raw(self) -> bytes:
        return self._joined


@dataclass(slots=True)
class _Batch:
    """Documents of one request, and what is done with each; in an insert, which fails with a duplicate key where a
    document is stored, that is the document itself.
    """

    command: Command
    documents: list[GuardedDocument] = field(default_factory=list)
    operations: list[bytes] = field(default_factory=list)
    size: int = 0


async def write_guarded(
    collection: Collection, documents: Iterable[GuardedDocument], written: list[Written] | None = None
) -> WriteReport:
    """Inserts documents into `collection` (from `client.majority_acknowledged`), or replaces older ones; returns once a
    majority has them on disk.

    Appends to `written`, if given, the documents that are then stored as they were sent.

    Raises MongoAway, MongoRefused, MongoDiskFull or MongoFailed: some documents may be written then, which does no
    harm, but none counts as acknowledged.
    """
    report = WriteReport()
    remaining = list(_fitting(documents, report))
    try:
        for _ in range(_ATTEMPTS):
            batches = _batches(remaining)
            remaining = [lost for batch in batches for lost in await _write_batch(collection, batch, report, written)]
            if not remaining:
                return report
    except PyMongoError as error:
        raise explain(error, collection) from error
    raise MongoFailed(
        uri=address_of(collection),
        cause=f"{len(remaining)} documents of {collection.name} lost {_ATTEMPTS} races for their insertion",
    )


def _fitting(documents: Iterable[GuardedDocument], report: WriteReport) -> Iterator[GuardedDocument]:
    for document in documents:
        report.sent += 1
        if (size := len(document.encoded)) > LARGEST_DOCUMENT:
            reason = f"{size:,} bytes are more than the {LARGEST_DOCUMENT:,} that fit"
            report.parked.append(Parked(document.collection, document.id, reason))
        else:
            yield document


def _batches(documents: Iterable[GuardedDocument]) -> Iterator[_Batch]:
    """Those that are new, to be inserted, and those that are not, in batches of their own."""
    batches: dict[bool, _Batch] = {}
    for document in documents:
        operation = document.encoded if document.is_new else guarded_update(document)
        batch = batches.get(document.is_new)
        if batch is None or batch.size + len(operation) > MAX_BYTES:
            if batch is not None:
                yield batch
            batch = batches[document.is_new] = _Batch("insert" if document.is_new else "update")
        batch.documents.append(document)
        batch.operations.append(operation)
        batch.size += len(operation)
    yield from batches.values()


async def _write_batch(
    collection: Collection, batch: _Batch, report: WriteReport, written: list[Written] | None
) -> list[GuardedDocument]:
    """Returns the documents that are there already, which were taken for new, and those that lost a race: all of them
    have to be compared by an update.
    """
    reply = await _send(collection, batch)
    faults: dict[int, _Fault] = {fault["index"]: fault for fault in reply.get("writeErrors", ())}
    for i, fault in faults.items():
        if fault["code"] in _REFUSED_DOCUMENT:
            document = batch.documents[i]
            report.parked.append(Parked(document.collection, document.id, reason_of(fault)))
    inserted = {upserted["index"] for upserted in reply.get("upserted", ())}
    changed = reply["n"] if batch.command == "insert" else reply["nModified"] + len(inserted)
    report.changed += changed
    every = changed + len(faults) == len(batch.documents)
    if written is not None or not every:
        stored = [
            Written(document, every or i in inserted) for i, document in enumerate(batch.documents) if i not in faults
        ]
        if not every:  # the reply does not say which of them were replaced
            stored = await _classify_unchanged(collection, stored, report)
        if written is not None:
            written += stored
    return [batch.documents[i]._replace(is_new=False) for i, fault in faults.items() if fault["code"] in _RACES]


async def _send(collection: Collection, batch: _Batch) -> Mapping[str, Any]:
    """The reply to a batch. Raises BulkWriteError for errors other than those of single documents."""
    reply: Mapping[str, Any] = await collection.database.command(
        {
            batch.command: collection.name,
            "ordered": False,
            "writeConcern": collection.write_concern.document,
            _OPERATIONS[batch.command]: [_Operations(batch.operations)],
        }
    )
    unconfirmed = [reply["writeConcernError"]] if "writeConcernError" in reply else []
    others = [fault for fault in reply.get("writeErrors", ()) if fault["code"] not in _RACES | _REFUSED_DOCUMENT]
    if unconfirmed or others:
        raise BulkWriteError({"writeConcernErrors": unconfirmed, "writeErrors": others})
    return reply


async def _classify_unchanged(collection: Collection, sent: Sequence[Written], report: WriteReport) -> list[Written]:
    """Reports incomparable and outranked documents; duplicate and late ones are ignored.

    Returns the documents that were inserted, or are stored as they were sent.
    """
    as_sent: list[Written] = []
    by_id = {"_id": {"$in": [item.document.id for item in sent]}}
    theirs = {found["_id"]: found async for found in collection.find(by_id, {"_rev": 1, "_run": 1})}
    for item in sent:
        document = item.document
        found = theirs.get(document.id, {})
        run, rev = found.get("_run", document.run), tuple(found.get("_rev", ()))
        if run > document.run:
            report.outranked.append(Outranked(document.collection, document.id, run))
            continue
        order = compare(document.rev, rev) if run == document.run else "older"
        if order == "incomparable":
            report.incomparable.append(Incomparable(document.collection, document.id, document.rev, rev))
        if order == "equal" or item.certain:
            as_sent.append(item)
    return as_sent
