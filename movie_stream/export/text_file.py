"""Writes CSV and JSON Lines, optionally compressed."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, BinaryIO, Final, cast

import zstandard

from movie_stream.export.columns import Column, Rows
from movie_stream.export.target import Packing
from movie_stream.mongo.written import csv_of, json_of

BOM: Final = "\ufeff".encode()


class CsvFile:
    """Writes CSV by RFC 4180 in UTF-8 with a header; times as in RFC 3339, in UTC; null is an empty cell."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column], *, bom: bool = False) -> None:
        """With `bom`, the file begins with a byte order mark, by which Excel recognises UTF-8."""
        self._file = file
        self._names = [column.name for column in columns]
        self._header = csv_of(self._names, [])
        file.write(BOM * bom + self._header)

    def write(self, rows: Rows) -> None:
        """Adds the rows."""
        lines = csv_of(self._names, ({name: _written(row[name]) for name in self._names} for row in rows))
        self._file.write(memoryview(lines)[len(self._header) :])

    def finish(self) -> None:
        """Does nothing: all rows are written already."""


class LinesFile:
    """Writes one JSON object per line, with the columns in order; times as in RFC 3339, in UTC."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._file, self._names = file, [column.name for column in columns]

    def write(self, rows: Rows) -> None:
        """Adds the rows."""
        self._file.write(b"".join(json_of({name: _written(row[name]) for name in self._names}) + b"\n" for row in rows))

    def finish(self) -> None:
        """Does nothing: all rows are written already."""


def _written(value: Any) -> Any:
    """A value as written; a time always has milliseconds, since programs that guess formats expect one per column.

    >>> _written(datetime(2024, 10, 31, 14, 30, tzinfo=UTC))
    '2024-10-31T14:30:00.000Z'
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return value


@contextmanager
def packed(file: BinaryIO, packing: Packing) -> Iterator[BinaryIO]:
    """A file that compresses its content, and is complete after the block."""
    match packing:
        case ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as gz:
                yield cast(BinaryIO, gz)
        case ".zst":
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as zst:
                yield cast(BinaryIO, zst)
        case _:
            yield file
