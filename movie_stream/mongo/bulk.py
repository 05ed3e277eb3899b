"""Guarded documents of one collection, written in bulk, and what became of each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from bson.errors import InvalidDocument
from pymongo.errors import BulkWriteError, PyMongoError

from movie_stream.mongo.client import Collection, address_of, explain
from movie_stream.mongo.failures import MongoFailed, meaning_of_faults
from movie_stream.mongo.guard import GuardedDocument, compare, encode, guarded_update
from movie_stream.mongo.refusal import reason_of
from movie_stream.mongo.report import Incomparable, Outranked, Parked, WriteReport

MAX_OPERATIONS: Final = 1_000
"""Documents in one request, so that it is over within its time limit."""
MAX_BYTES: Final = 8 * 1024 * 1024
"""Bytes of documents in one request; a larger document goes alone."""
LARGEST_DOCUMENT: Final = 15 * 1024 * 1024
"""In bytes. MongoDB takes 16 MB, and the update around the document counts too."""

_ATTEMPTS: Final = 20
_RACES: Final = frozenset({11000, 112})
"""DuplicateKey, where another writer inserted the same `_id` at the same moment; WriteConflict."""
_REFUSED_DOCUMENT: Final = frozenset({121, 10334, 17419, 17420})
"""DocumentValidationFailure; too large, in the three places where MongoDB finds that."""

_Encoded = tuple[GuardedDocument, bytes]
_Fault = Mapping[str, Any]


async def write_guarded(collection: Collection, documents: Iterable[GuardedDocument]) -> WriteReport:
    """Replaces what is older in `collection` (made by `client.majority_acknowledged`), until a majority has it on disk.

    Raises MongoAway, MongoRefused, MongoDiskFull or MongoFailed: some of the documents may be written then,
    which does no harm, but none of them counts as acknowledged.
    """
    report = WriteReport()
    try:
        for batch in _batches(_encoded(documents, report)):
            await _write_batch(collection, batch, report)
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
    batch: list[_Encoded] = []
    size = 0
    for document, encoded in documents:
        if batch and (len(batch) == MAX_OPERATIONS or size + len(encoded) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append((document, encoded))
        size += len(encoded)
    if batch:
        yield batch


async def _write_batch(collection: Collection, batch: Sequence[_Encoded], report: WriteReport) -> None:
    stored: list[GuardedDocument] = []
    changed = 0
    for _ in range(_ATTEMPTS):
        count, faults = await _send(collection, batch)
        changed += count
        stored += [document for i, (document, _) in enumerate(batch) if i not in faults]
        refused = {i: fault for i, fault in faults.items() if fault["code"] in _REFUSED_DOCUMENT}
        for i, fault in refused.items():
            document, _ = batch[i]
            report.parked.append(Parked(document.collection, document.id, reason_of(fault)))
        batch = [batch[i] for i in faults if i not in refused]
        if not batch:
            break
    else:
        raise MongoFailed(
            uri=address_of(collection),
            cause=f"{len(batch)} documents of {collection.name} lost {_ATTEMPTS} races for their insertion",
        )
    report.changed += changed
    if changed < len(stored):
        await _look_why_unchanged(collection, stored, report)


async def _send(collection: Collection, batch: Sequence[_Encoded]) -> tuple[int, dict[int, _Fault]]:
    """How many documents changed; and the faults of single documents, by their index in the batch."""
    try:
        result = await collection.bulk_write([guarded_update(*item) for item in batch], ordered=False)
    except BulkWriteError as error:
        if error.details["writeConcernErrors"]:
            raise
        faults = {int(fault["index"]): fault for fault in error.details["writeErrors"]}
        others = [fault for fault in faults.values() if fault["code"] not in _RACES | _REFUSED_DOCUMENT]
        if others:
            raise meaning_of_faults(others, address_of(collection)) from error
        return error.details["nModified"] + error.details["nUpserted"], faults
    return result.modified_count + result.upserted_count, {}


async def _look_why_unchanged(collection: Collection, sent: Sequence[GuardedDocument], report: WriteReport) -> None:
    """Reports incomparable documents; duplicates and older ones rightly leave a document as it is."""
    theirs = {
        found["_id"]: found
        async for found in collection.find({"_id": {"$in": [document.id for document in sent]}}, {"_rev": 1, "_run": 1})
    }
    for document in sent:
        found = theirs.get(document.id, {})
        run, rev = found.get("_run", document.run), tuple(found.get("_rev", ()))
        if run > document.run:
            report.outranked.append(Outranked(document.collection, document.id, run))
        elif run == document.run and compare(document.rev, rev) == "incomparable":
            report.incomparable.append(Incomparable(document.collection, document.id, document.rev, rev))
