"""CSV and lines of JSON, packed where that is asked for."""

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
    """RFC 4180 in UTF-8 with a header; times as RFC 3339 has them, in UTC; null is an empty cell."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column], *, bom: bool = False) -> None:
        """With `bom`, a byte order mark stands before all, by which Excel knows UTF-8."""
        self._file = file
        self._names = [column.name for column in columns]
        self._header = csv_of(self._names, [])
        file.write(BOM * bom + self._header)

    def write(self, rows: Rows) -> None:
        """Adds the rows."""
        lines = csv_of(self._names, ({name: _written(row[name]) for name in self._names} for row in rows))
        self._file.write(memoryview(lines)[len(self._header) :])

    def finish(self) -> None:
        """Nothing is left to write."""


class LinesFile:
    """A JSON object a line, with the columns in their order; times as RFC 3339 has them, in UTC."""

    def __init__(self, file: BinaryIO, columns: Sequence[Column]) -> None:
        self._file, self._names = file, [column.name for column in columns]

    def write(self, rows: Rows) -> None:
        """Adds the rows."""
        self._file.write(b"".join(json_of({name: _written(row[name]) for name in self._names}) + b"\n" for row in rows))

    def finish(self) -> None:
        """Nothing is left to write."""


def _written(value: Any) -> Any:
    """A time always with its milliseconds: programs that guess a column's format want one for all of it.

    >>> _written(datetime(2024, 10, 31, 14, 30, tzinfo=UTC))
    '2024-10-31T14:30:00.000Z'
    """
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    return value


@contextmanager
def packed(file: BinaryIO, packing: Packing) -> Iterator[BinaryIO]:
    """A file that compresses what is written, and is complete after the block."""
    match packing:
        case ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as gz:
                yield cast(BinaryIO, gz)
        case ".zst":
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as zst:
                yield cast(BinaryIO, zst)
        case _:
            yield file
