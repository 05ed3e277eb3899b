"""What stands in a changelog, and which of it counts.

A changelog is a log of checkpoints. A checkpoint is a number of entries (what changed since its parent, or everything:
a snapshot) and last a cursor, sent after all entries were acknowledged. A cursor counts only if

1. all its entries stand before it,
2. its parent is the cursor that counted last before it; the first to count is a snapshot,
3. it belongs to the present run, and has not counted before.

So entries without their cursor, duplicates and the fork of a writer that was thought dead drop out by themselves;
nothing depends on compaction, epochs, transactions or the group's committed offsets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from movie_stream.tables.claim import Claim, claim_in


class CheckpointId(NamedTuple):
    """The writer (random, one for each time a partition is taken over) and its sequence number."""

    writer: str
    sequence: int


class EntryRecord(msgspec.Struct, array_like=True, tag="entry"):
    """One entry of a checkpoint; `index` counts from 0."""

    id: CheckpointId
    index: int
    payload: bytes


class Cursor(msgspec.Struct, array_like=True, tag="cursor"):
    """The end of a checkpoint, which makes it whole."""

    id: CheckpointId
    parent: CheckpointId | None
    snapshot: bool
    position: int
    """The next offset of the source that the state has not applied."""
    watermark_ms: int | None
    entries: int
    run: str
    """Fingerprint of everything that changes figures; see runs."""
    claim: Claim | None = None
    """Whose the changelog is; None before workers said so."""
    marked: bool = False
    """Whether the position was noted where the results are before this was sent; see agents/publish.py."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A checkpoint that counts."""

    cursor: Cursor
    payloads: list[bytes]


class BrokenChangelog(ValueError):
    """A changelog holds what no writer of ours has written, or lacks what none of them has deleted."""


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
        raise BrokenChangelog(f"expected an entry or a cursor, got {(value or b'')[:40]!r}") from error


class Chain:
    """Reads a changelog record by record and says which checkpoints count.

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
        self._truncated_at: int | None = None  # until the first cursor has shown that this was no loss

    def begins_at(self, offset: int) -> None:
        """Says where the log begins: one of which records were deleted has to begin with a snapshot."""
        self._truncated_at = offset or None

    def read(self, value: bytes | None) -> Counted | None:
        """Takes the next record; the checkpoint that it completes, if it counts. Raises BrokenChangelog."""
        if claim_in(value) is not None:
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
        del self._entries  # of forks: whatever comes of them later has no parent that counts
        self._entries = {}
        return Counted(record, [entries[index] for index in range(record.entries)])

    def ends(self) -> None:
        """Says that all of the log was read. Raises BrokenChangelog where it was truncated and holds no cursor."""
        if self._truncated_at is not None:
            raise BrokenChangelog(f"records before offset {self._truncated_at} were deleted that are still needed")

    def _check_truncation(self, first: Cursor, entries: int) -> None:
        """Writers delete only what is before the first entry of a snapshot that counted, with nothing else in it."""
        if self._truncated_at is not None and not (first.snapshot and entries == first.entries):
            raise BrokenChangelog(f"records before offset {self._truncated_at} were deleted that are still needed")
        self._truncated_at = None

    def wrote(self, cursor: Cursor) -> None:
        """Takes a whole checkpoint, whose parent is the last that counted, and whose records are the next in the log.

        What stands there is known, so it need not be read.
        """
        assert cursor.parent == self.last, "it was made by this chain"
        assert self._truncated_at is None, "nothing is written to a log that was found truncated"
        self.last, self._entries = cursor.id, {}
