"""The records of a changelog, and which of its checkpoints count.

A changelog is a log of checkpoints. A checkpoint is a number of entries (the changes since its parent, or everything:
a snapshot), followed by a cursor. A cursor counts only if

1. all its entries are before it,
2. its parent is the cursor that counted last before it; the first to count is a snapshot,
3. it belongs to the present run, and has not counted before.

So entries without their cursor, duplicates and the fork of a zombie writer are ignored; nothing depends on compaction,
epochs, transactions or the group's committed offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from movie_stream.tables.claim import Claim, claim_in


class CheckpointId(NamedTuple):
    """The writer (random, new each time a partition is taken over) and its sequence number."""

    writer: str
    sequence: int


class EntryRecord(msgspec.Struct, array_like=True, tag="entry"):
    """One entry of a checkpoint; `index` counts from 0."""

    id: CheckpointId
    index: int
    payload: bytes


class Cursor(msgspec.Struct, array_like=True, tag="cursor"):
    """The last record of a checkpoint, which completes it."""

    id: CheckpointId
    parent: CheckpointId | None
    snapshot: bool
    position: int
    """The first offset of the source that the state has not applied."""
    watermark_ms: int | None
    entries: int
    run: str
    """The run's number and the hash of its fingerprint; see runs."""
    claim: Claim | None = None
    """The owner of the changelog; None in records of older workers."""
    marked: bool = False
    """Whether the position was recorded beside the results before this was sent; see agents/publish.py."""


@dataclass(frozen=True, slots=True)
class CountedCheckpoint:
    """A checkpoint that counts."""

    cursor: Cursor
    payloads: list[bytes]


class BrokenChangelog(ValueError):
    """A changelog holds records that none of our writers wrote, or lacks records that none of them deleted."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[EntryRecord | Cursor] = msgspec.msgpack.Decoder(EntryRecord | Cursor)


def encode(record: EntryRecord | Cursor) -> bytes:
    """The record as a Kafka record's value."""
    return _ENCODER.encode(record)


def decode(value: bytes | None) -> EntryRecord | Cursor:
    """The record of a changelog. Raises BrokenChangelog."""
    try:
        return _DECODER.decode(value or b"")
    except msgspec.DecodeError as error:
        raise _foreign(value) from error


def _is_claim(value: bytes | None) -> bool:
    try:
        return claim_in(value) is not None
    except msgspec.DecodeError as error:
        raise _foreign(value) from error


def _foreign(value: bytes | None) -> BrokenChangelog:
    return BrokenChangelog(f"expected an entry or a cursor, got {(value or b'')[:40]!r}")


class Chain:
    """Reads a changelog record by record and determines which checkpoints count.

    >>> chain, first = Chain("run"), CheckpointId("w", 1)
    >>> chain.read(encode(EntryRecord(first, 0, b"x")))
    >>> counted = chain.read(encode(Cursor(first, None, True, 7, None, 1, "run")))
    >>> counted.cursor.position, counted.payloads
    (7, [b'x'])
    """

    def __init__(self, run: str) -> None:
        self._run = run
        self.last: CheckpointId | None = None
        """The checkpoint that counted last."""
        self._entries: dict[CheckpointId, dict[int, bytes]] = {}
        self._truncated_at: int | None = None  # reset by the first cursor, which shows that nothing needed was lost

    def set_start(self, offset: int) -> None:
        """Sets the log's first offset: a log whose first records were deleted must begin with a snapshot."""
        self._truncated_at = offset or None

    def read(self, value: bytes | None) -> CountedCheckpoint | None:
        """Reads the next record; returns the checkpoint that it completes, if it counts. Raises BrokenChangelog."""
        if _is_claim(value):
            return None
        record = decode(value)
        if isinstance(record, EntryRecord):
            self._entries.setdefault(record.id, {})[record.index] = record.payload
            return None
        entries = self._entries.get(record.id, {})
        self._check_truncation(record, len(entries))
        follows = record.parent == self.last if self.last is not None else record.snapshot
        if record.run != self._run or len(entries) < record.entries or not follows or record.id == self.last:
            return None
        self.last = record.id
        del self._entries  # of forks: later records of them have no parent that counts
        self._entries = {}
        return CountedCheckpoint(record, [entries[index] for index in range(record.entries)])

    def finish(self) -> None:
        """Marks the log as read to its end. Raises BrokenChangelog if it was truncated and holds no cursor."""
        if self._truncated_at is not None:
            raise BrokenChangelog(f"records before offset {self._truncated_at} were deleted that are still needed")

    def _check_truncation(self, first: Cursor, entries: int) -> None:
        """Checks that a truncated log begins with a snapshot: writers delete only the records before the first entry
        of a snapshot that counted, and that no foreign record interrupts.
        """
        if self._truncated_at is not None and not (first.snapshot and entries == first.entries):
            raise BrokenChangelog(f"records before offset {self._truncated_at} were deleted that are still needed")
        self._truncated_at = None

    def accept_written(self, cursor: Cursor) -> None:
        """Accepts a checkpoint without reading it back: its parent is the last that counted, and its records are the
        next in the log.
        """
        assert cursor.parent == self.last, "it was made by this chain"
        assert self._truncated_at is None, "nothing is written to a log that was found truncated"
        self.last, self._entries = cursor.id, {}
