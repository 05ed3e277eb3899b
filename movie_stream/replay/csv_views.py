"""Reading a CSV of views: a good row becomes a record of the topic, a bad one a line number and a reason."""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from itertools import compress
from pathlib import Path
from typing import BinaryIO, Final, Self

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import InputError
from movie_stream.replay.csv_cells import even_timestamps, timestamps
from movie_stream.replay.csv_header import BYTE_ORDER_MARK, Header, check_beginning, read_header
from movie_stream.replay.csv_parts import QuickRecords
from movie_stream.replay.csv_records import PlainRecords, ViewChunk
from movie_stream.replay.csv_rows import BAD_QUOTES, CsvRows, Rows
from movie_stream.replay.temporary import temporary_file

BUFFER_BYTES: Final = 1 << 18
HASHED_BYTES: Final = 1 << 22
"""As much of a file is hashed at once."""


class ViewsFile:
    """An open CSV of views, which can be read several times; use it in a `with`.

    Raises InputError where the file as a whole is not usable. A pipe is copied to a temporary file first.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = path
        self.position_bytes = 0
        """How far the file has been read this time."""
        self.line = 0
        """The same in physical lines."""
        self.now_ms = time.time_ns() // 1_000_000
        """What lies in the future is decided by this moment, so that it is the same each time the file is read."""
        self._file = _open(path)
        try:
            self.size_bytes = self._file.seek(0, os.SEEK_END)
            self._file.seek(0)
            head = self._file.read(BUFFER_BYTES)
            check_beginning(path, head)
            self._start = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
            self._header = self._read_header()
        except BaseException:
            self._file.close()
            raise
        self._records = QuickRecords(PlainRecords(self._header))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def chunks(self, future_tolerance_ms: int, last_line: int | None = None) -> Iterator[ViewChunk]:
        """The views of the whole file, or of its physical lines up to `last_line`.

        A view that lies more than `future_tolerance_ms` ahead of `now_ms` is refused, as the worker would.
        """
        for rows in self._rows(last_line):
            yield self._records.views(rows, self.now_ms, future_tolerance_ms)

    def times(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Timestamps (ms) and lines of the rows that have a whole number there, whatever else they have."""
        place = self._header.position["timestamp"]
        for rows in self._rows(None):
            cells, lines = rows.columns[place], rows.lines
            even = even_timestamps(cells)
            if even is not None:
                yield even, lines
                continue
            column = timestamps(cells)
            if not all(type(time_ms) is int for time_ms in column):
                whole = [type(time_ms) is int for time_ms in column]
                column, lines = list(compress(column, whole)), lines[whole]
            yield np.array(column, np.int64), lines

    def hashes(self) -> Iterator[str]:
        """The BLAKE2b hash of more and more of the file, last of its `size_bytes`."""
        made = blake2b(digest_size=16)
        with os.fdopen(os.dup(self._file.fileno()), "rb", 0) as own:
            own.seek(0)
            for start in range(0, self.size_bytes, HASHED_BYTES):
                made.update(own.read(min(HASHED_BYTES, self.size_bytes - start)))
                self.position_bytes = own.tell()
                yield made.hexdigest()

    def _read_header(self) -> Header:
        with closing(self._open_rows(None)) as rows:
            try:
                line, names = rows.first()
            except csv.Error as error:
                raise InputError(path=self.path, line=1, expected="a header line", got=BAD_QUOTES) from error
            return read_header(self.path, line, names)

    def _open_rows(self, last_line: int | None) -> CsvRows:
        own = os.fdopen(os.dup(self._file.fileno()), "rb", BUFFER_BYTES)
        own.seek(self._start)
        return CsvRows(own, last_line)

    def _rows(self, last_line: int | None) -> Iterator[Rows]:
        with closing(self._open_rows(last_line)) as rows:
            rows.first()
            for chunk in rows.chunks(self._header.width):
                self.position_bytes, self.line = rows.position_bytes, rows.line
                yield chunk
            self.line = rows.line


def _open(path: Path | str) -> BinaryIO:
    """The file, seekable; raises InputError where there is none to read."""
    try:
        file = Path(path).open("rb", BUFFER_BYTES)  # noqa: SIM115 - the caller closes it
    except FileNotFoundError as error:
        remedy = "check the path, or make a file up with: movie-stream generate --output FILE --count 100000"
        raise InputError(path=path, expected="a CSV file", got="no such file", remedy=remedy) from error
    except IsADirectoryError as error:
        remedy = "name a file inside it"
        raise InputError(path=path, expected="a CSV file", got="a directory", remedy=remedy) from error
    except OSError as error:
        raise InputError(path=path, expected="a readable CSV file", got=error.strerror or str(error)) from error
    if file.seekable():
        return file
    with file, temporary_file(path) as copy:
        shutil.copyfileobj(file, copy)
        copy.flush()
        return os.fdopen(os.dup(copy.fileno()), "rb", BUFFER_BYTES)
