"""JSON Lines, one object per line, as the rows of a table: members are columns, and cells are text as in a CSV.

So a number may be quoted, a time may have any notation that a CSV may use, and columns may be renamed.
"""

from __future__ import annotations

import codecs
import os
from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, Final

import msgspec
import numpy as np

from movie_stream.errors import FileRefused, InputError
from movie_stream.events.contract import OPTIONAL
from movie_stream.replay.files.csv_header import meant, plain, wide_encoding
from movie_stream.replay.files.csv_rows import (
    CHUNK,
    EXAMPLE_CHARACTERS,
    MAX_LINE_SHOWN,
    MAX_ROW,
    RefusedRow,
    Rows,
)
from movie_stream.replay.files.encodings import NAMED, ODD, UTF8, candidates, marked
from movie_stream.replay.files.source_file import BUFFER_BYTES, SourceFile
from movie_stream.replay.files.table import TableRows, hashes, text_values
from movie_stream.replay.files.temporary import temporary_file

LINES_LOOKED_AT: Final = 1_000
"""The first lines, from which the names of the members are taken."""
FEW: Final = 5
"""Up to one line in this many may be invalid UTF-8; then only such lines are refused."""
_OBJECT: Final = msgspec.json.Decoder(dict[str, Any])
_TOO_LONG: Final = f"a line is longer than {MAX_ROW} bytes"


def looks_like_json(head: bytes) -> bool:
    """Whether the first character of a text opens an object or a list, so that it is not a CSV."""
    return _without_mark(head).lstrip(b"\0 \t\r\n")[:1] in (b"{", b"[")


def _without_mark(head: bytes) -> bytes:
    """The text in UTF-8 without its byte order mark, converted if the mark says another encoding."""
    encoding, length = marked(head) or (UTF8, 0)
    text = head[length:]
    return text if encoding == UTF8 else text.decode(encoding, "ignore").encode()


def members_of(head: bytes) -> list[str]:
    """The members of the objects in the first lines, and the optional fields of a view; empty without objects."""
    names: dict[str, None] = {}
    for line in _without_mark(head).split(b"\n")[:LINES_LOOKED_AT]:
        try:
            names |= dict.fromkeys(_OBJECT.decode(line))
        except (msgspec.MsgspecError, UnicodeError):
            continue  # reported with its row
    found = list(names)
    return found and found + [name for name in OPTIONAL if name not in meant(found, OPTIONAL, plain)]


class JsonFile:
    """Owns the opened file. Raises InputError, and closes the file, if it is unusable as a whole."""

    kind = ", in lines of JSON"

    def __init__(self, opened: SourceFile) -> None:
        self.opened, self.path, self.line = opened, opened.path, 1
        try:
            self.size_bytes = opened.file.seek(0, os.SEEK_END)
            opened.file.seek(0)
            head = opened.file.read(BUFFER_BYTES)
            encoding, self._start = marked(head) or (UTF8, 0)
            if encoding != UTF8:
                self.size_bytes = _become_utf_8(opened, encoding, self._start)
                self._start = 0
            self.names = self._members(_without_mark(head))
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
            self._check_encoding(head)
            remedy = "a record stands in one line; for others: jq -c . FILE > views.jsonl"
            raise InputError(path=self.path, expected="an object of JSON in each line", got="none", remedy=remedy)
        return names

    def _check_encoding(self, head: bytes) -> None:
        """Raises InputError if these bytes are not UTF-8."""
        if wide := wide_encoding(head):
            expected, got = "an object of JSON in each line, in UTF-8", f"what looks like {wide}"
            raise InputError(path=self.path, expected=expected, got=got, remedy=self._conversion(wide))
        odd = [line for line in head.splitlines()[:LINES_LOOKED_AT] if not _is_utf_8(line)]
        if odd:
            raise self._refused(b"\n".join(odd))

    def _refused(self, sample: bytes) -> FileRefused:
        """The error for text that is not UTF-8."""
        found = candidates(sample)
        could_be = " or ".join(map(str, found[:NAMED])) or "one that is not known here"
        why = f"it is not UTF-8; it could be {could_be}"
        name = found[0].name if len(found) == 1 else "NAME"
        return FileRefused(path=self.path, why=why, remedy=self._conversion(name))

    def _conversion(self, encoding: str) -> str:
        return f"convert it with: iconv -f {encoding} -t utf-8 {self.path} > views.jsonl"

    def close(self) -> None:
        """Closes the file."""
        self.opened.close()

    def below_header(self, last_line: int | None = None) -> JsonRows:
        """The rows, from the first line on."""
        own = os.fdopen(os.dup(self.opened.file.fileno()), "rb", BUFFER_BYTES)
        own.seek(self._start)
        return JsonRows(own, self, last_line)

    def settle(self, rows: TableRows) -> bool:
        """False, since JSON is UTF-8. Raises FileRefused if many lines are not, and fewer are UTF-8 beyond ASCII."""
        if isinstance(rows, JsonRows) and rows.odd > max(rows.wide, rows.line // FEW):
            raise self._refused(rows.odd_lines)
        return False

    def hashes(self, first: bytes) -> Iterator[tuple[int, str]]:
        """The number of bytes read so far, and the hash of `first` and these; the last item covers the whole file."""
        return hashes(self.opened.file, self.size_bytes, first)


def _become_utf_8(opened: SourceFile, encoding: str, start: int) -> int:
    """Replaces a file with a copy in UTF-8 of its bytes from `start` on; returns the copy's size in bytes.

    An invalid character stays invalid in the copy, so that its row is refused.
    """
    file = opened.file
    with temporary_file(opened.path) as copy:
        file.seek(start)
        decoder = codecs.getincrementaldecoder(encoding)(ODD)
        while block := file.read(BUFFER_BYTES):
            copy.write(decoder.decode(block).encode(UTF8, "surrogatepass"))
        copy.write(decoder.decode(b"", final=True).encode(UTF8, "surrogatepass"))
        copy.flush()
        opened.file = os.fdopen(os.dup(copy.fileno()), "rb", BUFFER_BYTES)
    file.close()
    return opened.file.seek(0, os.SEEK_END)


def _is_utf_8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True


class JsonRows:
    """The objects of a file as rows with the cells of its members, a chunk at a time and in bounded memory."""

    def __init__(self, file: BinaryIO, table: JsonFile, last_line: int | None = None) -> None:
        self.mended: Counter[str] = Counter()
        self.line = 0
        self.odd = self.wide = 0
        """Lines so far that are not UTF-8, and lines that are, but not ASCII."""
        self.odd_lines = b""
        """The first lines that are not UTF-8, as a sample."""
        self._file, self._table, self._last_line = file, table, last_line

    @property
    def position_bytes(self) -> int:
        """The number of bytes read."""
        return self._file.tell()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def chunks(self, width: int, least: int | None = None) -> Iterator[Rows]:
        """All rows, a few hundred kilobytes at a time."""
        while lines := self._next_lines():
            first, self.line = self.line + 1, self.line + len(lines)
            self._note_encoding(lines)
            yield self._rows(first, lines)

    def _next_lines(self) -> list[bytes]:
        """The next whole lines; a line longer than MAX_ROW is truncated."""
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

    def _note_encoding(self, lines: list[bytes]) -> None:
        for line in lines:
            if line.isascii():
                continue
            if _is_utf_8(line):
                self.wide += 1
                continue
            self.odd += 1
            if len(self.odd_lines) < EXAMPLE_CHARACTERS:
                self.odd_lines += line[:MAX_LINE_SHOWN] + b"\n"

    def _rows(self, first: int, lines: list[bytes]) -> Rows:
        numbers = [first + at for at, line in enumerate(lines) if line.strip()]
        objects, refused = _decoded([lines[number - first] for number in numbers], numbers)
        bad = {row.line for row in refused}
        values: list[list[object]] = [[entry.get(name) for entry in objects] for name in self._table.written_names]
        kept = np.array([number for number in numbers if number not in bad], np.int64)
        values, kept, no_texts = text_values(self._table.names, self._table.texts, values, kept)
        return Rows([list(map(_cell, column)) for column in values], kept, [*refused, *no_texts])


def _decoded(lines: list[bytes], numbers: list[int]) -> tuple[list[dict[str, Any]], list[RefusedRow]]:
    """The objects of the lines with these numbers, and the lines that are not objects."""
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
