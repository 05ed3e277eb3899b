"""When a stored document may be replaced: only by one made of a larger prefix of the log.

A document carries `_run` and `_rev`, one number for each source partition that grows with every change there.
MongoDB itself compares them, in the update, so that writers need no lock and no order: duplicates, late ones
and zombies lose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import zip_longest
from typing import Any, Final, Literal

import bson
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne

Rev = tuple[int, ...]
Order = Literal["newer", "older", "equal", "incomparable"]


@dataclass(frozen=True, slots=True)
class GuardedDocument:
    """A document to be stored: `body` is all of it but `_id`, `_rev` and `_run`."""

    collection: str
    id: str
    rev: Rev
    run: int
    body: Mapping[str, Any] = field(repr=False)


def encode(document: GuardedDocument) -> bytes:
    """The document as it will be stored.

    Raises bson.errors.InvalidDocument, OverflowError or UnicodeEncodeError where MongoDB has no such value.
    """
    return bson.encode(
        {
            "_id": document.id,
            **document.body,
            "_rev": [Int64(number) for number in document.rev],
            "_run": Int64(document.run),
        }
    )


def guarded_update(document: GuardedDocument, encoded: bytes) -> UpdateOne:
    """Replaces what is stored if that is older, leaves it as it is otherwise.

    Matched on `_id` alone: with the condition in the filter, an upsert that finds it false inserts, and loses
    races. It is encoded already: as objects, the condition takes more memory than the document.
    """
    replaced = {"$cond": [_is_newer(document.rev, document.run), {"$literal": RawBSONDocument(encoded)}, "$$ROOT"]}
    stage = RawBSONDocument(bson.encode({"$replaceWith": replaced}))
    return UpdateOne({"_id": document.id}, [stage], upsert=True)


def compare(mine: Sequence[int], theirs: Sequence[int]) -> Order:
    """How my `_rev` stands to theirs, number by number; a missing one is 0.

    >>> compare((3, 1), (2,)), compare((1,), (1, 0)), compare((2, 0), (1, 1))
    ('newer', 'equal', 'incomparable')
    """
    pairs = list(zip_longest(mine, theirs, fillvalue=0))
    grows, shrinks = any(m > t for m, t in pairs), any(m < t for m, t in pairs)
    if grows:
        return "incomparable" if shrinks else "newer"
    return "older" if shrinks else "equal"


def _is_newer(rev: Rev, run: int) -> Mapping[str, Any]:
    """As an expression over the stored document; a document that is not there yet has no field, which is less
    than any.
    """
    numbers = list(enumerate(rev))
    same_run = {
        "$and": [
            {"$eq": [run, "$_run"]},
            *({"$gte": [number, _theirs(i)]} for i, number in numbers),
            {"$or": [{"$gt": [number, _theirs(i)]} for i, number in numbers if number]},
            _no_more_than(len(rev)),
        ]
    }
    newer = {"$or": [{"$gt": [run, "$_run"]}, same_run]}
    return {"$let": {"vars": {"theirs": _STORED_REV}, "in": newer}}


_STORED_REV: Final = {"$cond": [{"$isArray": "$_rev"}, "$_rev", []]}


@cache
def _theirs(partition: int) -> Mapping[str, Any]:
    """A number of the stored `_rev`; none, which is less than any, where it is shorter."""
    return {"$arrayElemAt": ["$$theirs", partition]}


@cache
def _no_more_than(count: int) -> Mapping[str, Any]:
    """Whether the stored `_rev` is 0 from a partition on."""
    return {"$not": {"$anyElementTrue": {"$slice": ["$$theirs", count, 1 << 30]}}}
