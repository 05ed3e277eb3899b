"""What may stand in a table of the rules' file: each key is declared once, and read strictly."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from movie_stream.alerts.lines import Path
from movie_stream.errors import MovieStreamError
from movie_stream.masking import printable
from movie_stream.settings import parse_duration

REQUIRED: Final = object()
WRONG: Final = float("nan")
"""What stands for a value that cannot be meant, so that what is wrong with those around it is found too: it is there,
and no comparison with it holds.
"""
_LONGEST_QUOTE: Final = 60
_MOST_SAID: Final = 20
"""Mistakes in one line; the command `alerts check` has a line for each."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """Something in the file that cannot be meant, in one line of words."""

    line: int
    words: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.words}"


class RulesRefused(MovieStreamError):
    """The file with the rules has mistakes; all of them are named at once.

    What to do: correct the file; `movie-stream alerts check` says what it means then.

    >>> print(RulesRefused(path="alerts.toml", mistakes=[Mistake(3, "a rule needs a name")]))
    alerts.toml: line 3: a rule needs a name; see what it says now with: movie-stream alerts check
    """

    exit_code = 2

    def __init__(self, *, path: str, mistakes: Sequence[Mistake]) -> None:
        self.path, self.mistakes = path, tuple(mistakes)
        many = f"{len(mistakes)} mistakes: " if len(mistakes) > 1 else ""
        more = "; ..." if len(mistakes) > _MOST_SAID else ""
        said = "; ".join(map(str, mistakes[:_MOST_SAID]))
        super().__init__(f"{path}: {many}{said}{more}; see what it says now with: movie-stream alerts check")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `parse` makes its value of what TOML has, or raises ValueError."""

    name: str
    expected: str
    """What its value must be, in words."""
    parse: Callable[[Any], Any]
    default: Any = REQUIRED
    secret: bool = False
    """Whether its value is never shown, whatever it is."""


class Reading:
    """Reads tables, and gathers what is wrong with them."""

    def __init__(self, line_of: Callable[[Path], int]) -> None:
        self._line_of = line_of
        self.mistakes: list[Mistake] = []

    def wrong(self, path: Path, words: str) -> None:
        """Notes a mistake, in one line: names in a file may have any character."""
        self.mistakes.append(Mistake(self._line_of(path), printable(words)))

    def expected(self, path: Path, expected: str, got: Any) -> None:
        """Notes that something else was expected."""
        self.wrong(path, f"{name_of(path)}: expected {expected}, got {quoted(got)}")

    def line(self, path: Path) -> int:
        """Where something stands."""
        return self._line_of(path)

    def values(self, table: Any, path: Path, keys: Iterable[Key]) -> dict[str, Any]:
        """The values of a table's keys; what is wrong, or is written wrongly, is left out, and noted."""
        known = {key.name: key for key in keys}
        if not isinstance(table, Mapping):
            self.expected(path, "a table", table)
            return {}
        meant = set[str]()
        for name in (name for name in table if name not in known):
            near = difflib.get_close_matches(name, known, 1)
            meant.update(near)
            hint = f"; is {near[0]} meant?" if near else ""
            self.wrong((*path, name), f"{name_of((*path, name))}: expected one of {', '.join(known)}{hint}")
        values: dict[str, Any] = {}
        for key in known.values():
            if key.name not in table:
                if key.name in meant:
                    continue
                if key.default is REQUIRED:
                    self.wrong(path, f"{name_of(path)}: expected {key.name}, which is {key.expected}, got nothing")
                else:
                    values[key.name] = key.default
                continue
            try:
                values[key.name] = key.parse(table[key.name])
            except ValueError:
                came = kind_of(table[key.name]) if key.secret else quoted(table[key.name])
                self.wrong((*path, key.name), f"{name_of((*path, key.name))}: expected {key.expected}, got {came}")
        return values


def name_of(path: Path) -> str:
    """The way to a value, as people count.

    >>> name_of(("rule", 0, "window")), name_of(("webhook", "ops")), name_of(())
    ('rule 1, window', 'webhook.ops', 'the file')
    """
    if len(path) > 1 and isinstance(path[1], int):
        rest = ".".join(str(part) for part in path[2:])
        return f"{path[0]} {path[1] + 1}" + (f", {rest}" if rest else "")
    return ".".join(map(str, path)) or "the file"


def quoted(value: Any) -> str:
    """A value as it came, cut to a bearable length."""
    text = f"{value!r}" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def kind_of(value: Any) -> str:
    """What a value is, where it must not be shown.

    >>> kind_of("hunter2"), kind_of(["hunter2"]), kind_of(True)
    ('another text', 'another list', 'something else')
    """
    names = {str: "another text", list: "another list", dict: "a table", int: "a number", float: "a number"}
    return names.get(type(value), "something else")


def text(pattern: str) -> Callable[[Any], str]:
    """A text of this form."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return parse


def one_of(*words: str) -> Callable[[Any], str]:
    """One of these words."""
    return text("|".join(map(re.escape, words)))


def number(least: float, most: float, *, beyond: bool = False) -> Callable[[Any], float]:
    """A number between two; `beyond` the first one."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError
        if beyond and value == least:
            raise ValueError
        return float(value)

    return parse


def whole(least: int, most: int) -> Callable[[Any], int]:
    """A whole number between two."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return value

    return parse


def length_ms(least: timedelta, most: timedelta, *, divides_a_day: bool = False) -> Callable[[Any], int]:
    """A length of time, such as `5 min`, in milliseconds: whole minutes where it `divides_a_day`."""

    def parse(value: Any) -> int:
        length = parse_duration(value.replace(" ", "") if isinstance(value, str) else value)
        if not least <= length <= most or (divides_a_day and timedelta(days=1) % length):
            raise ValueError
        if divides_a_day and length % timedelta(minutes=1):
            raise ValueError
        return length // timedelta(milliseconds=1)

    return parse


def texts(value: Any) -> tuple[str, ...]:
    """A list of texts, at least one."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise ValueError
    return tuple(value)
