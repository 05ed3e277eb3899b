"""Damages views for a demonstration, in each way that `produce` and a worker refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from movie_stream.replay.synthetic.generate import GeneratedRows

Lines = Callable[[GeneratedRows], list[bytes]]
"""Encodes rows as the lines of a file, without line breaks, or as records."""


def _as_it_is(line: bytes) -> bytes:
    return line


@dataclass(frozen=True, slots=True)
class Damage:
    """One way to damage a view: other values in its columns, then a change of the encoded line."""

    name: str
    values: Mapping[str, Any] = field(default_factory=dict)
    change: Callable[[bytes], bytes] = _as_it_is

    def line(self, row: GeneratedRows, lines: Lines) -> bytes:
        """The damaged line of this single row."""
        columns: dict[str, Any] = {name: [value] for name, value in self.values.items()}
        [line] = lines(replace(row, **columns))
        return self.change(line)


def in_latin_1(line: bytes) -> bytes:
    """The line in Latin-1, as written by a program that does not use UTF-8.

    >>> in_latin_1("Café".encode()) == "Café".encode("latin-1")
    True
    """
    return line.replace("é".encode(), "é".encode("latin-1"))


def cut_off(line: bytes) -> bytes:
    """The first half of the line, without a quote that would continue in the next line.

    >>> cut_off(b'{"user_id":"u1","timestamp":1}')
    b'{"user_id":"u1"'
    """
    half = line[: len(line) // 2]
    return half if half.count(b'"') % 2 == 0 else half[: half.rindex(b'"')]


DAMAGES: Final = (
    Damage("no title", {"title": ""}),
    Damage("a rating of 11", {"rating": 11}),
    Damage("text for a time", {"timestamp": "yesterday"}),
    Damage("no user", {"user_id": ""}),
    Damage("not UTF-8", {"title": "Café"}, in_latin_1),
    Damage("a line cut off", change=cut_off),
)
