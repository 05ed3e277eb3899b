"""The interface of a file of rows in any file format: column names, and rows of cells as text."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.files.source_file import SourceFile

HASHED_BYTES: Final = 1 << 22
"""Bytes of a file that are hashed in one step."""
NO_TEXTS: Final = {bool: "true or false", list: "a list", dict: "an object"}
"""Types of JSON and Parquet that are never accepted as text, and their names in errors."""


class TableRows(Protocol):
    """One pass over the rows."""

    mended: Counter[str]
    """The repairs made, and how often."""

    @property
    def line(self) -> int:
        """How many physical lines belong to the rows so far."""

    @property
    def position_bytes(self) -> int:
        """The number of bytes read."""

    def chunks(self, width: int, least: int | None = None) -> Iterator[Rows]:
        """All rows, a few thousand at a time; each as wide as the header."""

    def close(self) -> None:
        """Closes the file."""


class Table(Protocol):
    """An open file of rows."""

    opened: SourceFile
    path: Path | str
    line: int
    """The line number of the header."""
    names: list[str]
    """The names of the columns; callers may replace them."""
    written_names: list[str]
    """The names as written in the file."""
    texts: Collection[str]
    """The names of columns that must hold text, or numbers that can be written as text."""
    size_bytes: int
    kind: str
    """A description for messages; empty for a CSV."""

    def below_header(self, last_line: int | None = None) -> TableRows:
        """The rows, up to the physical line `last_line`."""

    def settle(self, rows: TableRows) -> bool:
        """Whether the file must be read a second time in another encoding; called when its rows were read to the end.

        Raises FileRefused if that encoding is uncertain.
        """

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """The number of bytes read so far, and the hash of `first` and these; the last item covers the whole file."""

    def close(self) -> None:
        """Closes the file."""


def hashes(file: BinaryIO, size_bytes: int, first: bytes) -> Iterator[tuple[int, str]]:
    """The number of bytes read so far, and the BLAKE2b hash of `first` and these; the last item covers the file."""
    made = blake2b(first, digest_size=16)
    with os.fdopen(os.dup(file.fileno()), "rb", 0) as own:
        own.seek(0)
        for start in range(0, size_bytes, HASHED_BYTES):
            made.update(own.read(min(HASHED_BYTES, size_bytes - start)))
            yield own.tell(), made.hexdigest()


def text_values(
    names: Sequence[str], texts: Collection[str], columns: Sequence[list[object]], lines: NDArray[np.int64]
) -> tuple[list[list[object]], NDArray[np.int64], list[RefusedRow]]:
    """The columns and lines without the rows that have something other than text in a column of `texts`.

    Whole numbers lose the fraction that they have in a column with gaps (7.0).

    >>> columns, lines, refused = text_values(["id", "genre"], {"id", "genre"}, [[7.0, 8], ["War", []]], np.arange(2))
    >>> columns, refused
    ([[7], ['War']], [RefusedRow(line=1, reason='genre: expected a string, got a list')])
    """
    found = list(columns)
    reasons: dict[int, str] = {}
    for position in (position for position, name in enumerate(names) if name in texts):
        kinds = set(map(type, found[position]))
        if float in kinds:
            found[position] = [_whole(value) for value in found[position]]
        if not kinds.isdisjoint(NO_TEXTS):
            for row, value in enumerate(found[position]):
                if type(value) in NO_TEXTS:
                    reasons.setdefault(row, f"{names[position]}: expected a string, got {NO_TEXTS[type(value)]}")
    if not reasons:
        return found, lines, []
    refused = [RefusedRow(int(lines[row]), reason) for row, reason in sorted(reasons.items())]
    kept = [row for row in range(len(lines)) if row not in reasons]
    return [[column[row] for row in kept] for column in found], lines[kept], refused


def _whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def settled(table: Table) -> None:
    """Reads the file once to find its encoding."""
    with closing(table.below_header()) as rows:
        for _ in rows.chunks(len(table.names)):
            pass
        table.settle(rows)


def whole(table: Table, mended: Counter[str]) -> Iterator[Rows]:
    """All rows of the file; adds to `mended` at the end."""
    settled(table)
    with closing(table.below_header()) as rows:
        yield from rows.chunks(len(table.names))
        mended.update(rows.mended)
