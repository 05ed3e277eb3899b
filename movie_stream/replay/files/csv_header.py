"""Checks the beginning of a CSV of views and finds its columns.

Errors that make a file unusable as a whole are found here, before any row is read, and reported in one line.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from movie_stream.errors import InputError
from movie_stream.events.contract import FIELDS, OPTIONAL, REQUIRED
from movie_stream.replay.files.encodings import UTF8

HEADER_LINE: Final = ",".join(FIELDS)
A_HEADER: Final = f"a header line with the columns {','.join(REQUIRED)} (and {', '.join(OPTIONAL)} where there are any)"

OTHER_FORMATS: Final = (
    (b"\xfd7zXZ\0", "an xz archive", "unpack it with unxz"),
    (b"BZh", "a bzip2 archive", "unpack it with bunzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\x1f\x8b", "an archive within an archive", "unpack it"),
    (b"PK\x03\x04", "an archive within an archive", "unpack it"),
    (b"SQLite format 3", "an SQLite database", "export a table as CSV (UTF-8)"),
)
DELIMITERS: Final = (",", ";", "\t", "|")
"""The delimiters, the usual one first."""
DECLARED: Final = re.compile("""["']?sep= *([^\\w\\s"']|\\t) *["']?\\r?\\n""", re.IGNORECASE)
ZEROS_COUNTED: Final = 100
WIDE_ENCODINGS: Final[dict[tuple[bool, ...], str]] = {
    (False, True, False, True): "utf-16-le",
    (True, False, True, False): "utf-16-be",
    (False, True, True, True): "utf-32-le",
    (True, True, True, False): "utf-32-be",
}
"""The encodings, by which of four bytes are mostly zero."""
NAMES_COMPARED: Final = 1_000
NAME_CHARACTERS: Final = 64
"""Names beyond these limits get no suggestion of a similar name."""
NUMBER: Final = re.compile(r"\s*-?\d+(\.\d*)?\s*")


@dataclass(frozen=True, slots=True)
class Header:
    """The column of each field in a row of `width` cells; an optional field may be missing."""

    width: int
    position: dict[str, int]


def check_beginning(path: Path | str, head: bytes, encoding: str = UTF8) -> None:
    """Raises InputError unless these first bytes (after a byte order mark) can be those of a CSV in this encoding."""
    for magic, what, remedy in OTHER_FORMATS:
        if head.startswith(magic):
            raise InputError(path=path, expected="a CSV in UTF-8", got=what, remedy=remedy)
    text = head.decode(encoding, "replace")
    if not text.strip():
        remedy = f"the first line has to be {HEADER_LINE}"
        raise InputError(path=path, expected=A_HEADER, got="an empty file", remedy=remedy)
    first_line = text.split("\n", 1)[0]
    if "\0" in first_line:
        raise _zeros(path, head)
    if "\r" in first_line.rstrip("\r") and "\n" not in text:
        raise InputError(
            path=path,
            expected="lines that end with a line feed",
            got="carriage returns alone",
            remedy=f"convert it with: tr '\\r' '\\n' < {path} > converted.csv",
        )


def check_mark(path: Path | str, head: bytes, encoding: str) -> None:
    """Raises InputError if the encoding needs a byte order mark and these first bytes have none."""
    if encoding not in ("utf-16", "utf-32"):
        return
    wide = wide_encoding(head)
    remedy = f"say --encoding {wide}" if wide else f"leave out --encoding, or say {encoding}-le or {encoding}-be"
    raise InputError(path=path, expected=f"a {encoding.upper()} text with a byte order mark", got="none", remedy=remedy)


def wide_encoding(head: bytes) -> str | None:
    """The form of UTF-16 or UTF-32 that the bytes look like: every other byte, or three of four, are mostly zero."""
    zeros = [head[at : 4 * ZEROS_COUNTED : 4].count(0) for at in range(4)]
    return WIDE_ENCODINGS.get(tuple(2 * count > min(len(head) // 4, ZEROS_COUNTED) for count in zeros))


def _zeros(path: Path | str, head: bytes) -> InputError:
    """The error for zero bytes."""
    if wide := wide_encoding(head):
        remedy = f"say so with: --encoding {wide}, or save it as UTF-8"
        return InputError(path=path, expected="a CSV in UTF-8", got=f"what looks like {wide}", remedy=remedy)
    got = "bytes of zero in the first line, as binary files have"
    return InputError(path=path, expected="a CSV in UTF-8", got=got, remedy="save it as UTF-8")


def declared_delimiter(text: str) -> str | None:
    r"""The delimiter that the first line declares as Excel does, `sep=;`; None if it declares none.

    >>> declared_delimiter("sep=;\r\na;b\r\n"), declared_delimiter("a,b\n")
    (';', None)
    """
    found = DECLARED.match(text)
    return found[1] if found else None


def delimiter_of(text: str) -> str:
    r"""The delimiter of the header at the beginning of a text: the one that makes the most cells.

    >>> delimiter_of("a;b;c\n1,5;2;3"), delimiter_of('"a;b",c\n'), delimiter_of("a\tb\tc, or d\n"), delimiter_of("a")
    (';', ',', '\t', ',')
    """
    lines = text.lstrip().split("\n", 1)[:1]

    def cells(delimiter: str) -> int:
        try:
            return max(map(len, csv.reader(lines, delimiter=delimiter)), default=0)
        except csv.Error:
            return 0

    return max(DELIMITERS, key=cells)


def match_names(names: Sequence[str], wanted: Sequence[str], alike: Callable[[str], str] = str.casefold) -> list[str]:
    """The names of a header; those that differ from a wanted name only in case (or as `alike` ignores) become it.

    >>> match_names(["Movie ID", "TITLE", "other"], ["movie_id", "title", "genre"])
    ['Movie ID', 'title', 'other']
    """
    found = list(names)
    for name in wanted:
        same = [column for column, other in enumerate(names) if other != name and alike(other) == alike(name)]
        if name not in names and len(same) == 1:
            found[same[0]] = name
    return found


def read_header(path: Path | str, line: int, cells: list[str], others: str = "") -> Header:
    """Finds the columns by the names in the first row; `others` is appended to the error, and lists other formats.

    >>> read_header("a.csv", 1, ["rating", "movie_id", "title", "genre", "user_id", "timestamp"]).width
    6

    Raises InputError if it is not a header, or a column is missing or repeated.
    """
    names = [cell.strip() for cell in cells]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise _unusable(path, line, names, missing, others)
    for name in FIELDS:
        if names.count(name) > 1:
            raise InputError(
                path=path,
                line=line,
                expected=f"one column {name}",
                got=f"{names.count(name)} of them",
                remedy="rename one",
            )
    return Header(len(names), {name: names.index(name) for name in FIELDS if name in names})


def _unusable(path: Path | str, line: int, names: list[str], missing: list[str], others: str) -> InputError:
    """The most helpful error for a line that is not the header."""
    first_row = ",".join(names)
    shown = first_row if len(first_row) <= 80 else first_row[:77] + "..."
    if len(missing) == len(REQUIRED) and any(map(NUMBER.fullmatch, names)):
        remedy = f"put a header above it, with your columns in their order, such as: {HEADER_LINE}"
        return InputError(path=path, line=line, expected=A_HEADER, got=shown, remedy=remedy)
    likely = [name for name in names[:NAMES_COMPARED] if len(name) <= NAME_CHARACTERS and name not in REQUIRED]
    plainly = {plain(name): name for name in likely}
    hints = []
    for name in missing:
        near = get_close_matches(plain(name), plainly, n=1, cutoff=0.75)
        hints += [f"rename {plainly[near[0]]!r} to {name}"] if near else []
    return InputError(
        path=path,
        line=line,
        expected=f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} in the header",
        got=shown,
        remedy=", ".join(hints) or f"a complete header is: {HEADER_LINE}{others}",
    )


def plain(name: str) -> str:
    """A name in normal form: without case, spaces and punctuation."""
    return "".join(filter(str.isalnum, name.casefold()))
