"""External merge sort of views by time: sorted runs in a temporary file, merged.

The sort is stable: views of the same millisecond keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import IO, Final

import msgspec
import numpy as np
from numpy.typing import NDArray

from movie_stream.replay.records.csv_records import ViewChunk

RUN_ROWS: Final = 200_000
RUN_BYTES: Final = 1 << 26
"""A run is written when it has this many rows, or bytes of records."""
BLOCK_ROWS: Final = 1_000
FAN_IN: Final = 64
"""The most runs that are merged at once, each with one block in memory."""


class Block(msgspec.Struct, array_like=True, gc=False):
    """Consecutive rows of a run, as stored in the file."""

    timestamp_ms: bytes
    lines: bytes
    keys: list[bytes]
    values: list[bytes]


@dataclass(frozen=True, slots=True)
class BlockExtent:
    """The bytes of a block in the temporary file."""

    offset: int
    size: int


Run = list[BlockExtent]


class SortedRuns:
    """Takes chunks in any order with `add`, and returns their rows in time order with `merged`.

    Memory is bounded by one run, or FAN_IN blocks; the rest is in `file`.
    """

    def __init__(
        self, file: IO[bytes], run_rows: int = RUN_ROWS, block_rows: int = BLOCK_ROWS, fan_in: int = FAN_IN
    ) -> None:
        self._file = file
        self._run_rows = run_rows
        self._block_rows = block_rows
        self._fan_in = fan_in
        self._encoder = msgspec.msgpack.Encoder()
        self._decoder = msgspec.msgpack.Decoder(Block)
        self._runs: list[Run] = []
        self._waiting: list[ViewChunk] = []
        self._waiting_rows = 0
        self._waiting_bytes = 0

    def add(self, chunk: ViewChunk) -> None:
        """Adds a chunk."""
        if not len(chunk):
            return
        self._waiting.append(chunk)
        self._waiting_rows += len(chunk)
        self._waiting_bytes += sum(map(len, chunk.values))
        if self._waiting_rows >= self._run_rows or self._waiting_bytes >= RUN_BYTES:
            self._runs.append(self._write([self._sort_waiting()]))

    def merged(self) -> Iterator[ViewChunk]:
        """All rows in time order, without the refused ones; `add` may not be called afterwards."""
        if not self._runs:
            yield self._sort_waiting()
            return
        if self._waiting:
            self._runs.append(self._write([self._sort_waiting()]))
        while len(self._runs) > self._fan_in:
            groups = [self._runs[i : i + self._fan_in] for i in range(0, len(self._runs), self._fan_in)]
            self._runs = [self._write(self._merge(group)) for group in groups]
        yield from self._merge(self._runs)

    def _sort_waiting(self) -> ViewChunk:
        chunk = in_time_order(self._waiting)
        self._waiting = []
        self._waiting_rows = self._waiting_bytes = 0
        return chunk

    def _write(self, chunks: Iterable[ViewChunk]) -> Run:
        run: Run = []
        offset = self._file.seek(0, 2)
        for chunk in chunks:
            for start in range(0, len(chunk), self._block_rows):
                part = slice(start, start + self._block_rows)
                times, lines = chunk.timestamp_ms[part], chunk.lines[part]
                block = Block(times.tobytes(), lines.tobytes(), chunk.keys[part], chunk.values[part])
                self._file.seek(offset)  # merging reads from the same file between two blocks
                size = self._file.write(self._encoder.encode(block))
                run.append(BlockExtent(offset, size))
                offset += size
        return run

    def _read(self, extent: BlockExtent) -> ViewChunk:
        self._file.seek(extent.offset)
        block = self._decoder.decode(self._file.read(extent.size))
        times, lines = np.frombuffer(block.timestamp_ms, np.int64), np.frombuffer(block.lines, np.int64)
        return ViewChunk(block.keys, block.values, times, lines, [])

    def _merge(self, runs: Sequence[Run]) -> Iterator[ViewChunk]:
        """Merges block by block: rows up to the earliest end of the current blocks are complete."""
        rest = [iter(run) for run in runs]
        heads: list[ViewChunk | None] = [self._read(next(extents)) for extents in rest]
        while any(heads):
            ends = [(int(head.timestamp_ms[-1]), i) for i, head in enumerate(heads) if head]
            end, first = min(ends)
            due: list[ViewChunk] = []
            for i, head in enumerate(heads):
                if head:
                    # Rows of later runs with the timestamp `end` wait, since `first` may have more of them.
                    rows = int(np.searchsorted(head.timestamp_ms, end, "right" if i <= first else "left"))
                    due.append(_part(head, slice(0, rows)))
                    heads[i] = _part(head, slice(rows, None)) if rows < len(head) else None
                if not heads[i]:
                    extent = next(rest[i], None)
                    heads[i] = self._read(extent) if extent else None
            yield in_time_order(due)


def in_time_order(chunks: Sequence[ViewChunk]) -> ViewChunk:
    """One chunk with all rows, sorted by time; rows of the same millisecond keep their order."""
    none = np.empty(0, np.int64)
    times = np.concatenate([none, *(chunk.timestamp_ms for chunk in chunks)])
    order: NDArray[np.intp] = np.argsort(times, kind="stable")
    keys = list(chain.from_iterable(chunk.keys for chunk in chunks))
    values = list(chain.from_iterable(chunk.values for chunk in chunks))
    lines = np.concatenate([none, *(chunk.lines for chunk in chunks)])
    rows = order.tolist()
    return ViewChunk([keys[row] for row in rows], [values[row] for row in rows], times[order], lines[order], [])


def _part(chunk: ViewChunk, part: slice) -> ViewChunk:
    return ViewChunk(chunk.keys[part], chunk.values[part], chunk.timestamp_ms[part], chunk.lines[part], [])
