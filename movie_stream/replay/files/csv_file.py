"""An open CSV: its header and its rows, decoded by the file's encoding; the rows can be read repeatedly."""

from __future__ import annotations

import csv
import os
from collections.abc import Collection, Iterator
from contextlib import closing
from typing import Final

from movie_stream.errors import FileRefused, InputError
from movie_stream.replay.files.csv_header import check_beginning, check_mark, declared_delimiter, delimiter_of
from movie_stream.replay.files.csv_rows import BAD_QUOTES, CsvRows
from movie_stream.replay.files.encodings import NAMED, UTF8, WESTERN, candidates, marked
from movie_stream.replay.files.source_file import BUFFER_BYTES, SourceFile
from movie_stream.replay.files.table import TableRows, hashes

OTHER_ENCODING: Final = "file in Windows-1252 or Latin-1 instead of UTF-8"


class CsvFile:
    """Owns the opened file. Raises InputError, and closes the file, if it is unusable as a whole.

    Its encoding is that of a byte order mark, else `encoding` (the user's choice, see `encoding_of`), else UTF-8. If
    `settle` finds that it is not UTF-8, `otherwise` is used, the user's choice for a neighbouring file, if given.
    """

    kind = ""

    def __init__(self, opened: SourceFile, encoding: str | None = None, otherwise: str | None = None) -> None:
        self.opened, self.path = opened, opened.path
        self._is_given, self._otherwise = encoding is not None, otherwise
        try:
            self._start = self._look_at_beginning(encoding)
            self.line, self.names = self._header()
        except BaseException:
            opened.close()
            raise
        self.written_names = list(self.names)
        """The names as in the header; callers may replace those in `names`."""
        self.texts: Collection[str] = ()

    def _look_at_beginning(self, given: str | None) -> int:
        """Finds encoding and delimiter; returns the offset at which the text begins."""
        self.size_bytes = self.opened.file.seek(0, os.SEEK_END)
        self.opened.file.seek(0)
        head = self.opened.file.read(BUFFER_BYTES)
        mark = marked(head)
        if mark:
            self.encoding, start = mark
            self._is_given, self._otherwise = False, given or self._otherwise
        else:
            if self._otherwise and b"\0" in head:  # neither UTF-8 nor Windows-1252 has it
                given = self._otherwise
            self.encoding, start = given or UTF8, 0
            check_mark(self.path, head, self.encoding)
        check_beginning(self.path, head[start:], self.encoding)
        text = head[start:].decode(self.encoding, "ignore")
        declared = declared_delimiter(text)
        self._is_declared = declared is not None
        self.delimiter = declared or delimiter_of(text)
        return start

    def _header(self) -> tuple[int, list[str]]:
        """The line number of the header, and its names."""
        with closing(self.open_rows()) as rows:
            try:
                line, names = rows.first()
            except csv.Error as error:
                raise InputError(path=self.path, line=1, expected="a header line", got=BAD_QUOTES) from error
        return line, [name.strip() for name in names]

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()

    def below_header(self, last_line: int | None = None) -> CsvRows:
        """Its rows, below the header."""
        rows = self.open_rows(last_line)
        try:
            rows.first()
        except BaseException:
            rows.close()
            raise
        return rows

    def open_rows(self, last_line: int | None = None) -> CsvRows:
        """Its rows, from the header on."""
        own = os.fdopen(os.dup(self.opened.file.fileno()), "rb", BUFFER_BYTES)
        own.seek(self._start)
        rows = CsvRows(own, last_line, self.encoding, self.delimiter, declared=self._is_declared)
        if self.encoding == WESTERN and not self._is_given:
            rows.mended[OTHER_ENCODING] += 1
        return rows

    def settle(self, rows: TableRows) -> bool:
        """Whether the file must be read a second time in another encoding; called when its rows were read to the end.

        Raises FileRefused if the file is not UTF-8 and could be in one of several encodings. A file that is mostly
        UTF-8 is read as UTF-8, and its other rows are refused; a few characters may be UTF-8 by chance.
        """
        if not isinstance(rows, CsvRows) or self._is_given or self.encoding != UTF8:
            return False
        if rows.odd_bytes <= rows.wide_characters:
            return False
        if self._otherwise and self._otherwise != UTF8:
            self.encoding, self._is_given = self._otherwise, True
            return True
        found = candidates(rows.odd_lines.encode(UTF8, "surrogateescape"))
        if not found or not found[0].is_certain:
            could_be = " or ".join(map(str, found[:NAMED])) or "one that is not known here"
            hint = f"say so with: --encoding {found[0].name}" if len(found) == 1 else "say which with: --encoding NAME"
            raise FileRefused(
                path=self.path,
                why=f"it is not UTF-8; it could be {could_be}",
                remedy=f"{hint}, or save it as UTF-8",
            )
        if rows.wide_characters:
            return False
        self.encoding = WESTERN
        return True

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """The number of bytes read so far, and the BLAKE2b hash of `first` and these; the last item covers the file."""
        return hashes(self.opened.file, self.size_bytes, first)
