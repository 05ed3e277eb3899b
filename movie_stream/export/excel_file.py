"""Writes Excel workbooks of one sheet: numbers as numbers, times as dates, and text always as text."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from movie_stream.errors import MovieStreamError
from movie_stream.export.arrow import ExtraMissing, odd
from movie_stream.export.columns import Column, Row, Rows

MOST_ROWS: Final = 1_048_576
"""The most rows of an Excel sheet, including the header."""
_LONGEST_TEXT: Final = 32_767
_WIDEST: Final = 60
_TIME_FORMAT: Final = "yyyy-mm-dd hh:mm:ss"
_TIME_WIDTH: Final = 20
_DAY_FORMAT: Final = "yyyy-mm-dd"
_LONGEST_NAME: Final = 31
_BUTTON_WIDTH: Final = 3
"""Characters for the filter's button beside a heading."""


class SheetFull(MovieStreamError):
    """There are more rows than a sheet of Excel can have.

    What to do: choose fewer rows, a file a day, or another format.

    >>> str(SheetFull(collection="movies_aggregates"))[:87]
    'movies_aggregates: a sheet of Excel has 1,048,576 rows at most, the header among them; '
    """

    def __init__(self, *, collection: str, rows: int | None = None) -> None:
        found = "" if rows is None else f", and these are {rows:,}"
        super().__init__(
            f"{collection}: a sheet of Excel has {MOST_ROWS:,} rows at most, the header among them{found}; "
            "choose fewer with --since and --until, a file a day with --by day, or another format (.csv, .parquet)"
        )


class ExcelFile:
    """Writes row by row, in constant memory: finished rows are in `scratch`, a folder that its owner removes.

    Raises ExtraMissing.
    """

    def __init__(self, file: BinaryIO, columns: Sequence[Column], *, name: str, scratch: Path) -> None:
        library = xlsxwriter()
        self._name, self._columns, self._at = name, columns, 0
        self._failed = library.exceptions.FileCreateError
        options = {"constant_memory": True, "remove_timezone": True, "tmpdir": str(scratch)}
        self._outlet = _Outlet(file)
        self._book = library.Workbook(self._outlet, options)
        self._book.use_zip64()
        self._time = self._book.add_format({"num_format": _TIME_FORMAT})
        self._day = self._book.add_format({"num_format": _DAY_FORMAT})
        self._sheet = self._book.add_worksheet(name[:_LONGEST_NAME])
        self._sheet.freeze_panes(1, 0)
        bold = self._book.add_format({"bold": True})
        headings = [f"{column.name} (UTC)" if column.kind == "time" else column.name for column in columns]
        for at, heading in enumerate(headings):
            self._sheet.write_string(0, at, heading, bold)
        self._widths = [len(heading) + _BUTTON_WIDTH for heading in headings]

    def write(self, rows: Rows) -> None:
        """Adds the rows. Raises SheetFull, and UnsupportedValue."""
        if self._at + len(rows) >= MOST_ROWS:
            raise SheetFull(collection=self._name)
        if not self._at:
            self._widen(rows)
        for row in rows:
            self._at += 1
            for at, column in enumerate(self._columns):
                if row[column.name] is not None:
                    self._write_cell(at, column, row)

    def finish(self) -> None:
        """Assembles the file."""
        for at, width in enumerate(self._widths):
            self._sheet.set_column(at, at, width)
        self._sheet.autofilter(0, 0, self._at, len(self._columns) - 1)
        try:
            self._book.close()
        except self._failed as error:
            raise error.args[0] from error  # an OSError

    def abandon(self) -> None:
        """Closes the files in `scratch` without flushing their buffers, since there may be no room."""
        self._outlet.forget()
        for file in (self._sheet.row_data_fh, self._sheet.fh):
            if file is not None and not file.closed:
                file.buffer.raw.close()

    def _write_cell(self, at: int, column: Column, row: Row) -> None:
        value: Any = row[column.name]
        match column.kind, value:
            case "time", datetime():
                self._sheet.write_datetime(self._at, at, value.astimezone(UTC), self._time)
            case "day", str() if (day := _day_of(value)) is not None:
                self._sheet.write_datetime(self._at, at, day, self._day)
            case (("count" | "number"), (int() | float())):
                self._sheet.write_number(self._at, at, value)
            case "text", str() if len(value) <= _LONGEST_TEXT:
                self._sheet.write_string(self._at, at, value)  # never as a formula, a number or a link
            case _:
                raise odd(row, column.name, column.kind)

    def _widen(self, rows: Rows) -> None:
        """Widens the columns to fit the first rows."""
        for at, column in enumerate(self._columns):
            needed = [_TIME_WIDTH] if column.kind == "time" else [_width(row[column.name]) for row in rows]
            self._widths[at] = min(max(self._widths[at], *needed, 0), _WIDEST)


def _day_of(text: str) -> datetime | None:
    """The day as midnight; None if the text is not a day."""
    try:
        return datetime.strptime(text, "%Y-%m-%d")
    except ValueError:
        return None


def xlsxwriter() -> Any:
    """The library, with its exceptions. Raises ExtraMissing."""
    try:
        import xlsxwriter
        import xlsxwriter.exceptions
    except ImportError as error:
        raise ExtraMissing(what="Excel files", library="xlsxwriter", extra="xlsx") from error
    return xlsxwriter


class _Outlet:
    """Wraps the file for the library, whose archive writes its end when garbage-collected, even after a failure."""

    def __init__(self, file: BinaryIO) -> None:
        self._file: BinaryIO | None = file
        self._at = 0

    def forget(self) -> None:
        """Discards all further writes."""
        self._file = None

    def write(self, data: bytes) -> int:
        self._at += len(data)
        return len(data) if self._file is None else self._file.write(data)

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int) -> int:
        self._at = offset
        return offset if self._file is None else self._file.seek(offset)

    def flush(self) -> None:
        if self._file is not None:
            self._file.flush()


def _width(value: object) -> int:
    """The width of a value in characters; East Asian ones count twice."""
    if isinstance(value, float):
        return len(f"{value:.2f}")
    text = "" if value is None else str(value)[:_WIDEST]
    return len(text) + sum(unicodedata.east_asian_width(character) in "WF" for character in text) + 1
