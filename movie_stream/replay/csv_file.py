"""An open CSV: its header, and its rows as often as they are wanted, in the encoding that they are in."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from hashlib import blake2b
from typing import Final

from movie_stream.errors import InputError
from movie_stream.replay.csv_header import BYTE_ORDER_MARK, check_beginning
from movie_stream.replay.csv_rows import BAD_QUOTES, UTF8, CsvRows, Rows
from movie_stream.replay.opened import BUFFER_BYTES, Opened

HASHED_BYTES: Final = 1 << 22
"""As much of a file is hashed at once."""
WINDOWS: Final = "cp1252"
OTHER_ENCODING: Final = "file in Windows-1252 or Latin-1 instead of UTF-8"


class CsvFile:
    """Of an opened file, which is closed with it. Closes it, and raises InputError, where it is not usable at all."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self.path = opened, opened.path
        self.encoding = UTF8
        """As far as is known; see `settle`."""
        try:
            self._start = self._look_at_beginning()
            self.line, self.names = self._header()
        except BaseException:
            opened.close()
            raise

    def _look_at_beginning(self) -> int:
        """Where the text begins."""
        self.size_bytes = self.opened.file.seek(0, os.SEEK_END)
        self.opened.file.seek(0)
        head = self.opened.file.read(BUFFER_BYTES)
        check_beginning(self.path, head)
        return len(BYTE_ORDER_MARK) if head.startswith(BYTE_ORDER_MARK) else 0

    def _header(self) -> tuple[int, list[str]]:
        """The line of the header, and its names."""
        with closing(self.open_rows()) as rows:
            try:
                line, names = rows.first()
            except csv.Error as error:
                raise InputError(path=self.path, line=1, expected="a header line", got=BAD_QUOTES) from error
        return line, [name.strip() for name in names]

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()

    def open_rows(self, last_line: int | None = None) -> CsvRows:
        """Its rows, from the header on."""
        own = os.fdopen(os.dup(self.opened.file.fileno()), "rb", BUFFER_BYTES)
        own.seek(self._start)
        rows = CsvRows(own, last_line, self.encoding)
        if self.encoding != UTF8:
            rows.mended[OTHER_ENCODING] += 1
        return rows

    def settle(self, rows: CsvRows) -> bool:
        """Whether it has to be read again in another encoding, as its rows show, which were read to their end."""
        if self.encoding == UTF8 and rows.has_odd_bytes and not rows.has_wide_characters:
            self.encoding = WINDOWS  # nothing in it is UTF-8 beyond ASCII
            return True
        return False

    def whole(self) -> tuple[list[Rows], Counter[str]]:
        """All its rows, and what was repaired in them; for a file that is known to be small."""
        with closing(self.open_rows()) as rows:
            rows.first()
            chunks = list(rows.chunks(len(self.names)))
            return self.whole() if self.settle(rows) else (chunks, rows.mended)

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """How many bytes were read, and the BLAKE2b hash of `first` and these; last of all there are."""
        made = blake2b(first, digest_size=16)
        with os.fdopen(os.dup(self.opened.file.fileno()), "rb", 0) as own:
            own.seek(0)
            for start in range(0, self.size_bytes, HASHED_BYTES):
                made.update(own.read(min(HASHED_BYTES, self.size_bytes - start)))
                yield own.tell(), made.hexdigest()
