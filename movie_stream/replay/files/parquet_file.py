"""Parquet, as the rows of a table with cells of text. Needs pyarrow, an extra."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np

from movie_stream.errors import InputError, MovieStreamError
from movie_stream.replay.files.csv_rows import Rows
from movie_stream.replay.files.source_file import BUFFER_BYTES, SourceFile
from movie_stream.replay.files.table import TableRows, hashes, text_values

MAGIC: Final = b"PAR1"
ROWS_AT_ONCE: Final = 10_000


class ParquetMissing(MovieStreamError):
    """pyarrow, which reads and writes Parquet, is not installed.

    What to do: install the extra `parquet`, or use CSV or lines of JSON.

    >>> print(ParquetMissing(path="views.parquet"))
    views.parquet: Parquet takes pyarrow, which is not installed: pip install 'movie-stream[parquet]'
    """

    def __init__(self, *, path: object) -> None:
        super().__init__(f"{path}: Parquet takes pyarrow, which is not installed: pip install 'movie-stream[parquet]'")


def pyarrow_for(path: object) -> Any:
    """The library, with its `parquet` module. Raises ParquetMissing."""
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError as error:
        raise ParquetMissing(path=path) from error
    return pyarrow


class ParquetFile:
    """Owns the opened file. Raises InputError, and closes the file, if it is unusable as a whole."""

    kind = ", in Parquet"

    def __init__(self, opened: SourceFile) -> None:
        self.opened, self.path, self.line = opened, opened.path, 1
        try:
            self._pyarrow = pyarrow_for(opened.path)
            self.size_bytes: int = opened.file.seek(0, os.SEEK_END)
            with self._own() as own:
                found = self._read(own)
                self.names: list[str] = [str(name) for name in found.schema_arrow.names]
                self.rows: int = found.metadata.num_rows
        except BaseException:
            opened.close()
            raise
        self.written_names = list(self.names)
        self.texts: Collection[str] = ()

    def _own(self) -> BinaryIO:
        return os.fdopen(os.dup(self.opened.file.fileno()), "rb", BUFFER_BYTES)

    def _read(self, own: BinaryIO) -> Any:
        own.seek(0)
        try:
            return self._pyarrow.parquet.ParquetFile(own)
        except (self._pyarrow.ArrowException, OSError) as error:
            raise _damaged(self.path, error) from error

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()

    def below_header(self, last_line: int | None = None) -> ParquetRows:
        """The rows; the line of a row is its number."""
        own = self._own()
        try:
            return ParquetRows(self, own, self._read(own), self._pyarrow, last_line)
        except BaseException:
            own.close()
            raise

    def settle(self, rows: TableRows) -> bool:
        """False, since Parquet's texts are UTF-8."""
        return False

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """The number of bytes read so far, and the hash of `first` and these; the last item covers the whole file."""
        return hashes(self.opened.file, self.size_bytes, first)


class ParquetRows:
    """Reads the rows, some thousands at a time."""

    def __init__(self, file: ParquetFile, own: BinaryIO, found: Any, pyarrow: Any, last_line: int | None) -> None:
        self.mended: Counter[str] = Counter()
        self.line = 0
        self._file, self._own, self._found, self._pyarrow, self._last_line = file, own, found, pyarrow, last_line

    @property
    def position_bytes(self) -> int:
        """An estimate in proportion to the rows read."""
        return self._file.size_bytes * self.line // max(self._file.rows, 1)

    def close(self) -> None:
        """Closes the file."""
        self._own.close()

    def chunks(self, width: int, least: int | None = None) -> Iterator[Rows]:
        """All rows."""
        batches = self._found.iter_batches(batch_size=ROWS_AT_ONCE)
        while self._last_line is None or self.line < self._last_line:
            try:
                batch = next(batches, None)
            except (self._pyarrow.ArrowException, OSError) as error:
                raise _damaged(self._file.path, error) from error
            if batch is None:
                return
            rows = batch.num_rows if self._last_line is None else min(batch.num_rows, self._last_line - self.line)
            batch = batch.slice(0, rows)
            lines = np.arange(self.line + 1, self.line + rows + 1, dtype=np.int64)
            self.line += rows
            values = list(map(self._values, batch.columns))
            values, lines, refused = text_values(self._file.names, self._file.texts, values, lines)
            yield Rows([list(map(_cell, column)) for column in values], lines, refused)

    def _values(self, column: Any) -> list[object]:
        """The values; times as Unix milliseconds."""
        types = self._pyarrow.types
        if types.is_date(column.type):
            column = column.cast(self._pyarrow.timestamp("ms"))
        if types.is_timestamp(column.type):
            milliseconds = self._pyarrow.timestamp("ms", column.type.tz)
            column = column.cast(milliseconds, safe=False).cast(self._pyarrow.int64())
        values: list[object] = column.to_pylist()
        return values


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bytes():
            return value.decode("utf-8", "surrogateescape")
        case float():
            return "" if value != value else repr(value)  # pandas writes a missing value as NaN
        case bool() | list() | dict():
            return msgspec.json.encode(value, enc_hook=str).decode()
        case _:
            return str(value)


def _damaged(path: object, error: Exception) -> InputError:
    return InputError(path=path, expected="a whole Parquet file", got=str(error)[:200], remedy="get it again")
