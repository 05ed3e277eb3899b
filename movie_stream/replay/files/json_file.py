"""Lines of JSON, an object a line, as the rows of a table: its columns are the members, its cells are text as in a CSV.

So a number may stand in quotes, a time be written in any of the ways that a CSV may have, and columns be renamed.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np

from movie_stream.errors import InputError
from movie_stream.events.contract import OPTIONAL
from movie_stream.replay.files.csv_header import meant, plain
from movie_stream.replay.files.csv_rows import CHUNK, MAX_ROW, RefusedRow, Rows
from movie_stream.replay.files.encodings import marked
from movie_stream.replay.files.opened import BUFFER_BYTES, Opened
from movie_stream.replay.files.table import TableRows, hashes, text_values

LINES_LOOKED_AT: Final = 1_000
"""So many of the first lines tell which members there are."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_TOO_LONG: Final = f"a line is longer than {MAX_ROW} bytes"


def looks_like_json(head: bytes) -> bool:
    """Whether a text that begins so is no CSV: its first character opens an object or a list."""
    return _without_mark(head).lstrip()[:1] in (b"{", b"[")


def _without_mark(head: bytes) -> bytes:
    mark = marked(head)
    return head[mark[1] :] if mark else head


def members_of(head: bytes) -> list[str]:
    """The members of the objects in the first lines, and those that any view may have; none where no object is."""
    names: dict[str, None] = {}
    for line in _without_mark(head).split(b"\n")[:LINES_LOOKED_AT]:
        try:
            names |= dict.fromkeys(_OBJECT.decode(line))
        except (msgspec.MsgspecError, UnicodeError):
            continue  # which is said of its row
    found = list(names)
    return found and found + [name for name in OPTIONAL if name not in meant(found, OPTIONAL, plain)]


class JsonFile:
    """Of an opened file, which is closed with it. Closes it, and raises InputError, where it is not usable at all."""

    kind = ", in lines of JSON"

    def __init__(self, opened: Opened) -> None:
        self.opened, self.path, self.line = opened, opened.path, 1
        try:
            self.size_bytes = opened.file.seek(0, os.SEEK_END)
            opened.file.seek(0)
            head = opened.file.read(BUFFER_BYTES)
            self._start = len(head) - len(_without_mark(head))
            self.names = self._members(head[self._start :])
        except BaseException:
            opened.close()
            raise
        self.written_names = list(self.names)
        self.texts: Collection[str] = ()

    def _members(self, head: bytes) -> list[str]:
        if head.lstrip()[:1] == b"[":
            raise InputError(
                path=self.path,
                expected="an object of JSON in each line",
                got="a list of them",
                remedy=f"convert it with: jq -c '.[]' {self.path} > views.jsonl",
            )
        names = members_of(head)
        if not names:
            remedy = "a record stands in one line; for others: jq -c . FILE > views.jsonl"
            raise InputError(path=self.path, expected="an object of JSON in each line", got="none", remedy=remedy)
        return names

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()

    def below_header(self, last_line: int | None = None) -> JsonRows:
        """The rows, from the first line on."""
        own = os.fdopen(os.dup(self.opened.file.fileno()), "rb", BUFFER_BYTES)
        own.seek(self._start)
        return JsonRows(own, self, last_line)

    def settle(self, rows: TableRows) -> bool:
        """JSON is UTF-8."""
        return False

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """How many bytes were read, and the hash of `first` and these; last of all there are."""
        return hashes(self.opened.file, self.size_bytes, first)


class JsonRows:
    """The objects of a file as rows with the cells of its members, a chunk at a time and in bounded memory."""

    def __init__(self, file: BinaryIO, table: JsonFile, last_line: int | None = None) -> None:
        self.mended: Counter[str] = Counter()
        self.line = 0
        self._file, self._table, self._last_line = file, table, last_line

    @property
    def position_bytes(self) -> int:
        """How far the file has been read."""
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def chunks(self, width: int, least: int | None = None) -> Iterator[Rows]:
        """All rows, those of a few hundred kilobytes at a time."""
        while lines := self._next_lines():
            first, self.line = self.line + 1, self.line + len(lines)
            yield self._rows(first, lines)

    def _next_lines(self) -> list[bytes]:
        """The next lines, whole; one that is longer than MAX_ROW is cut there."""
        left = None if self._last_line is None else self._last_line - self.line
        if left == 0:
            return []
        text = self._file.read(CHUNK)
        if text and not text.endswith(b"\n"):
            text += self._file.readline(MAX_ROW)
            while not text.endswith(b"\n") and (rest := self._file.readline(MAX_ROW)):
                text = text if not rest.endswith(b"\n") else text + b"\n"
        lines = text.split(b"\n")
        if not lines[-1]:
            lines.pop()
        return lines[:left]

    def _rows(self, first: int, lines: list[bytes]) -> Rows:
        numbers = [first + place for place, line in enumerate(lines) if line.strip()]
        objects, refused = _decoded([lines[number - first] for number in numbers], numbers)
        bad = {row.line for row in refused}
        values: list[list[object]] = [[entry.get(name) for entry in objects] for name in self._table.written_names]
        kept = np.array([number for number in numbers if number not in bad], np.int64)
        values, kept, no_texts = text_values(self._table.names, self._table.texts, values, kept)
        return Rows([list(map(_cell, column)) for column in values], kept, [*refused, *no_texts])


def _decoded(lines: list[bytes], numbers: list[int]) -> tuple[list[dict[str, Any]], list[RefusedRow]]:
    """The objects of lines with these numbers, and the lines that are none."""
    objects: list[dict[str, Any]] = []
    refused: list[RefusedRow] = []
    for number, line in zip(numbers, lines, strict=True):
        try:
            objects.append(_OBJECT.decode(line))
        except (msgspec.MsgspecError, UnicodeError) as error:
            refused.append(RefusedRow(number, _reason(line, error)))
    return objects, refused


def _reason(line: bytes, error: Exception) -> str:
    if len(line) >= MAX_ROW:
        return _TOO_LONG
    try:
        line.decode()
    except UnicodeDecodeError as found:
        return f"not UTF-8: byte {found.start} of the line"
    return f"not JSON: {str(error).removeprefix('JSON is malformed: ')}"


def _cell(value: object) -> str:
    """A value as the text of a cell.

    >>> _cell("Heat"), _cell(None), _cell(4.5), _cell(True), _cell([1])
    ('Heat', '', '4.5', 'true', '[1]')
    """
    match value:
        case str():
            return value
        case None:
            return ""
        case bool() | list() | dict():
            return msgspec.json.encode(value).decode()
        case _:
            return repr(value)
