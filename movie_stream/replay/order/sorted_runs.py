"""External merge sort of views by time: sorted runs in a temporary file, merged.

The sort is stable: views of the same millisecond keep their order.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import PAD, Bytes, Ints, Spans
from movie_stream.kernels.strings import copy_strings
from movie_stream.replay.records.csv_records import ViewChunk

RUN_ROWS: Final = 200_000
RUN_BYTES: Final = 1 << 24
"""A run is written when it has this many rows, or bytes of records."""
BLOCK_ROWS: Final = 4_000
FAN_IN: Final = 32
"""The most runs that are merged at once, each with one block in memory."""


@dataclass(frozen=True, slots=True)
class BlockExtent:
    """A block of a run in the temporary file: its position and its length in bytes, and how many rows it has."""

    offset: int
    size: int
    rows: int


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
        self._waiting_bytes += int(chunk.values.lengths.sum())
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
                part = chunk.where(slice(start, start + self._block_rows))
                block = in_turn([part])
                ints = block.timestamp_ms, block.lines, block.keys.lengths, block.values.lengths
                self._file.seek(offset)  # merging reads from the same file between two blocks
                size = sum(self._file.write(column.data) for column in (*ints, block.values.text))
                run.append(BlockExtent(offset, size, len(block)))
                offset += size
        return run

    def _read(self, extent: BlockExtent) -> ViewChunk:
        self._file.seek(extent.offset)
        data = self._file.read(extent.size)
        times, lines, keys, values = np.frombuffer(data, np.int64, 4 * extent.rows).reshape(4, -1)
        text = np.frombuffer(data, np.uint8, offset=4 * times.nbytes)
        return ViewChunk(*_one_after_the_other(keys, values, text), times, lines, [])

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
                    due.append(head.where(slice(0, rows)))
                    heads[i] = head.where(slice(rows, None)) if rows < len(head) else None
                if not heads[i]:
                    extent = next(rest[i], None)
                    heads[i] = self._read(extent) if extent else None
            yield in_time_order(due)


def in_time_order(chunks: Sequence[ViewChunk]) -> ViewChunk:
    """One chunk with all rows, sorted by time; rows of the same millisecond keep their order."""
    times = np.concatenate([np.empty(0, np.int64), *(chunk.timestamp_ms for chunk in chunks)])
    return _copied(chunks, np.argsort(times, kind="stable"))


def in_turn(chunks: Sequence[ViewChunk]) -> ViewChunk:
    """One chunk with all rows, as they come."""
    return _copied(chunks, np.arange(sum(map(len, chunks))))


def _copied(chunks: Sequence[ViewChunk], order: NDArray[np.intp]) -> ViewChunk:
    """All rows of the chunks in this order, in a buffer that has nothing else."""
    none = np.empty(0, np.int64)

    def sorted_column(parts: Iterable[NDArray[np.int64]]) -> NDArray[np.int64]:
        return np.concatenate([none, *parts])[order]

    keys, values = _one_after_the_other(
        sorted_column(chunk.keys.lengths for chunk in chunks), sorted_column(chunk.values.lengths for chunk in chunks)
    )
    key_places, value_places = np.empty_like(keys.begins), np.empty_like(values.begins)
    key_places[order], value_places[order] = keys.begins, values.begins
    start = 0
    for chunk in chunks:
        end = start + len(chunk)
        for strings, places in ((chunk.keys, key_places), (chunk.values, value_places)):
            copy_strings(strings.text, strings.begins, strings.lengths, places[start:end], keys.text)
        start = end
    times, lines = (sorted_column(getattr(chunk, name) for chunk in chunks) for name in ("timestamp_ms", "lines"))
    return ViewChunk(keys, values, times, lines, [])


def _one_after_the_other(keys: Ints, values: Ints, text: Bytes | None = None) -> tuple[Spans, Spans]:
    """Keys and values of these lengths that stand in a buffer, all keys first; None makes the buffer."""
    lengths = np.concatenate([keys, values])
    if text is None:
        text = np.zeros(int(lengths.sum()) + 2 * len(PAD), np.uint8)
    both = Spans(text, len(PAD) + np.cumsum(lengths) - lengths, lengths)
    return both[: len(keys)], both[len(keys) :]
