"""Reading a file of views: a good row becomes a record of the topic, a bad one a line number and a reason."""

from __future__ import annotations

import csv
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from hashlib import blake2b
from pathlib import Path
from typing import Final, Self

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.csv_cells import even_timestamps, in_milliseconds
from movie_stream.replay.csv_header import BYTE_ORDER_MARK, check_beginning, read_header
from movie_stream.replay.csv_rows import BAD_QUOTES, UTF8, CsvRows, Rows
from movie_stream.replay.formats import FORMATS, named, recognised
from movie_stream.replay.formats.format import Format, ViewsFormat
from movie_stream.replay.formats.native import Native
from movie_stream.replay.opened import BUFFER_BYTES, Archive, Told, opened
from movie_stream.replay.views import Views

HASHED_BYTES: Final = 1 << 22
"""As much of a file is hashed at once."""
MILLISECOND_DIGITS: Final = 13
OFFICE: Final = "[Content_Types].xml"
"""In each such document, which are zip archives."""
OTHER_ENCODING: Final = "file in Windows-1252 or Latin-1 instead of UTF-8"
WINDOWS: Final = "cp1252"
HEADERS: Final = "headers in the middle, which are left out"


class CsvFile:
    """An open CSV and its header; of which format it is tell the names in that.

    Raises InputError where the file as a whole is not usable, UsageError where `wanted` is no format or `member` not
    in the archive.
    """

    def __init__(
        self, path: Path | str, wanted: str | None = None, member: str | None = None, told: Told | None = None
    ) -> None:
        if wanted is not None and named(wanted) is None:
            raise UsageError(argument="--format", expected=", ".join(kind.name for kind in FORMATS), got=wanted)
        choose = _chooser(member)
        self.opened = opened(path, choose, told) if told else opened(path, choose)
        try:
            self.path = self.opened.path
            file = self.opened.file
            self.size_bytes = file.seek(0, os.SEEK_END)
            file.seek(0)
            head = file.read(BUFFER_BYTES)
            check_beginning(self.path, head)
            self._start = len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0
            self.line, self.names = self._first()
            self.kind = self._kind(wanted)
        except BaseException:
            self.opened.close()
            raise

    @property
    def what(self) -> str:
        """What it is, for people."""
        return f"{self.kind.title} (format {self.kind.name})"

    def open_rows(self, last_line: int | None = None, encoding: str = UTF8) -> CsvRows:
        """Its rows, from the header on."""
        own = os.fdopen(os.dup(self.opened.file.fileno()), "rb", BUFFER_BYTES)
        own.seek(self._start)
        return CsvRows(own, last_line, encoding)

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """How many bytes were read, and the BLAKE2b hash of `first` and these; last of all there are."""
        made = blake2b(first, digest_size=16)
        with os.fdopen(os.dup(self.opened.file.fileno()), "rb", 0) as own:
            own.seek(0)
            for start in range(0, self.size_bytes, HASHED_BYTES):
                made.update(own.read(min(HASHED_BYTES, self.size_bytes - start)))
                yield own.tell(), made.hexdigest()

    def _first(self) -> tuple[int, list[str]]:
        with closing(self.open_rows()) as rows:
            try:
                line, names = rows.first()
            except csv.Error as error:
                raise InputError(path=self.path, line=1, expected="a header line", got=BAD_QUOTES) from error
        return line, [name.strip() for name in names]

    def _kind(self, wanted: str | None) -> type[Format]:
        kind = named(wanted) if wanted else recognised(self.names)
        if kind is None:
            read_header(self.path, self.line, self.names, _others())  # which knows best what is missing
            kind = Native
        if missing := [name for name in kind.columns if name not in self.names]:
            raise InputError(
                path=self.path,
                line=self.line,
                expected=f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} of {kind.title}",
                got=",".join(self.names)[:200],
                remedy="leave out --format, which then is found by the header",
            )
        return kind


class ViewsFile(Views):
    """An open file in which a row is a view; use it in a `with`."""

    def __init__(self, file: CsvFile | Path | str, movies: Path | None = None) -> None:
        self._csv = file if isinstance(file, CsvFile) else CsvFile(file)
        try:
            if not issubclass(self._csv.kind, ViewsFormat):
                raise InputError(path=self._csv.path, expected="a file of views", got=self._csv.kind.title)
            self._format = self._csv.kind(self._csv.names, self._csv.opened, movies)
        except BaseException:
            self._csv.opened.close()
            raise
        super().__init__(self._format.header)
        self.path, self.size, self.what = self._csv.path, self._csv.size_bytes, self._csv.what
        self.position = self.line = 0
        self.now_ms = time.time_ns() // 1_000_000
        self.mended = Counter()
        self.encoding = UTF8
        self._looked_through = False
        self._header_shows = self._csv.names.index(self._format.columns[-1])
        self._least = 1 + max(self._csv.names.index(name) for name in self._format.columns if name != "rating")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._csv.opened.close()

    def rows(self, last_line: int | None = None) -> Iterator[Rows]:
        names = self._csv.names
        with closing(self._csv.open_rows(last_line, self.encoding)) as rows:
            rows.first()
            self.mended = rows.mended
            if self.encoding != UTF8:
                self.mended[OTHER_ENCODING] += 1
            for chunk in rows.chunks(len(names), self._least):
                self.position, self.line = rows.position_bytes, rows.line
                yield self._in_milliseconds(self._format.native(self._without_headers(chunk)))
            self.line = rows.line
            if last_line is None and not self._looked_through:
                self._looked_through = True
                if rows.has_odd_bytes and not rows.has_wide_characters:
                    self.encoding = WINDOWS  # nothing in it is UTF-8 beyond ASCII

    def hashes(self) -> Iterator[str]:
        for done, made in self._csv.hashes(self._format.part_of_hash):
            self.position = done
            yield made

    def _without_headers(self, rows: Rows) -> Rows:
        """The rows but those that are the header once more, as files have that were joined."""
        names = self._csv.names
        if names[self._header_shows] not in rows.columns[self._header_shows]:
            return rows
        same = [
            [cell.strip().removeprefix("\ufeff") for cell in row] == names for row in zip(*rows.columns, strict=True)
        ]
        self.mended[HEADERS] += sum(same)
        return rows.without(same)

    def _in_milliseconds(self, rows: Rows) -> Rows:
        """The rows with their times in Unix milliseconds, also where they are written otherwise."""
        cells = rows.columns[self._time_place]
        if not len(rows) or (len(cells[0]) == MILLISECOND_DIGITS and even_timestamps(cells) is not None):
            return rows
        known = [in_milliseconds(cell) for cell in cells]
        ways = Counter(way for _, way in known if way)
        if not ways:
            return rows
        self.mended.update(ways)
        columns = list(rows.columns)
        columns[self._time_place] = [cell for cell, _ in known]
        return Rows(columns, rows.lines, rows.refused)


def _others() -> str:
    """What else there might be, for who has none of it."""
    return "; other formats: " + ", ".join(f"{kind.title} ({kind.name})" for kind in FORMATS[1:])


def _chooser(member: str | None) -> Callable[[Archive], str]:
    def choose(archive: Archive) -> str:
        names = archive.names
        if member is not None:
            found = [name for name in names if name == member or name.rpartition("/")[2] == member]
            if len(found) != 1:
                raise UsageError(argument="--member", expected=f"one of {', '.join(names)}", got=member)
            return found[0]
        found = names if len(names) == 1 else [name for name in names if _is_known(archive, name)]
        if OFFICE in names:
            got, remedy = "a spreadsheet, or another office document", "export the sheet as CSV (UTF-8)"
            raise InputError(path=archive.path, expected="a CSV, or an archive with one", got=got, remedy=remedy)
        if len(found) != 1:
            raise InputError(
                path=archive.path,
                expected="one file in the archive of a format that is known",
                got=f"{len(found)} among {', '.join(names)[:200]}",
                remedy="name it with: --member",
            )
        return found[0]

    return choose


def _is_known(archive: Archive, name: str) -> bool:
    if not name.lower().endswith((".csv", ".txt")):
        return False
    beginning = archive.beginning(name, BUFFER_BYTES).removeprefix(BYTE_ORDER_MARK)
    line = beginning.decode("utf-8", "surrogateescape").split("\n", 1)[0]
    try:
        [names] = csv.reader([line], strict=True)
    except (csv.Error, ValueError):
        return False
    return recognised([cell.strip() for cell in names]) is not None
