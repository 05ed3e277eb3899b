"""The input of a replay: rows of views, from a file or made up from a catalogue."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import compress
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from movie_stream.events.time_range import EVER, TimeRange
from movie_stream.replay.files.csv_cells import plain_timestamps, timestamps
from movie_stream.replay.files.csv_header import Header
from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.records.csv_records import PlainRecords, ViewChunk
from movie_stream.replay.records.quick_records import QuickRecords

Times = tuple[NDArray[np.int64], NDArray[np.int64]]


class ReplayInput(ABC):
    """Views that can be read repeatedly, with the same result; use it in a `with`.

    Only views whose own time is within `between` are returned, shifted by `shift_ms`.
    """

    path: Path | str
    """The source of the views, for messages."""
    what: str
    """A description of the views, for messages."""
    file_bytes: int
    """The size of the file."""
    made_of: str = ""
    """Everything that the views depend on besides the file."""
    made_up: bool = False
    """Whether they end at the present, whatever the file."""
    size: int
    """The amount to read, in bytes or views."""
    position: int
    """The amount read in this pass, in the same unit."""
    line: int
    """The amount read in this pass, in physical lines."""
    now_ms: int
    """The present by which views lie in the future, the same for every pass."""
    mended: Counter[str]
    """The repairs made in this pass, and how often."""
    refused: Sequence[RefusedRow] = ()
    """Rows that were refused when it was opened."""
    between: TimeRange = EVER
    shift_ms: int = 0

    def __init__(self, header: Header) -> None:
        self._time_position = header.position["timestamp"]
        self._records = QuickRecords(PlainRecords(header))

    @abstractmethod
    def rows(self, last_line: int | None = None) -> Iterator[Rows]:
        """All rows, or those up to a physical line, with the columns of the header."""

    @abstractmethod
    def hashes(self) -> Iterator[str]:
        """Hashes of a growing part of the data that the views depend on; the last one covers all of it."""

    @abstractmethod
    def close(self) -> None:
        """Closes the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def chunks(self, future_tolerance_ms: int | None, last_line: int | None = None) -> Iterator[ViewChunk]:
        """The views, or those up to the physical line `last_line`.

        A view more than `future_tolerance_ms` ahead of `now_ms` is refused, as by a worker; never if that is None.
        """
        now = (-1, 0) if future_tolerance_ms is None else (self.now_ms, future_tolerance_ms)
        for rows in self.rows(last_line):
            yield self._records.views(self._moved(self._chosen(rows)), *now)

    def times(self) -> Iterator[Times]:
        """Times (ms, not shifted) and lines of the rows whose time is a whole number, good or bad."""
        for rows in self.rows():
            times_ms, lines = self._times_of(rows)
            chosen = self.between.has(times_ms)
            yield (times_ms, lines) if chosen.all() else (times_ms[chosen], lines[chosen])

    def _times_of(self, rows: Rows) -> Times:
        cells, lines = rows.columns[self._time_position], rows.lines
        even = plain_timestamps(cells)
        if even is not None:
            return even, lines
        column = timestamps(cells)
        if not all(type(time_ms) is int for time_ms in column):
            whole = [type(time_ms) is int for time_ms in column]
            column, lines = list(compress(column, whole)), lines[whole]
        return np.array(column, np.int64), lines

    def _chosen(self, rows: Rows) -> Rows:
        """The rows within `between`, and those without a time, which will be refused."""
        if self.between == EVER:
            return rows
        times_ms, lines = self._times_of(rows)
        outside = lines[~self.between.has(times_ms)]
        return rows if not len(outside) else rows.without(np.isin(rows.lines, outside).tolist())

    def _moved(self, rows: Rows) -> Rows:
        """The rows with shifted times."""
        if not self.shift_ms:
            return rows
        cells = rows.columns[self._time_position]
        even = plain_timestamps(cells)
        if even is not None:
            moved = list(map(str, (even + self.shift_ms).tolist()))
        else:
            moved = [
                str(time_ms + self.shift_ms) if isinstance(time_ms, int) else cell
                for time_ms, cell in zip(timestamps(cells), cells, strict=True)
            ]
        columns = list(rows.columns)
        columns[self._time_position] = moved
        return Rows(columns, rows.lines, rows.refused)
