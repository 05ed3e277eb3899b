"""A state backed by a changelog: restored from its checkpoints, and written as checkpoints."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeVar

from movie_stream.columnar.allocator import trim
from movie_stream.tables.checkpoint import BrokenChangelog, Chain, CheckpointId, Cursor, EntryRecord, encode
from movie_stream.tables.claim import Claim
from movie_stream.tables.log import SENT_AT_ONCE, Log, LogTruncated, portions


class State(Protocol):
    """The state that a table keeps: entries that can be frozen and loaded, a position and a watermark."""

    position: int
    watermark_ms: int | None

    def reset(self) -> None: ...
    def freeze(self, snapshot: bool) -> Iterable[bytes]: ...
    def load(self, entry: bytes) -> None: ...
    def loaded(self, position: int, watermark_ms: int | None) -> None: ...


S = TypeVar("S", bound=State)

TRIM_AFTER_BYTES: Final = 16 << 20
"""Bytes of entries read or written after which freed memory is returned to the OS: the next chunks then wait for it to
be zeroed, which costs more than counting them where it is done after each checkpoint.
"""


class WriterFenced(RuntimeError):
    """Another writer's checkpoint came first: this writer is fenced off from the state."""


@dataclass(frozen=True, slots=True)
class Frozen:
    """A copy of the next checkpoint's content as of one point in time."""

    snapshot: bool
    entries: Iterable[bytes]
    """One-shot iterable, encoded lazily."""
    position: int
    watermark_ms: int | None


class Table(Generic[S]):
    """A state and its changelog, with one writer.

    Use: `await restore()`; then repeatedly change the state, `frozen = freeze()`, make sure that everything below
    `frozen.position` is acknowledged downstream, `await checkpoint(frozen)`. Where a table was laid aside in between,
    `await resume(end)`.
    """

    def __init__(self, state: S, log: Log, run: str, claim: Claim | None = None) -> None:
        self.state, self._log, self._run, self._claim = state, log, run, claim
        self._writer = secrets.token_hex(8)
        self._sequence = 0
        self._chain = Chain(run)
        self._next_offset: int | None = None  # of the changelog: the first that the chain has not read
        self._snapshot_bytes, self._delta_bytes = 0, 0
        self._overtaken = False  # if set, the chain is another writer's, and our state may not continue it
        self.position = 0
        """The position of the last checkpoint that counts."""
        self.marked: int | None = None
        """The same if its cursor is `marked`, else None."""
        self.defer_snapshot = False
        """Whether a snapshot that is due is left to the next writer."""

    async def restore(self) -> None:
        """Reads the changelog to its end and loads the checkpoints that count. Raises BrokenChangelog."""
        while True:
            try:
                await self._read_all()
            except LogTruncated:
                continue
            if self._snapshot_bytes + self._delta_bytes >= TRIM_AFTER_BYTES:
                trim()
            return

    async def resume(self, end: int) -> bool:
        """Whether the state may go on as it is, after a time in which others may have owned it: whether no checkpoint
        has counted since its own last one, in the changelog up to its present `end`. Otherwise it is of no more use.

        Raises BrokenChangelog.
        """
        self.defer_snapshot = False
        if self._next_offset is None or end < self._next_offset:  # nothing was ever there, or it was lost
            return False
        if end == self._next_offset:
            return True
        try:
            async for offset, value in self._log.read(self._next_offset, end):
                self._next_offset = offset + 1
                if self._chain.read(value) is not None:
                    return False
        except LogTruncated:  # by a writer whose snapshot counted
            return False
        return True

    async def _read_all(self) -> None:
        self.state.reset()
        self._chain, self._next_offset = Chain(self._run), None
        self._snapshot_bytes = self._delta_bytes = 0
        position, watermark_ms, self.marked = 0, None, None
        async for offset, value in self._log.read(None, None):
            if self._next_offset is None:
                self._chain.set_start(offset)
            self._next_offset = offset + 1
            counted = self._chain.read(value)
            if counted is not None:
                if counted.cursor.snapshot:
                    self.state.reset()
                for payload in counted.payloads:
                    self._load(payload)
                position, watermark_ms = counted.cursor.position, counted.cursor.watermark_ms
                self.marked = position if counted.cursor.marked else None
                self._note_size(counted.cursor.snapshot, sum(map(len, counted.payloads)))
        self._chain.finish()
        if self._next_offset is None and (oldest := await self._log.oldest()):
            raise BrokenChangelog(f"nothing: all records before offset {oldest} were deleted")
        self.position = position
        self.state.loaded(position, watermark_ms)

    def _load(self, payload: bytes) -> None:
        try:
            self.state.load(payload)
        except (ValueError, LookupError, TypeError) as error:  # msgspec's errors are ValueErrors
            raise BrokenChangelog(f"an entry that cannot be loaded ({error})") from error

    @property
    def stored_bytes(self) -> int:
        """Bytes of the entries that a restore would read: of the last snapshot and of the deltas since."""
        return self._snapshot_bytes + self._delta_bytes

    @property
    def snapshot_due(self) -> bool:
        """Whether the deltas since the last snapshot outweigh it."""
        return self._chain.last is None or (self._delta_bytes > self._snapshot_bytes and not self.defer_snapshot)

    def freeze(self) -> Frozen:
        """Copies the changes since the last call, or everything when a snapshot is due."""
        snapshot = self.snapshot_due
        return Frozen(snapshot, self.state.freeze(snapshot), self.state.position, self.state.watermark_ms)

    async def checkpoint(self, frozen: Frozen, marked: bool = False) -> None:
        """Writes the entries, and the cursor last; raises WriterFenced if it does not count. `marked` is stored in the
        cursor.

        Afterwards a restore finds `frozen`, or a later checkpoint that continues it.
        """
        if self._overtaken:
            raise WriterFenced("an earlier checkpoint of this writer does not count")
        self._sequence += 1
        this = CheckpointId(self._writer, self._sequence)
        offsets: list[int] = []
        records: list[bytes] = []
        count = size = 0
        for portion in portions(frozen.entries, SENT_AT_ONCE):
            if records:
                offsets += await self._log.append(records)
            records = [encode(EntryRecord(this, index, payload)) for index, payload in enumerate(portion, count)]
            count += len(portion)
            size += sum(map(len, portion))
        cursor = Cursor(
            this,
            self._chain.last,
            frozen.snapshot,
            frozen.position,
            frozen.watermark_ms,
            count,
            self._run,
            self._claim,
            marked,
        )
        # With the last entries: if any of them is lost, it does not count.
        offsets += await self._log.append([*records, encode(cursor)])
        try:
            alone = await self._read_back(cursor, offsets)
        except WriterFenced:
            self._overtaken = True
            raise
        self.position, self.marked = frozen.position, frozen.position if marked else None
        self._note_size(frozen.snapshot, size)
        if frozen.snapshot and alone:
            await self._log.delete_before(offsets[0])
        if size >= TRIM_AFTER_BYTES:
            trim()

    async def _read_back(self, cursor: Cursor, offsets: list[int]) -> bool:
        """Makes sure that the cursor counts; returns whether no foreign record is between its first entry and it.

        Consecutive offsets from the last known end on are known to be ours alone, without reading.
        """
        expected = list(range(self._next_offset or 0, (self._next_offset or 0) + len(offsets)))
        foreign = 0
        if offsets == expected:
            self._chain.accept_written(cursor)
        else:
            try:
                async for offset, value in self._log.read(self._next_offset, offsets[-1] + 1):
                    self._chain.read(value)
                    foreign += offset > offsets[0] and offset not in offsets
            except LogTruncated as error:  # by a writer whose snapshot counted meanwhile
                raise WriterFenced(f"checkpoint {cursor.id.sequence} of this writer was deleted by another") from error
        self._next_offset = offsets[-1] + 1
        if self._chain.last != cursor.id:
            raise WriterFenced(
                f"checkpoint {cursor.id.sequence} of this writer does not count: another writer came first"
            )
        return not foreign

    def _note_size(self, snapshot: bool, size: int) -> None:
        if snapshot:
            self._snapshot_bytes, self._delta_bytes = size, 0
        else:
            self._delta_bytes += size
