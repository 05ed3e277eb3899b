"""The rows of a CSV file: physical lines in, lists of cells out, a chunk at a time and in bounded memory.

A row that cannot be cut into cells costs exactly the physical line it begins on: reading goes on with the
next line. So a quote that is opened and never closed does not swallow the rest of the file.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from typing import BinaryIO, Final

import numpy as np
from numpy.typing import NDArray

CHUNK_ROWS: Final = 5_000
MAX_CHUNK: Final = 1 << 23
"""Characters; a chunk of long rows ends here."""
MAX_ROW: Final = 1 << 20
"""Characters; a longer row is refused, and not kept in memory."""

BAD_QUOTES: Final = "a quote is opened and not closed, or stands inside a cell without being doubled"
CSV_REASONS: Final = {
    "unexpected end of data": BAD_QUOTES,
    "expected after": BAD_QUOTES,
    "field larger than field limit": "a cell is longer than 131072 characters; is a quote not closed?",
    "new-line character seen in unquoted field": "a carriage return stands inside a cell that is not quoted",
}
"""What Python's CSV reader says, in words that help."""


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that is not sent: the number of its first physical line, the header being line 1, and why."""

    line: int
    reason: str


@dataclass(frozen=True, slots=True)
class Rows:
    """Neighbouring rows, the line each began on, and what between them could not be cut into cells."""

    cells: list[list[str]]
    lines: NDArray[np.int64]
    refused: list[RefusedRow]


class CsvRows:
    """Cuts a file into rows of cells; blank lines are skipped.

    Bytes that are not UTF-8 come out as lone surrogates, for the caller to refuse the row that has them.
    `last_line` ends the reading after that physical line. The file is closed by `close`.
    """

    def __init__(self, file: BinaryIO, last_line: int | None = None) -> None:
        self._text = TextIOWrapper(file, encoding="utf-8", errors="surrogateescape", newline="\n")
        self._last_line = last_line
        self._read_lines = 0
        self._waiting: deque[str] = deque()
        self._taken: list[str] = []
        self._taken_size = 0

    @property
    def line(self) -> int:
        """How many physical lines belong to the rows so far."""
        return self._read_lines - len(self._waiting)

    @property
    def position_bytes(self) -> int:
        """How far the file has been read."""
        return self._text.buffer.tell()

    def close(self) -> None:
        """Closes the file."""
        self._text.close()

    def first(self) -> tuple[int, list[str]]:
        """The first row that is not blank, as it stands, and its line; (0, []) if there is none.

        Raises csv.Error if it cannot be cut into cells.
        """
        reader = csv.reader(self._take_lines(), strict=True)
        for cells in reader:
            if not _is_blank(cells):
                return self.line - len(self._taken) + 1, cells
            self._forget_taken()
        return 0, []

    def chunks(self, width: int) -> Iterator[Rows]:
        """All rows that are left, which shall have `width` cells each, a few thousand at a time."""
        while True:
            first_line = self.line + 1
            lines = self._next_lines(CHUNK_ROWS)
            if not lines:
                return
            yield _cut_simply(lines, first_line, width) or self._cut_carefully(lines, width)

    def _cut_carefully(self, lines: list[str], width: int) -> Rows:
        """The rows that begin in these lines, which may end in later ones, one row at a time."""
        self._waiting.extendleft(reversed(lines))
        last = self.line + len(lines)
        cells: list[list[str]] = []
        numbers: list[int] = []
        refused: list[RefusedRow] = []
        reader = csv.reader(self._take_lines(), strict=True)
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
                if len(row) == width:
                    cells.append(row)
                    numbers.append(number)
                    continue
                reason = f"expected {width} cells, as many as the header has, got {len(row)}"
            refused.append(RefusedRow(number, reason))
            # What follows the line of a broken row may well be good rows.
            self._waiting.extendleft(reversed(self._taken[1:]))
            reader = csv.reader(self._take_lines(), strict=True)
        return Rows(cells, np.array(numbers, np.int64), refused)

    def _take_lines(self) -> Iterator[str]:
        """One line after the other, remembered until the next row begins."""
        while lines := self._next_lines(1):
            self._taken += lines
            self._taken_size += len(lines[0])
            if self._taken_size > MAX_ROW:
                raise csv.Error(f"a row is longer than {MAX_ROW} characters; is a quote not closed?")
            yield lines[0]

    def _forget_taken(self) -> None:
        self._taken.clear()
        self._taken_size = 0

    def _next_lines(self, count: int) -> list[str]:
        """Up to `count` lines, those that wait first; fewer at the end, then none."""
        if self._waiting:
            waiting = self._waiting
            return [waiting.popleft() for _ in range(min(count, len(waiting)))]
        if self._last_line is not None:
            count = min(count, self._last_line - self._read_lines)
        readline = self._text.readline
        lines: list[str] = []
        size = 0
        while len(lines) < count and size < MAX_CHUNK and (line := readline(MAX_ROW + 1)):
            if len(line) > MAX_ROW and line[-1] != "\n":
                self._skip_line()
            lines.append(line)
            size += len(line)
        self._read_lines += len(lines)
        return lines

    def _skip_line(self) -> None:
        while (rest := self._text.readline(MAX_ROW)) and rest[-1] != "\n":
            pass


def _cut_simply(lines: list[str], first_line: int, width: int) -> Rows | None:
    """The rows of lines that are one good row each; None where any is not."""
    if max(map(len, lines)) > MAX_ROW:
        return None
    try:
        cells = list(csv.reader(lines, strict=True))
    except csv.Error:
        return None
    if len(cells) != len(lines) or set(map(len, cells)) != {width}:
        return None
    return Rows(cells, np.arange(first_line, first_line + len(lines), dtype=np.int64), [])


def _is_blank(cells: list[str]) -> bool:
    return len(cells) < 2 and not "".join(cells).strip()


def _reason(error: csv.Error) -> str:
    text = str(error)
    return next((reason for said, reason in CSV_REASONS.items() if said in text), text)
