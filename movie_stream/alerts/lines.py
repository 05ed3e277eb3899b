"""The lines of the keys of a TOML file, which tomllib does not provide."""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

Path = tuple[str | int, ...]
"""The path of a value: keys, and indices in lists."""
TEXTS: Final = (
    r""""{3}(?:[^"\\]|\\.|"(?!""))*"{3,5}"""
    r"|'{3}(?:[^']|'(?!''))*'{3,5}"
    r'|"(?:[^"\\\n]|\\.)*"'
    r"|'[^'\n]*'"
    r"|\#[^\n]*"
)
"""The pattern of strings and comments."""
_TOKEN: Final = re.compile(rf"{TEXTS}|[\[\]{{}}\n]", re.DOTALL)
"""Strings and comments, brackets, in which a value may span lines, and line ends."""


class Lines:
    r"""The lines, from 1, of the tables and keys of a valid TOML file.

    >>> lines = Lines('[[rule]]\nto = [\n  "log",\n]\n\n[[rule]]\nname = "x"')
    >>> lines.of(("rule", 0, "to", 0)), lines.of(("rule", 1)), lines.of(("rule", 1, "name"))
    (2, 6, 7)
    """

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {}
        self._lists = Counter[Path]()
        table: Path = ()
        for line, statement in statements(text):
            parsed = tomllib.loads(statement)
            if statement.lstrip().startswith("["):
                table = self._header(parsed)
                self._at.setdefault(table, line)
            else:
                for path in _paths(parsed):
                    self._at.setdefault((*table, *path), line)

    def of(self, path: Path) -> int:
        """The line of a value, or of the nearest table around it; 1 if there is none."""
        while path and path not in self._at:
            path = path[:-1]
        return self._at.get(path, 1)

    def _header(self, parsed: Mapping[str, Any]) -> Path:
        """The path of the table that `[a.b]` or `[[a.b]]` begins."""
        path: Path = ()
        value: Any = parsed
        while isinstance(value, dict) and value:
            name, value = next(iter(value.items()))
            path = (*path, name)
            if isinstance(value, list):
                self._lists[path] += 1
            if self._lists[path]:
                path = (*path, self._lists[path] - 1)
        return path


def statements(text: str) -> Iterator[tuple[int, str]]:
    """Each header, and each key with its value, which may span lines, as first line and text."""
    begin, line, begin_line, depth = 0, 1, 1, 0
    for token in _TOKEN.finditer(f"{text}\n"):
        mark = token[0]
        line += mark.count("\n")
        depth += (mark in ("[", "{")) - (mark in ("]", "}"))
        if mark == "\n" and depth <= 0:
            statement = text[begin : token.start()]
            if statement.strip() and not statement.lstrip().startswith("#"):
                yield begin_line, statement
            begin, begin_line, depth = token.end(), line, 0


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    for name, inner in value.items():
        yield (*path, name)
        if isinstance(inner, dict):
            yield from _paths(inner, (*path, name))
