"""The cells of a CSV: text becomes numbers, strictly, a whole column at a time.

An empty cell is null; a whole number may be written with zeros after the point, as spreadsheets do.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Final

from movie_stream.event import RULES

WHOLE: Final = re.compile(r"(-?[0-9]{1,18})(?:\.0*)?")
DECIMAL: Final = re.compile(r"-?(?:[0-9]{1,40}\.?[0-9]{0,40}|\.[0-9]{1,40})(?:[eE][+-]?[0-9]{1,3})?")
REMEMBERED: Final = 100_000
"""Cells of one column whose number is remembered; there are few ratings and durations."""


class NoNumber:
    """Stands in a column for a cell that holds no such number."""


NO_NUMBER: Final = NoNumber()


class Numbers(dict[str, float | int | NoNumber | None]):
    """The numbers that cells stand for, by the cells' text; each is parsed when it is first asked for.

    >>> cells = Numbers(parse_whole)
    >>> [cells["30"], cells["30.0"], cells[""], cells["3O"] is NO_NUMBER]
    [30, 30, None, True]
    """

    def __init__(self, parse: Callable[[str], float | int | NoNumber | None]) -> None:
        self._parse = parse

    def __missing__(self, cell: str) -> float | int | NoNumber | None:
        if len(self) >= REMEMBERED:
            self.clear()
        number = self[cell] = self._parse(cell)
        return number

    def column(self, cells: Sequence[str]) -> list[float | int | NoNumber | None]:
        """The numbers of a column."""
        return list(map(self.__getitem__, cells))


def parse_whole(cell: str) -> int | NoNumber | None:
    """The whole number in a cell.

    >>> parse_whole(" -7"), parse_whole("1.5") is NO_NUMBER
    (-7, True)
    """
    text = cell.strip()
    if not text:
        return None
    match = WHOLE.fullmatch(text)
    return int(match[1]) if match else NO_NUMBER


def parse_decimal(cell: str) -> float | NoNumber | None:
    """The number in a cell; neither NaN nor infinity is one."""
    text = cell.strip()
    if not text:
        return None
    number = float(text) if DECIMAL.fullmatch(text) else math.inf
    return number if math.isfinite(number) else NO_NUMBER


def timestamps(cells: Sequence[str]) -> list[int | NoNumber | None]:
    """A column of timestamps, of which hardly two are alike."""
    together = "".join(cells)
    if together.isascii() and together.isdigit() and "" not in cells and max(map(len, cells)) <= 18:
        return list(map(int, cells))
    return [parse_whole(cell) for cell in cells]


def refusal(field: str, cell: str) -> str:
    """Says what a cell of this field should hold, and what it holds.

    >>> refusal("rating", "abc")
    'rating: expected a number from 0 to 5, or null, got "abc"'
    """
    if not cell.strip():
        return f"{field}: expected {RULES[field]}, got an empty cell"
    shown = "".join(char if char.isprintable() else ascii(char)[1:-1] for char in cell[:40])
    return f'{field}: expected {RULES[field]}, got "{shown}{"..." if len(cell) > 40 else ""}"'
