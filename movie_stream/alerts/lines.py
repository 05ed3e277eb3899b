"""Where the keys of a TOML file stand, which tomllib does not tell."""

from __future__ import annotations

import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
"""The keys, and places in lists, that lead to a value."""


class Lines:
    r"""The lines, from 1, of the tables and keys of a file that tomllib takes.

    >>> lines = Lines('[[rule]]\nto = [\n  "log",\n]\n\n[[rule]]\nname = "x"')
    >>> lines.of(("rule", 0, "to", 0)), lines.of(("rule", 1)), lines.of(("rule", 1, "name"))
    (2, 6, 7)
    """

    def __init__(self, text: str) -> None:
        self._at: dict[Path, int] = {}
        self._lists = Counter[Path]()
        table: Path = ()
        for line, statement, parsed in _statements(text):
            if statement.lstrip().startswith("["):
                table = self._header(parsed)
                self._at.setdefault(table, line)
            else:
                for path in _paths(parsed):
                    self._at.setdefault((*table, *path), line)

    def of(self, path: Path) -> int:
        """The line of a value, or of the nearest table around it; 1 where there is none."""
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


def _statements(text: str) -> Iterator[tuple[int, str, dict[str, Any]]]:
    """Each header and each key with its value, which may go over several lines: its first line, text and meaning."""
    statement, begin = "", 1
    for number, line in enumerate(text.split("\n"), 1):
        statement += f"{line}\n"
        try:
            parsed = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue  # it goes on in the next line
        if parsed:
            yield begin, statement, parsed
        statement, begin = "", number + 1


def _paths(value: Any, path: Path = ()) -> Iterator[Path]:
    for name, of in value.items():
        yield (*path, name)
        if isinstance(of, dict):
            yield from _paths(of, (*path, name))
