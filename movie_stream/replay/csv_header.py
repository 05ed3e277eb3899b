"""The first lines of a CSV of views: is this file one at all, and which column is which.

Whatever makes a file unusable as a whole is found here, before a single row is read, and said in one line.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Final

from movie_stream.errors import InputError

REQUIRED: Final = ("movie_id", "title", "genre", "user_id", "timestamp", "rating")
OPTIONAL: Final = ("duration", "price")
HEADER_LINE: Final = ",".join((*REQUIRED, *OPTIONAL))
A_HEADER: Final = f"a header line with the columns {','.join(REQUIRED)} (and {', '.join(OPTIONAL)} where there are any)"

BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
OTHER_FORMATS: Final = (
    (b"\xff\xfe", "a file in UTF-16", "save it as UTF-8"),
    (b"\xfe\xff", "a file in UTF-16", "save it as UTF-8"),
    (b"\xfd7zXZ\0", "an xz archive", "unpack it with unxz"),
    (b"BZh", "a bzip2 archive", "unpack it with bunzip2"),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "unpack it"),
    (b"\x1f\x8b", "an archive within an archive", "unpack it"),
    (b"PK\x03\x04", "an archive within an archive", "unpack it"),
    (b"PAR1", "a Parquet file", "export it as CSV (UTF-8)"),
    (b"SQLite format 3", "an SQLite database", "export a table as CSV (UTF-8)"),
)
DELIMITERS: Final = {";": "semicolons", "\t": "tabs", "|": "vertical bars"}
NAMES_COMPARED: Final = 1_000
NAME_CHARACTERS: Final = 64
"""Names beyond these are not looked at for what may have been meant."""
NUMBER: Final = re.compile(r"\s*-?\d+(\.\d*)?\s*")


@dataclass(frozen=True, slots=True)
class Header:
    """Where each field stands in a row of `width` cells; an optional field may be missing."""

    width: int
    position: dict[str, int]


def check_beginning(path: Path | str, head: bytes) -> None:
    """Raises InputError unless these first bytes can be those of a CSV in UTF-8."""
    for magic, what, remedy in OTHER_FORMATS:
        if head.startswith(magic):
            raise InputError(path=path, expected="a CSV in UTF-8", got=what, remedy=remedy)
    text = head.removeprefix(BYTE_ORDER_MARK)
    if not text.strip():
        remedy = f"the first line has to be {HEADER_LINE}"
        raise InputError(path=path, expected=A_HEADER, got="an empty file", remedy=remedy)
    first_line = text.split(b"\n", 1)[0]
    if b"\0" in first_line:
        got = "bytes of zero in the first line, as binary files and UTF-16 have"
        raise InputError(path=path, expected="a CSV in UTF-8", got=got, remedy="save it as UTF-8")
    if b"\r" in first_line.rstrip(b"\r") and b"\n" not in text:
        raise InputError(
            path=path,
            expected="lines that end with a line feed",
            got="carriage returns alone",
            remedy=f"convert it with: tr '\\r' '\\n' < {path} > converted.csv",
        )


def read_header(path: Path | str, line: int, cells: list[str], others: str = "") -> Header:
    """Finds the columns by the names in the first row; `others` tells which other files there are.

    >>> read_header("a.csv", 1, ["rating", "movie_id", "title", "genre", "user_id", "timestamp"]).width
    6

    Raises InputError where it is no header, or lacks a column or has it twice.
    """
    names = [cell.strip() for cell in cells]
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise _unusable(path, line, names, missing, others)
    for name in (*REQUIRED, *OPTIONAL):
        if names.count(name) > 1:
            raise InputError(
                path=path,
                line=line,
                expected=f"one column {name}",
                got=f"{names.count(name)} of them",
                remedy="rename one",
            )
    return Header(len(names), {name: names.index(name) for name in (*REQUIRED, *OPTIONAL) if name in names})


def _unusable(path: Path | str, line: int, names: list[str], missing: list[str], others: str) -> InputError:
    """The error that tells best why this is not the header."""
    first_row = ",".join(names)
    for delimiter, plural in DELIMITERS.items():
        if first_row.count(delimiter) >= len(REQUIRED) - 1:
            remedy = "export it with commas (cells that hold a comma in double quotes)"
            return InputError(path=path, line=line, expected="commas between the cells", got=plural, remedy=remedy)
    shown = first_row if len(first_row) <= 80 else first_row[:77] + "..."
    if len(missing) == len(REQUIRED) and any(map(NUMBER.fullmatch, names)):
        remedy = f"put a header above it, with your columns in their order, such as: {HEADER_LINE}"
        return InputError(path=path, line=line, expected=A_HEADER, got=shown, remedy=remedy)
    likely = [name for name in names[:NAMES_COMPARED] if len(name) <= NAME_CHARACTERS and name not in REQUIRED]
    plain = {_plain(name): name for name in likely}
    hints = []
    for name in missing:
        near = get_close_matches(_plain(name), plain, n=1, cutoff=0.75)
        hints += [f"rename {plain[near[0]]!r} to {name}"] if near else []
    return InputError(
        path=path,
        line=line,
        expected=f"the column{'s' if len(missing) > 1 else ''} {', '.join(missing)} in the header",
        got=shown,
        remedy=", ".join(hints) or f"a complete header is: {HEADER_LINE}{others}",
    )


def _plain(name: str) -> str:
    """A name as one would say it: without case, spaces and punctuation."""
    return "".join(filter(str.isalnum, name.casefold()))
