"""Reading a CSV of views: a good row becomes a record of the topic, a bad one a line number and a reason.

Whether a row is good is decided by `movie_stream.event.decode` on the finished records, the very function
that the worker uses; here only what JSON cannot express is refused: a text where a number belongs, and bytes
that are not UTF-8.
"""

from __future__ import annotations

import csv
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from hashlib import blake2b
from itertools import compress
from pathlib import Path
from typing import Any, BinaryIO, Final, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import InputError
from movie_stream.event import decode
from movie_stream.replay.csv_cells import NO_NUMBER, Numbers, parse_decimal, parse_whole, refusal, timestamps
from movie_stream.replay.csv_header import BYTE_ORDER_MARK, Header, check_beginning, read_header
from movie_stream.replay.csv_rows import BAD_QUOTES, CsvRows, RefusedRow, Rows
from movie_stream.replay.temporary import temporary_file

TEXTS: Final = ("movie_id", "title", "genre", "user_id")
BUFFER_BYTES: Final = 1 << 18
HASHED_BYTES: Final = 1 << 22
"""As much of a file is hashed at once."""


class Record(msgspec.Struct, omit_defaults=True, gc=False):
    """A view as it is written to the topic; what is null is left out."""

    movie_id: str
    title: str
    genre: str
    user_id: str
    timestamp: int
    rating: float | None = None
    duration: int | None = None
    price: float | None = None


ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class ViewChunk:
    """Some thousand rows: the good ones as records, in columns of equal length, and the refused ones."""

    keys: list[bytes]
    """The users, as the records' keys."""
    values: list[bytes]
    timestamp_ms: NDArray[np.int64]
    lines: NDArray[np.int64]
    """The first physical line of each row; the header stands in line 1."""
    refused: list[RefusedRow]

    def __len__(self) -> int:
        return len(self.keys)


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
        self._numbers = {
            "rating": Numbers(parse_decimal),
            "duration": Numbers(parse_whole),
            "price": Numbers(parse_decimal),
        }

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
            yield self._views(rows, future_tolerance_ms)

    def times(self) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
        """Timestamps (ms) and lines of the rows that have a whole number there, whatever else they have."""
        place = self._header.position["timestamp"]
        for rows in self._rows(None):
            column = timestamps([row[place] for row in rows.cells])
            lines = rows.lines
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

    def _views(self, rows: Rows, future_tolerance_ms: int) -> ViewChunk:
        """The records of these rows, and why the others are none."""
        columns, refused = self._columns(rows)
        kept = np.arange(len(rows.cells))
        if refused:
            kept = np.delete(kept, list(refused))
            columns = [_pick(column, kept) for column in columns]
        values, not_utf8 = _encode(columns)
        if not_utf8:
            refused |= {int(kept[row]): reason for row, reason in not_utf8.items()}
            kept = np.delete(kept, list(not_utf8))
        decoded = decode(values, np.full(len(values), self.now_ms, np.int64), future_tolerance_ms)
        if decoded.refusals:
            refused |= {int(kept[refusal.index]): refusal.reason for refusal in decoded.refusals}
            kept = kept[decoded.views.index]
            values = _pick(values, decoded.views.index)
        reasons = [RefusedRow(int(rows.lines[row]), reason) for row, reason in refused.items()]
        return ViewChunk(
            [user_id.encode() for user_id in decoded.views.user_id],
            values,
            decoded.views.timestamp_ms,
            rows.lines[kept],
            sorted(rows.refused + reasons, key=lambda row: row.line),
        )

    def _columns(self, rows: Rows) -> tuple[list[Sequence[Any]], dict[int, str]]:
        """The cells as the fields of `Record`, and by the row why one of its cells cannot be used."""
        raw = list(zip(*rows.cells, strict=True)) or [()] * self._header.width
        columns: list[Sequence[Any]] = []
        refused: dict[int, str] = {}
        for field in Record.__struct_fields__:
            place = self._header.position.get(field)
            if place is None:
                columns.append([None] * len(rows.cells))
                continue
            cells: Sequence[str] = raw[place]
            column: Sequence[Any] = cells
            unusable: Sequence[object] = [""]
            if field == "timestamp":
                column, unusable = timestamps(cells), [None, NO_NUMBER]
            elif field in self._numbers:
                column, unusable = self._numbers[field].column(cells), [NO_NUMBER]
            columns.append(column)
            if any(value in column for value in unusable):
                for row, value in enumerate(column):
                    if value in unusable:
                        refused.setdefault(row, refusal(field, cells[row]))
        return columns, refused


def picked(chunk: ViewChunk, rows: NDArray[np.intp]) -> ViewChunk:
    """Those of the good rows alone."""
    keys, values = _pick(chunk.keys, rows), _pick(chunk.values, rows)
    return ViewChunk(keys, values, chunk.timestamp_ms[rows], chunk.lines[rows], [])


def _pick(column: Sequence[Any], rows: NDArray[np.intp]) -> list[Any]:
    return [column[row] for row in rows.tolist()]


def _encode(columns: list[Sequence[Any]]) -> tuple[list[bytes], dict[int, str]]:
    """The records as JSON, without those that are not UTF-8, and by the row the reason why these are not."""
    records = list(map(Record, *columns))
    try:
        return ENCODER.encode_lines(records).split(b"\n")[: len(records)], {}
    except UnicodeEncodeError:
        values: list[bytes] = []
        refused: dict[int, str] = {}
        for row, record in enumerate(records):
            try:
                values.append(ENCODER.encode(record))
            except UnicodeEncodeError:
                refused[row] = _not_utf8(record)
        return values, refused


def _not_utf8(record: Record) -> str:
    """Names the first byte that is not UTF-8; the reading left it as a lone surrogate."""
    field, byte = next(
        (field, ord(char) - 0xDC00)
        for field in TEXTS
        for char in getattr(record, field)
        if "\udc80" <= char <= "\udcff"
    )
    return f"{field}: not UTF-8 (byte 0x{byte:02x}); save the file as UTF-8"


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
