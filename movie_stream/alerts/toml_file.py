"""A file in TOML as people leave it: with a BOM, in another encoding, or full of nonsense; and where its keys stand."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from movie_stream.alerts.keys import Mistake, RulesRefused
from movie_stream.alerts.lines import TEXTS, Lines, statements
from movie_stream.settings import read_text

FILE_BYTES: Final = 256 << 10
"""The most that a file of alerts may have."""
_DEEPEST: Final = 32
"""Tables and lists in each other: far more than any key has, and far less than Python's recursion takes."""
_TOO_DEEP: Final = f"expected at most {_DEEPEST} tables or lists in each other, got more"
_PART: Final = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_DEEP_KEY: Final = re.compile(rf"(?P<key>(?<![\w-])(?:{_PART}){{{_DEEPEST}}})|{TEXTS}", re.DOTALL)
_BOM: Final = "\ufeff"
_BOMS_OF_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """What a file says, and the lines of it."""

    values: Mapping[str, Any]
    lines: Lines


def read_toml(path: Path) -> TomlFile:
    """The file at a path. Raises RulesRefused where it cannot be read, or is no TOML."""
    try:
        text = read_text(path, at_most_bytes=FILE_BYTES)
    except UnicodeDecodeError as error:
        raise RulesRefused(path=str(path), mistakes=[_encoding(error)]) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RulesRefused(path=str(path), mistakes=[Mistake(1, f"expected a readable TOML file: {why}")]) from error
    return toml_of(text, str(path))


def toml_of(text: str, name: str) -> TomlFile:
    """What a text says; a BOM before it says nothing. Raises RulesRefused with the name."""
    text = text.removeprefix(_BOM).replace("\r\n", "\n")
    if (at := text.find("\0")) >= 0:
        words = "expected a TOML file in UTF-8, got NUL characters, as UTF-16 has them; save it as UTF-8"
        raise RulesRefused(path=name, mistakes=[Mistake(_line_at(text, at), words)])
    if (deep := _deep_key(text)) is not None:  # tomllib would need minutes for a very long one
        raise RulesRefused(path=name, mistakes=[Mistake(_line_at(text, deep), _TOO_DEEP)])
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesRefused(path=name, mistakes=[_syntax(text, error)]) from error
    if _depth(values) > _DEEPEST:
        line, _ = max(statements(text), key=lambda of: _depth(tomllib.loads(of[1])))
        raise RulesRefused(path=name, mistakes=[Mistake(line, _TOO_DEEP)])
    return TomlFile(values, Lines(text))


def _encoding(error: UnicodeDecodeError) -> Mistake:
    content = error.object
    if content.startswith(_BOMS_OF_UTF_16):
        return Mistake(1, "expected a TOML file in UTF-8, got UTF-16; save it as UTF-8")
    line = content.count(b"\n", 0, error.start) + 1
    words = f"got the byte 0x{content[error.start]:02x}, which is none; save it as UTF-8 (is it Latin-1?)"
    return Mistake(line, f"expected a TOML file in UTF-8, {words}")


def _syntax(text: str, error: Exception) -> Mistake:
    """What tomllib says, with the line first: `Invalid value (at line 3, column 8)`."""
    words, _, where = str(error).rpartition(" (at ")
    if where.startswith("line "):
        return Mistake(int(where.split(",")[0].removeprefix("line ")), f"no TOML: {words} ({where.rstrip(')')})")
    if isinstance(error, tomllib.TOMLDecodeError):
        return Mistake(text.count("\n") + 1, f"no TOML: {error}")
    too_long = "expected a number of less than 4,300 digits"  # which Python refuses, lest it take for ever
    words = _TOO_DEEP if isinstance(error, RecursionError) else too_long
    line = next((line for line, statement in statements(text) if not _can_be_read(statement)), 1)
    return Mistake(line, words)


def _can_be_read(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except (ValueError, RecursionError):
        return False
    return True


def _deep_key(text: str) -> int | None:
    """Where a dotted key begins that has too many parts."""
    return next((found.start() for found in _DEEP_KEY.finditer(text) if found["key"]), None)


def _line_at(text: str, place: int) -> int:
    return text.count("\n", 0, place) + 1


def _depth(value: Any) -> int:
    """How many tables and lists are in each other; without recursion, which a dotted key could exhaust."""
    depth, level = 0, [value]
    while level := [of for of in level if isinstance(of, dict | list) and of]:
        depth += 1
        level = [inner for of in level for inner in (of.values() if isinstance(of, dict) else of)]
    return depth
