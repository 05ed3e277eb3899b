"""Bulk writes of guarded documents to one collection, with the outcome of each document."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bson.errors import InvalidDocument
from pymongo import InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, PyMongoError

from movie_stream.mongo.changed import Written
from movie_stream.mongo.client import DUPLICATE_KEY, Collection, address_of, explain
from movie_stream.mongo.failures import MongoFailed, meaning_of_faults
from movie_stream.mongo.guard import GuardedDocument, compare, encode, guarded_update, insertion
from movie_stream.mongo.refusal import reason_of
from movie_stream.mongo.report import Incomparable, Outranked, Parked, WriteReport

MAX_OPERATIONS: Final = 2_000
"""The most documents in one request, so that it ends within its time limit."""
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

_Encoded = tuple[GuardedDocument, bytes]
_Fault = Mapping[str, Any]
_Result = Mapping[str, Any]
"""The result of a bulk write: its numbers, and `upserted`, with the `index` of each upsert."""


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
    try:
        for batch in _batches(_encoded(documents, report)):
            await _write_batch(collection, batch, report, written)
    except PyMongoError as error:
        raise explain(error, collection) from error
    return report


def _encoded(documents: Iterable[GuardedDocument], report: WriteReport) -> Iterator[_Encoded]:
    for document in documents:
        report.sent += 1
        try:
            encoded = encode(document)
        except (InvalidDocument, OverflowError, UnicodeEncodeError) as error:
            report.parked.append(Parked(document.collection, document.id, f"MongoDB has no such value: {error}"))
            continue
        if len(encoded) > LARGEST_DOCUMENT:
            reason = f"{len(encoded):,} bytes are more than the {LARGEST_DOCUMENT:,} that fit"
            report.parked.append(Parked(document.collection, document.id, reason))
            continue
        yield document, encoded


def _batches(documents: Iterable[_Encoded]) -> Iterator[list[_Encoded]]:
    """Those that are new, and those that are not, in batches of their own."""
    batches: dict[bool, list[_Encoded]] = {True: [], False: []}
    sizes = dict.fromkeys(batches, 0)
    for document, encoded in documents:
        kind = document.is_new
        if batches[kind] and (len(batches[kind]) == MAX_OPERATIONS or sizes[kind] + len(encoded) > MAX_BYTES):
            yield batches[kind]
            batches[kind], sizes[kind] = [], 0
        batches[kind].append((document, encoded))
        sizes[kind] += len(encoded)
    yield from filter(None, batches.values())


async def _write_batch(
    collection: Collection, batch: Sequence[_Encoded], report: WriteReport, written: list[Written] | None
) -> None:
    stored: list[Written] = []
    changed = 0
    insert = batch[0][0].is_new
    for _ in range(_ATTEMPTS):
        make = insertion if insert else guarded_update
        result, faults = await _send(collection, [make(*item) for item in batch])
        changed += result["nInserted"] + result["nModified"] + result["nUpserted"]
        inserted = range(len(batch)) if insert else {upserted["index"] for upserted in result["upserted"]}
        stored += [Written(*item, certain=i in inserted) for i, item in enumerate(batch) if i not in faults]
        refused = {i: fault for i, fault in faults.items() if fault["code"] in _REFUSED_DOCUMENT}
        for i, fault in refused.items():
            document, _ = batch[i]
            report.parked.append(Parked(document.collection, document.id, reason_of(fault)))
        batch, insert = [batch[i] for i in faults if i not in refused], False
        if not batch:
            break
    else:
        raise MongoFailed(
            uri=address_of(collection),
            cause=f"{len(batch)} documents of {collection.name} lost {_ATTEMPTS} races for their insertion",
        )
    report.changed += changed
    if changed < len(stored):  # the result does not say which of them were replaced
        stored = await _classify_unchanged(collection, stored, report)
    elif written is not None:
        stored = [item._replace(certain=True) for item in stored]
    if written is not None:
        written += stored


async def _send(
    collection: Collection, operations: Sequence[InsertOne[Any] | UpdateOne]
) -> tuple[_Result, dict[int, _Fault]]:
    """Sends a batch; returns the result, and the write errors of single documents by index in the batch."""
    try:
        result = await collection.bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            raise
        faults = {int(fault["index"]): fault for fault in error.details["writeErrors"]}
        others = [fault for fault in faults.values() if fault["code"] not in _RACES | _REFUSED_DOCUMENT]
        if others:
            raise meaning_of_faults(others, address_of(collection)) from error
        return error.details, faults
    return result.bulk_api_result, {}


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
