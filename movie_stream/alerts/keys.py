"""The schema of the tables in the rules' file: each key is declared once, and validated strictly."""

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
"""The placeholder of an invalid value, so that mistakes in other values are found too. It is not None, and no
comparison with it holds.
"""
_LONGEST_QUOTE: Final = 60
_MOST_LISTED: Final = 20
"""The most mistakes in one message; the command `alerts check` lists all of them."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A mistake in the file, with its line and a message of one line."""

    line: int
    words: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.words}"


class RulesRefused(MovieStreamError):
    """The file with the rules has mistakes; the message lists all of them.

    What to do: correct the file; `movie-stream alerts check` says what it means then.

    >>> print(RulesRefused(path="alerts.toml", mistakes=[Mistake(3, "a rule needs a name")]))
    alerts.toml: line 3: a rule needs a name; see what it says now with: movie-stream alerts check
    """

    exit_code = 2

    def __init__(self, *, path: str, mistakes: Sequence[Mistake]) -> None:
        self.path, self.mistakes = path, tuple(mistakes)
        many = f"{len(mistakes)} mistakes: " if len(mistakes) > 1 else ""
        more = "; ..." if len(mistakes) > _MOST_LISTED else ""
        listed = "; ".join(map(str, mistakes[:_MOST_LISTED]))
        super().__init__(f"{path}: {many}{listed}{more}; see what it says now with: movie-stream alerts check")


@dataclass(frozen=True, slots=True)
class Key:
    """One key: `parse` converts its TOML value, or raises ValueError."""

    name: str
    expected: str
    """What its value must be, for messages."""
    parse: Callable[[Any], Any]
    default: Any = REQUIRED
    secret: bool = False
    """Whether its value must not appear in messages."""


class Reading:
    """Reads tables, and collects their mistakes."""

    def __init__(self, line_of: Callable[[Path], int]) -> None:
        self._line_of = line_of
        self.mistakes: list[Mistake] = []

    def wrong(self, path: Path, words: str) -> None:
        """Adds a mistake. Names in a file may contain any character, so the message is made printable."""
        self.mistakes.append(Mistake(self._line_of(path), printable(words)))

    def expected(self, path: Path, expected: str, got: Any) -> None:
        """Adds the mistake that another value was expected."""
        self.wrong(path, f"{name_of(path)}: expected {expected}, got {quoted(got)}")

    def line(self, path: Path) -> int:
        """The line of a value."""
        return self._line_of(path)

    def values(self, table: Any, path: Path, keys: Iterable[Key]) -> dict[str, Any]:
        """The values of a table's keys; invalid and misspelt ones are omitted, and added to the mistakes."""
        known = {key.name: key for key in keys}
        if not isinstance(table, Mapping):
            self.expected(path, "a table", table)
            return {}
        misspelt = set[str]()
        for name in (name for name in table if name not in known):
            near = difflib.get_close_matches(name, known, 1)
            misspelt.update(near)
            hint = f"; is {near[0]} meant?" if near else ""
            self.wrong((*path, name), f"{name_of((*path, name))}: expected one of {', '.join(known)}{hint}")
        values: dict[str, Any] = {}
        for key in known.values():
            if key.name not in table:
                if key.name in misspelt:
                    continue
                if key.default is REQUIRED:
                    self.wrong(path, f"{name_of(path)}: expected {key.name}, which is {key.expected}, got nothing")
                else:
                    values[key.name] = key.default
                continue
            try:
                values[key.name] = key.parse(table[key.name])
            except ValueError:
                got = kind_of(table[key.name]) if key.secret else quoted(table[key.name])
                self.wrong((*path, key.name), f"{name_of((*path, key.name))}: expected {key.expected}, got {got}")
        return values


def name_of(path: Path) -> str:
    """The path of a value for messages, with rules counted from 1.

    >>> name_of(("rule", 0, "window")), name_of(("webhook", "ops")), name_of(())
    ('rule 1, window', 'webhook.ops', 'the file')
    """
    if len(path) > 1 and isinstance(path[1], int):
        rest = ".".join(str(part) for part in path[2:])
        return f"{path[0]} {path[1] + 1}" + (f", {rest}" if rest else "")
    return ".".join(map(str, path)) or "the file"


def quoted(value: Any) -> str:
    """A value as it is in the file, truncated."""
    text = f"{value!r}" if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _LONGEST_QUOTE else f"{text[:_LONGEST_QUOTE]}..."


def kind_of(value: Any) -> str:
    """The type of a value that must not be shown.

    >>> kind_of("hunter2"), kind_of(["hunter2"]), kind_of(True)
    ('another text', 'another list', 'something else')
    """
    names = {str: "another text", list: "another list", dict: "a table", int: "a number", float: "a number"}
    return names.get(type(value), "something else")


def text(pattern: str) -> Callable[[Any], str]:
    """A parser of texts that match a pattern."""

    def parse(value: Any) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError
        return value

    return parse


def one_of(*words: str) -> Callable[[Any], str]:
    """A parser of one of these words."""
    return text("|".join(map(re.escape, words)))


def number(least: float, most: float, *, beyond: bool = False) -> Callable[[Any], float]:
    """A parser of numbers between two limits; `beyond` excludes the first one."""

    def parse(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
            raise ValueError
        if beyond and value == least:
            raise ValueError
        return float(value)

    return parse


def whole(least: int, most: int) -> Callable[[Any], int]:
    """A parser of whole numbers between two limits."""

    def parse(value: Any) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise ValueError
        return value

    return parse


def length_ms(least: timedelta, most: timedelta, *, divides_a_day: bool = False) -> Callable[[Any], int]:
    """A parser of durations such as `5 min`, in milliseconds: whole minutes if it `divides_a_day`."""

    def parse(value: Any) -> int:
        length = parse_duration(value.replace(" ", "") if isinstance(value, str) else value)
        if not least <= length <= most or (divides_a_day and timedelta(days=1) % length):
            raise ValueError
        if divides_a_day and length % timedelta(minutes=1):
            raise ValueError
        return length // timedelta(milliseconds=1)

    return parse


def texts(value: Any) -> tuple[str, ...]:
    """Parses a list of texts, at least one."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise ValueError
    return tuple(value)
