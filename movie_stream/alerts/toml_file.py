"""Parses a TOML file, which may have a BOM, another encoding or mistakes, and the lines of its keys."""

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
"""The most bytes of a file of alerts."""
_DEEPEST: Final = 32
"""The deepest nesting of tables and lists: far more than any key needs, far below Python's recursion limit."""
_TOO_DEEP: Final = f"expected at most {_DEEPEST} tables or lists in each other, got more"
_PART: Final = r"""(?:[\w-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')[ \t]*\.[ \t]*"""
_DEEP_KEY: Final = re.compile(rf"(?P<key>(?<![\w-])(?:{_PART}){{{_DEEPEST}}})|{TEXTS}", re.DOTALL)
_BOM: Final = "\ufeff"
_BOMS_OF_UTF_16: Final = (b"\xff\xfe", b"\xfe\xff")


@dataclass(frozen=True, slots=True)
class TomlFile:
    """The values of a file, and the lines of its keys."""

    values: Mapping[str, Any]
    lines: Lines


def read_toml(path: Path) -> TomlFile:
    """Reads a file. Raises RulesRefused if it cannot be read, or is not TOML."""
    try:
        text = read_text(path, at_most_bytes=FILE_BYTES)
    except UnicodeDecodeError as error:
        raise RulesRefused(path=str(path), mistakes=[_encoding(error)]) from error
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise RulesRefused(path=str(path), mistakes=[Mistake(1, f"expected a readable TOML file: {why}")]) from error
    return toml_of(text, str(path))


def toml_of(text: str, name: str) -> TomlFile:
    """Parses a text; a BOM is ignored. Raises RulesRefused with the name."""
    text = text.removeprefix(_BOM).replace("\r\n", "\n")
    if (at := text.find("\0")) >= 0:
        words = "expected a TOML file in UTF-8, got NUL characters, as UTF-16 has them; save it as UTF-8"
        raise RulesRefused(path=name, mistakes=[Mistake(_line_at(text, at), words)])
    if (deep := _deep_key(text)) is not None:  # tomllib takes minutes for a very long one
        raise RulesRefused(path=name, mistakes=[Mistake(_line_at(text, deep), _TOO_DEEP)])
    try:
        values = tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise RulesRefused(path=name, mistakes=[_syntax(text, error)]) from error
    if _depth(values) > _DEEPEST:
        line, _ = max(statements(text), key=lambda statement: _depth(tomllib.loads(statement[1])))
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
    """The message of tomllib with its line, from a text such as `Invalid value (at line 3, column 8)`."""
    words, _, location = str(error).rpartition(" (at ")
    if location.startswith("line "):
        return Mistake(int(location.split(",")[0].removeprefix("line ")), f"no TOML: {words} ({location.rstrip(')')})")
    if isinstance(error, tomllib.TOMLDecodeError):
        return Mistake(text.count("\n") + 1, f"no TOML: {error}")
    too_long = "expected a number of less than 4,300 digits"  # Python's limit for the conversion of integers
    words = _TOO_DEEP if isinstance(error, RecursionError) else too_long
    line = next((line for line, statement in statements(text) if not _is_valid(statement)), 1)
    return Mistake(line, words)


def _is_valid(statement: str) -> bool:
    try:
        tomllib.loads(statement)
    except (ValueError, RecursionError):
        return False
    return True


def _deep_key(text: str) -> int | None:
    """The index of the first dotted key with too many parts, if any."""
    return next((found.start() for found in _DEEP_KEY.finditer(text) if found["key"]), None)


def _line_at(text: str, index: int) -> int:
    return text.count("\n", 0, index) + 1


def _depth(value: Any) -> int:
    """The nesting depth of tables and lists; without recursion, whose limit a dotted key could exceed."""
    depth, level = 0, [value]
    while level := [outer for outer in level if isinstance(outer, dict | list) and outer]:
        depth += 1
        level = [inner for outer in level for inner in (outer.values() if isinstance(outer, dict) else outer)]
    return depth
