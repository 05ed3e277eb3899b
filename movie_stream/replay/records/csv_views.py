"""Reads a file of views: a good row becomes a record of the topic, a bad one a line number and a reason."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import numpy as np

from movie_stream.errors import InputError
from movie_stream.events.contract import OPTIONAL
from movie_stream.replay.files.csv_cells import (
    MILLISECOND_DIGITS,
    NO_VALUE,
    NULL_WORDS,
    even_timestamps,
    in_milliseconds,
    is_other_number,
    refusal,
)
from movie_stream.replay.files.csv_file import CsvFile
from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.files.source_file import open_source_file
from movie_stream.replay.files.table import Table
from movie_stream.replay.formats import format_of
from movie_stream.replay.formats.format import Format, ViewsFormat
from movie_stream.replay.formats.genres import Choice
from movie_stream.replay.records.replay_input import ReplayInput

HEADERS: Final = "headers in the middle, left out"


class ViewsFile(ReplayInput):
    """An open file in which a row is a view. Raises InputError, and closes the file, if it is unusable."""

    def __init__(
        self,
        file: Table | Path | str,
        kind: type[Format] | None = None,
        movies: Path | None = None,
        genre: Choice = "first",
    ) -> None:
        self._csv = CsvFile(open_source_file(file)) if isinstance(file, (str, Path)) else file
        try:
            kind = kind or format_of(self._csv)
            if not issubclass(kind, ViewsFormat):
                raise InputError(path=self._csv.path, expected="a file of views", got=kind.title)
            self._format = kind(self._csv, movies, genre)
        except BaseException:
            self._csv.close()
            raise
        super().__init__(self._format.header)
        names = self._csv.names
        self.path, self.size, self.file_bytes = self._csv.path, self._csv.size_bytes, self._csv.size_bytes
        self.what = kind.described() + self._csv.kind
        self.position = self.line = 0
        self.now_ms = time.time_ns() // 1_000_000
        self.mended = Counter()
        position = self._format.header.position
        self._numbers = [position[name] for name in OPTIONAL if name in position]
        self._header_shows = names.index(self._format.columns[-1])
        self._least = 1 + max(names.index(name) for name in self._format.columns if name != "rating")

    def close(self) -> None:
        self._csv.close()

    def rows(self, last_line: int | None = None) -> Iterator[Rows]:
        with closing(self._csv.below_header(last_line)) as rows:
            self.mended = rows.mended
            for chunk in rows.chunks(len(self._csv.names), self._least):
                self.position, self.line = rows.position_bytes, rows.line
                yield self._with_nothing(self._in_milliseconds(self._format.native(self._without_headers(chunk))))
            self.line = rows.line
            if last_line is None:
                self._csv.settle(rows)  # for the next pass

    def hashes(self) -> Iterator[str]:
        for done, made in self._csv.hashes(self._format.part_of_hash):
            self.position = done
            yield made

    def _without_headers(self, rows: Rows) -> Rows:
        """The rows without repeated headers, which concatenated files have."""
        names = self._csv.written_names
        if names[self._header_shows] not in rows.columns[self._header_shows]:
            return rows
        same = [
            [cell.strip().removeprefix("\ufeff") for cell in row] == names for row in zip(*rows.columns, strict=True)
        ]
        self.mended[HEADERS] += sum(same)
        return rows.without(same)

    def _with_nothing(self, rows: Rows) -> Rows:
        """The rows with empty cells in place of the words for a missing number."""
        columns = list(rows.columns)
        for position in self._numbers:
            if NO_VALUE.isdisjoint(columns[position]):
                continue
            self.mended[NULL_WORDS] += sum(cell in NO_VALUE for cell in columns[position])
            columns[position] = ["" if cell in NO_VALUE else cell for cell in columns[position]]
        return Rows(columns, rows.lines, rows.refused)

    def _in_milliseconds(self, rows: Rows) -> Rows:
        """The rows with their times converted to Unix milliseconds; other numbers are refused."""
        cells = rows.columns[self._time_position]
        if not len(rows) or (len(cells[0]) == MILLISECOND_DIGITS and even_timestamps(cells) is not None):
            return rows
        known = [in_milliseconds(cell) for cell in cells]
        self.mended.update(way for _, way in known if way)
        columns = list(rows.columns)
        columns[self._time_position] = [cell for cell, _ in known]
        other = np.array([way is None and is_other_number(cell) for cell, way in known])
        if not other.any():
            return Rows(columns, rows.lines, rows.refused)
        reasons = [
            RefusedRow(line, refusal("timestamp", cells[row]))
            for row, line in zip(np.flatnonzero(other).tolist(), rows.lines[other].tolist(), strict=True)
        ]
        kept = Rows(columns, rows.lines, []).where(~other)
        return Rows(kept.columns, kept.lines, [*rows.refused, *reasons])
