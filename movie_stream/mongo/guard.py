"""The guard of stored documents: a document is only replaced by one computed from a longer prefix of the log.

A document has `_run` and `_rev`, a version vector with one number for each source partition, which grows with every
change there. MongoDB compares them within the update, so that writers need neither locks nor order: duplicate, late and
zombie writes have no effect.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from itertools import zip_longest
from typing import Any, Final, Literal, NamedTuple

import bson
from bson.codec_options import CodecOptions
from bson.int64 import Int64
from bson.raw_bson import RawBSONDocument

_INT32: Final = struct.Struct("<i")
_INT64: Final = struct.Struct("<q")
_EMPTY: Final = bson.encode({})
_CODEC: Final[CodecOptions[dict[str, Any]]] = CodecOptions(tz_aware=True)
_OURS: Final = ("_id", "_rev", "_run")
_MARK: Final = 0x5E_C0DE_D0C5_0000
"""The first of the numbers that mark places in an encoded stage."""

Rev = tuple[int, ...]
Order = Literal["newer", "older", "equal", "incomparable"]


class GuardedDocument(NamedTuple):
    """A document to be stored."""

    collection: str
    id: str
    rev: Rev
    run: int
    encoded: bytes
    """The document as BSON, with `_id`, `_rev` and `_run`."""
    is_new: bool = False
    """Whether nothing is likely to be stored under this `_id`: an insert is tried first, which is much cheaper."""

    @property
    def body(self) -> dict[str, Any]:
        """The document without `_id`, `_rev` and `_run`."""
        return body_of(self.encoded)


def guarded(collection: str, name: str, rev: Rev, run: int, body: Mapping[str, Any]) -> GuardedDocument:
    """The document with this `_id` and body.

    Raises bson.errors.InvalidDocument, OverflowError or UnicodeEncodeError for values that BSON cannot represent.
    """
    guard = {"_rev": [Int64(number) for number in rev], "_run": Int64(run)}
    return GuardedDocument(collection, name, rev, run, bson.encode({"_id": name, **body, **guard}))


def body_of(encoded: bytes) -> dict[str, Any]:
    """An encoded document without `_id`, `_rev` and `_run`."""
    return {name: value for name, value in bson.decode(encoded, _CODEC).items() if name not in _OURS}


def guarded_update(document: GuardedDocument) -> bytes:
    """An upsert, as BSON, that replaces the stored document if it is older, and else leaves it unchanged.

    The filter is `_id` alone: with the condition in the filter, an upsert whose condition is false would try to insert,
    and lose races. The stage is encoded already: as objects, the condition takes more memory than the document.
    """
    stage, encoded = _stage(tuple(map(bool, document.rev))), document.encoded
    before, guard = bytearray(stage.before), (*document.rev, document.run)
    for place, size in stage.sizes:
        _INT32.pack_into(before, place, size + len(encoded))
    for place, number in stage.numbers:
        _INT64.pack_into(before, place, guard[number])
    update = [RawBSONDocument(bytes(before) + encoded + stage.after)]
    return bson.encode({"q": {"_id": document.id}, "u": update, "upsert": True})


class _Stage(NamedTuple):
    """The stage of an update as BSON, without its document and numbers."""

    before: bytes
    """What stands before the document."""
    after: bytes
    sizes: tuple[tuple[int, int], ...]
    """Places of the sizes that include the document, and what they are without it."""
    numbers: tuple[tuple[int, int], ...]
    """Places of the numbers: which of `_rev`, or after these `_run`."""


@lru_cache(1024)
def _stage(is_above_zero: tuple[bool, ...]) -> _Stage:
    """The stage for a `_rev` that has these numbers above zero. It is encoded once, with marks for what is different in
    every update.
    """
    marks = [Int64(_MARK + at) for at in range(len(is_above_zero) + 1)]
    is_newer = _is_newer(marks[:-1], marks[-1], is_above_zero)
    stage = bson.encode({"$replaceWith": {"$cond": [is_newer, {"$literal": {}}, "$$ROOT"]}})
    literal = b"$literal\0"
    at = stage.index(literal) + len(literal)
    before, after = stage[:at], stage[at + len(_EMPTY) :]
    ends = (stage.index(name) + len(name) for name in (b"$replaceWith\0", b"$cond\0"))
    places = [0, *ends, at - len(literal) - 1 - _INT32.size]
    return _Stage(
        before,
        after,
        tuple((place, _INT32.unpack_from(before, place)[0] - len(_EMPTY)) for place in places),
        tuple((at, number) for number, mark in enumerate(marks) for at in _all_of(_INT64.pack(mark), before)),
    )


def _all_of(mark: bytes, within: bytes) -> list[int]:
    """The places of some bytes."""
    return [found.start() for found in re.finditer(re.escape(mark), within)]


def compare(mine: Sequence[int], theirs: Sequence[int]) -> Order:
    """Compares two version vectors, `mine` to `theirs`; missing numbers are 0.

    >>> compare((3, 1), (2,)), compare((1,), (1, 0)), compare((2, 0), (1, 1))
    ('newer', 'equal', 'incomparable')
    """
    pairs = list(zip_longest(mine, theirs, fillvalue=0))
    grows, shrinks = any(m > t for m, t in pairs), any(m < t for m, t in pairs)
    if grows:
        return "incomparable" if shrinks else "newer"
    return "older" if shrinks else "equal"


def _is_newer(rev: Sequence[int], run: int, is_above_zero: Sequence[bool]) -> Mapping[str, Any]:
    """An expression over the stored document: whether it is older. A missing document has null fields, which compare
    less than any number.
    """
    numbers = list(enumerate(rev))
    same_run = {
        "$and": [
            {"$eq": [run, "$_run"]},
            *({"$gte": [number, _theirs(i)]} for i, number in numbers),
            {"$or": [{"$gt": [number, _theirs(i)]} for i, number in numbers if is_above_zero[i]]},
            _is_zero_from(len(rev)),
        ]
    }
    newer = {"$or": [{"$gt": [run, "$_run"]}, same_run]}
    return {"$let": {"vars": {"theirs": _STORED_REV}, "in": newer}}


_STORED_REV: Final = {"$cond": [{"$isArray": "$_rev"}, "$_rev", []]}


@cache
def _theirs(partition: int) -> Mapping[str, Any]:
    """An element of the stored `_rev`; beyond its end null, which is less than any number."""
    return {"$arrayElemAt": ["$$theirs", partition]}


@cache
def _is_zero_from(count: int) -> Mapping[str, Any]:
    """An expression: whether the stored `_rev` is 0 from this index on."""
    return {"$not": {"$anyElementTrue": {"$slice": ["$$theirs", count, 1 << 30]}}}
