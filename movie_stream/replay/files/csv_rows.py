"""Parses the rows of a CSV file: physical lines in, columns of cells out, a chunk at a time and in bounded memory.

Most chunks have one row per line and are split by a kernel. A chunk in which a line is not a row is parsed row by row
by Python's CSV reader, with the same result.

A row that cannot be parsed costs exactly the physical line it begins on: parsing resumes at the next line, so a quote
that is never closed does not swallow the rest of the file.

pyarrow's reader was considered and rejected: it accepts stray and unclosed quotes and silently drops blank lines, so
each chunk would have to be checked all the same. Some 60 lines fewer would cost a dependency of over 100 MB.
"""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from itertools import compress
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import PAD, Spans, joined
from movie_stream.kernels.compiled import COMPILED
from movie_stream.kernels.csv_rows import NO_ROWS, split_rows, undouble_quotes
from movie_stream.replay.files.cells import HALVES, Cells
from movie_stream.replay.files.encodings import ODD, UTF8

CHUNK: Final = 1 << 19
"""Bytes (characters, of another encoding than UTF-8), rounded up to whole lines: batches of some size, and about as
much as the processor's cache holds."""
EXAMPLE_CHARACTERS: Final = 1 << 15
"""Characters of lines with undecodable bytes that are kept as a sample for detecting the encoding."""
MAX_LINE_SHOWN: Final = 1 << 10
MAX_ROW: Final = 1 << 20
"""Characters; a longer row is refused and not kept in memory."""
MOST_BYTES: Final = 4
"""Of a character in UTF-8."""

ODD_BYTE: Final = re.compile("[\udc00\udc80-\udcff]")
"""The placeholder for a byte that is invalid in the encoding."""
WIDE_CHARACTER: Final = re.compile("[\x80-\ud7ff\ue000-\U0010ffff]")

ZEROS: Final = "rows with bytes of zero, read without them"
CELLS_MISSING: Final = "rows with too few cells, taken as empty ones at the end"
CELLS_TOO_MANY: Final = "rows with empty cells too many at the end"
"""The repairs."""

LONGEST_CELL: Final = csv.field_size_limit()
"""Characters."""

BAD_QUOTES: Final = "a quote is opened and not closed, or stands inside a cell without being doubled"
CSV_REASONS: Final = {
    "unexpected end of data": BAD_QUOTES,
    "expected after": BAD_QUOTES,
    "field larger than field limit": "a cell is longer than 131072 characters; is a quote not closed?",
    "new-line character seen in unquoted field": "a carriage return stands inside a cell that is not quoted",
}
"""Messages of Python's CSV reader, and the reasons reported instead."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not sent: the number of its first physical line (the header is line 1), and the reason."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Consecutive rows, the line each begins on, and the refused rows among them."""

    columns: Sequence[Sequence[str]]
    """As many columns as the header has, each with one cell per row."""
    lines: NDArray[np.int64]
    refused: list[RefusedRow]

    def __len__(self) -> int:
        return len(self.lines)

    def where(self, keep: NDArray[np.bool_]) -> Rows:
        """The rows at which `keep` is true, without the refused ones."""
        kept = keep.tolist()
        columns = [
            column.where(keep) if isinstance(column, Cells) else list(compress(column, kept)) for column in self.columns
        ]
        return Rows(columns, self.lines[keep], [])

    def without(self, drop: Sequence[bool]) -> Rows:
        """The rows at which `drop` is false, with the refused ones."""
        kept = self.where(~np.array(drop, np.bool_))
        return Rows(kept.columns, kept.lines, self.refused)


class CsvRows:
    """Parses a file into rows of cells, skipping blank lines.

    Bytes that are invalid in the encoding become lone surrogates, so that the caller can refuse their row. Reading ends
    after the physical line `last_line`. If the delimiter is `declared`, the first line declares it and is not a row.
    `close` closes the file.
    """

    def __init__(
        self,
        file: BinaryIO,
        last_line: int | None = None,
        encoding: str = UTF8,
        delimiter: str = ",",
        *,
        declared: bool = False,
    ) -> None:
        self.mended: Counter[str] = Counter()
        """The repairs made, and how often."""
        self.odd_bytes = self.wide_characters = 0
        """Bytes so far that are invalid in the encoding, and roughly the characters so far that are not ASCII."""
        self.odd_lines = ""
        """The first lines with such bytes, as a sample."""
        self._delimiter = delimiter
        self._declared = declared
        self._file = file if encoding == UTF8 else _InUtf8(file, encoding)
        self._errors = "surrogateescape" if encoding == UTF8 else HALVES
        self._last_line = last_line
        self._read_lines = 0
        self._waiting: deque[bytes] = deque()
        self._taken: list[bytes] = []
        self._taken_size = 0

    @property
    def line(self) -> int:
        """How many physical lines belong to the rows so far."""
        return self._read_lines - len(self._waiting)

    @property
    def position_bytes(self) -> int:
        """The number of bytes read."""
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def first(self) -> tuple[int, list[str]]:
        """The first row that is not blank, unchanged, and its line; (0, []) if there is none.

        Raises csv.Error if it cannot be parsed.
        """
        if self._declared:
            self._next_line()
        reader = csv.reader(self._take_lines(), strict=True, delimiter=self._delimiter)
        for cells in reader:
            if not _is_blank(cells):
                return self.line - len(self._taken) + 1, cells
            self._forget_taken()
        return 0, []

    def chunks(self, width: int, least: int | None = None) -> Iterator[Rows]:
        """All remaining rows, a few thousand at a time, each with `width` cells.

        Empty cells beyond that are dropped; a row with at least `least` cells is padded with empty ones.
        """
        while True:
            first_line = self.line + 1
            data = self._next_lines()
            if not data:
                return
            columns = _split(self._delimiter, data, width)
            if columns:
                lines = np.arange(first_line, first_line + len(columns[0]), dtype=np.int64)
                yield Rows(columns, lines, [])
            else:
                yield self._parse_row_by_row(data, width, width if least is None else least)

    def _parse_row_by_row(self, data: bytes, width: int, least: int) -> Rows:
        """Parses the rows that begin in these lines, one at a time; they may end in later lines."""
        last = self.line
        self._waiting.extend(_lines(data))
        cells: list[list[str]] = []
        numbers: list[int] = []
        refused: list[RefusedRow] = []
        reader = csv.reader(self._take_lines(), strict=True, delimiter=self._delimiter)
        while self.line < last:
            number = self.line + 1
            self._forget_taken()
            try:
                row = next(reader)
            except csv.Error as error:
                reason = _reason(error)
            except StopIteration:
                break
            else:
                if _is_blank(row):
                    continue
                if len(row) != width:
                    row = self._fitted(row, width, least)
                if len(row) == width:
                    cells.append(row)
                    numbers.append(number)
                    continue
                reason = f"expected {width} cells, as many as the header has, got {len(row)}"
            refused.append(RefusedRow(number, reason))
            # The lines after the first one of a broken row may well be good rows.
            self._waiting.extendleft(reversed(self._taken[1:]))
            reader = csv.reader(self._take_lines(), strict=True, delimiter=self._delimiter)
        columns = list(zip(*cells, strict=True)) or [()] * width
        return Rows(columns, np.array(numbers, np.int64), refused)

    def _fitted(self, row: list[str], width: int, least: int) -> list[str]:
        """The row padded or trimmed to `width` cells, if that is unambiguous."""
        if least <= len(row) < width:
            self.mended[CELLS_MISSING] += 1
            return row + [""] * (width - len(row))
        if len(row) > width and not "".join(row[width:]).strip():
            self.mended[CELLS_TOO_MANY] += 1
            return row[:width]
        return row

    def _take_lines(self) -> Iterator[str]:
        """Yields the next lines, and keeps them until the next row begins."""
        while line := self._next_line():
            text = line.decode(UTF8, HALVES)
            self._taken.append(line)
            self._taken_size += len(text)
            if self._taken_size > MAX_ROW:
                raise csv.Error(f"a row is longer than {MAX_ROW} characters; is a quote not closed?")
            yield text

    def _forget_taken(self) -> None:
        self._taken.clear()
        self._taken_size = 0

    def _next_lines(self) -> bytes:
        """The next whole lines: all waiting ones, else about CHUNK bytes; none at the end."""
        if self._waiting:
            data = b"".join(self._waiting)
            self._waiting.clear()
            return data
        if self._read_lines == self._last_line:
            return b""
        data = self._file.read(CHUNK)
        if data and not data.endswith(b"\n"):
            begun = data.rfind(b"\n") + 1
            data = data[:begun] + self._whole_line(data[begun:])
        read = data.count(b"\n") + (data[-1:] not in (b"", b"\n"))
        if self._last_line is not None and self._read_lines + read > self._last_line:
            read = self._last_line - self._read_lines
            data = b"".join(_lines(data)[:read])
        self._read_lines += read
        return self._cleaned(data)

    def _next_line(self) -> bytes:
        """The next line, waiting ones first; none at the end."""
        if self._waiting:
            return self._waiting.popleft()
        if self._read_lines == self._last_line:
            return b""
        line = self._whole_line(b"")
        self._read_lines += bool(line)
        return self._cleaned(line)

    def _cleaned(self, data: bytes) -> bytes:
        """The lines without zero bytes in rows, and with halves for invalid bytes; counts characters by kind."""
        if not data.isascii():
            try:
                data.decode()  # many times as fast as a search
            except UnicodeDecodeError:
                data = self._with_halves(data)
            else:
                self.wide_characters += 1  # few or many: the text is UTF-8
        return b"".join(map(self._without_zeros, _lines(data))) if b"\0" in data else data

    def _with_halves(self, data: bytes) -> bytes:
        """The lines with halves for invalid bytes; counts these, and the other characters exactly."""
        text = data.decode(UTF8, self._errors)
        self.odd_bytes += len(ODD_BYTE.findall(text))
        self.wide_characters += len(WIDE_CHARACTER.findall(text))
        if len(self.odd_lines) < EXAMPLE_CHARACTERS:
            lines = (line + "\n" for line in text.removesuffix("\n").split("\n"))
            odd = "".join(line[:MAX_LINE_SHOWN] for line in lines if ODD_BYTE.search(line))
            self.odd_lines += odd[:EXAMPLE_CHARACTERS]
        return text.encode(UTF8, HALVES)

    def _without_zeros(self, line: bytes) -> bytes:
        """The line without zero bytes, unless it has nothing else or is too long to be a row."""
        if b"\0" not in line or len(line) > MAX_ROW or not line.strip(b"\0\r\n"):
            return line
        self.mended[ZEROS] += 1
        return line.replace(b"\0", b"")

    def _whole_line(self, begun: bytes) -> bytes:
        """The whole line that begins with `begun`, which was read already; truncated somewhere beyond MAX_ROW."""
        most = MOST_BYTES * MAX_ROW
        line = begun + self._file.readline(most + 1)
        if len(line) > most and not line.endswith(b"\n"):
            self._skip_line()
            return line + b"\n"
        return line

    def _skip_line(self) -> None:
        while (rest := self._file.readline(MAX_ROW)) and not rest.endswith(b"\n"):
            pass


class _InUtf8:
    """A file in another encoding, read as UTF-8, with half a surrogate pair for what is invalid in its encoding."""

    def __init__(self, file: BinaryIO, encoding: str) -> None:
        self._text = TextIOWrapper(file, encoding=encoding, errors=ODD, newline="\n")

    def read(self, characters: int) -> bytes:
        return self._text.read(characters).encode(UTF8, HALVES)

    def readline(self, most_characters: int) -> bytes:
        return self._text.readline(most_characters).encode(UTF8, HALVES)

    def tell(self) -> int:
        """How many bytes of the file were read."""
        return self._text.buffer.tell()

    def close(self) -> None:
        self._text.close()


def _lines(data: bytes) -> list[bytes]:
    """The physical lines, each with its line feed; nothing else ends a line."""
    return list(BytesIO(data))


def _split(delimiter: str, data: bytes, width: int) -> list[Cells] | None:
    """The columns, if each line is certainly a good row, and kernels are compiled; else None."""
    if not (COMPILED and delimiter.isascii()):
        return None
    text = joined([data] if data.endswith(b"\n") else [data, b"\n"])
    end = len(text) - len(PAD)
    most = np.count_nonzero(text == ord("\n"))
    begins, lengths = np.empty((2, width, most), np.int64)
    doubled, ends_cell = np.empty(most, np.bool_), np.zeros(256, np.bool_)
    ends_cell[[ord(char) for char in f"{delimiter}\r\n"]] = True
    rows = split_rows(text, len(PAD), end, ends_cell, LONGEST_CELL, begins, lengths, doubled)
    if rows == NO_ROWS:
        return None
    if doubled.any():
        text = text.copy()
        undouble_quotes(text, np.flatnonzero(doubled), begins, lengths)
    return [Cells(Spans(text, begins[column], lengths[column])) for column in range(width)]


def _is_blank(cells: list[str]) -> bool:
    return len(cells) < 2 and not "".join(cells).strip()


def _reason(error: csv.Error) -> str:
    text = str(error)
    return next((reason for part, reason in CSV_REASONS.items() if part in text), text)
