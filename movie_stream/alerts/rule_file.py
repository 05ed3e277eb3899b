"""The file with the rules, ALERTS_FILE: read strictly, and all that is wrong with it is said at once, line by line."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from movie_stream.aggregates import results
from movie_stream.aggregates.shape import Shape
from movie_stream.alerts import keys
from movie_stream.alerts.keys import Key, Mistake, Reading, RulesRefused
from movie_stream.alerts.lines import Lines
from movie_stream.alerts.quality import check_expectations
from movie_stream.alerts.receivers import Receiver, read_receivers
from movie_stream.alerts.rules import (
    ALL,
    EACH,
    LOG,
    Beyond,
    BeyondUsual,
    Climbing,
    Condition,
    Light,
    Quality,
    RatingFalling,
    Rule,
)
from movie_stream.errors import SettingMissing
from movie_stream.events.contract import TEXTS
from movie_stream.events.event import slug_of
from movie_stream.settings import Settings, read_text

QUALITY: Final = "data_quality"
"""The collection that rules of this kind look at."""
KINDS: Final = ("views", "rating_falling", "climbing", "silence", "quality")
_HOUR_MS: Final = 3_600_000
"""The windows of films and of the quality."""
_FILE_BYTES: Final = 256 << 10
_MOST: Final = 1e12
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_NAME: Final = r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}"


@dataclass(frozen=True, slots=True)
class RuleFile:
    """What the file says."""

    rules: tuple[Rule, ...]
    receivers: Mapping[str, Receiver]
    deliver_within_ms: int = 86_400_000
    """An alert that ended longer ago than this, by the wall clock, is stored and sent to nobody."""
    quality: Mapping[str, Any] | None = None
    """The table with the expectations of the data's quality."""

    def rule(self, name: str) -> Rule | None:
        """The rule of this name."""
        return next((rule for rule in self.rules if rule.name == name), None)


def load(settings: Settings, path: Path | None = None) -> RuleFile:
    """The rules of a file, or of ALERTS_FILE. Raises SettingMissing, and RulesRefused with all mistakes."""
    path = path or settings.alerts_file
    if path is None:
        raise SettingMissing(variable="ALERTS_FILE", remedy="set it to the path of a file with rules (TOML)")
    try:
        text = read_text(path, at_most_bytes=_FILE_BYTES)
    except (OSError, ValueError) as error:
        why = "it is not UTF-8" if isinstance(error, UnicodeDecodeError) else getattr(error, "strerror", None) or error
        raise RulesRefused(path=str(path), mistakes=[Mistake(1, f"expected a readable TOML file: {why}")]) from error
    return parsed(text, str(path), os.environ)


def parsed(text: str, name: str, environment: Mapping[str, str]) -> RuleFile:
    """The rules of a text in TOML. Raises RulesRefused with all mistakes."""
    text = text.replace("\r\n", "\n")
    try:
        file = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulesRefused(path=name, mistakes=[_syntax(text, str(error))]) from error
    reading = Reading(Lines(text).of)
    receivers = read_receivers(reading, file, environment)
    top = reading.values(file, (), _TOP)
    given = top.get("rule") or []
    rules = [rule for i, table in enumerate(given) if (rule := _rule(reading, table, ("rule", i), receivers))]
    _insist_on_different_names(reading, given)
    if not given and not reading.mistakes:
        reading.wrong((), "expected at least one table [[rule]], got none")
    quality = top.get("quality")
    check_expectations(reading, quality)
    if reading.mistakes:
        raise RulesRefused(path=name, mistakes=sorted(reading.mistakes, key=lambda mistake: mistake.line))
    delivery = reading.values(top["delivery"], ("delivery",), _DELIVERY)
    if reading.mistakes:
        raise RulesRefused(path=name, mistakes=reading.mistakes)
    return RuleFile(tuple(rules), receivers, delivery["deliver_within"], quality)


def _syntax(text: str, error: str) -> Mistake:
    """What tomllib says, with the line first: `Invalid value (at line 3, column 8)`."""
    words, _, where = error.rpartition(" (at ")
    if where.startswith("line "):
        return Mistake(int(where.split(",")[0].removeprefix("line ")), f"no TOML: {words} ({where.rstrip(')')})")
    return Mistake(max(len(text.split("\n")), 1), f"no TOML: {error}")


def _tables(value: Any) -> list[Any]:
    if not isinstance(value, list) or len(value) > 1_000:
        raise ValueError
    return value


def _table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise ValueError
    return value


_TOP: Final = (
    Key("rule", "tables [[rule]], at most 1,000", _tables, None),
    Key("webhook", "tables [webhook.NAME]", _table, None),
    Key("apprise", "tables [apprise.NAME]", _table, None),
    Key("quality", "a table [quality]", _table, None),
    Key("delivery", "a table [delivery]", _table, {}),
)
_DELIVERY: Final = (
    Key(
        "deliver_within",
        "a length of time from 1 min to 3650 d, such as 24 h",
        keys.length_ms(_MINUTE, 3650 * _DAY),
        86_400_000,
    ),
)
_COMMON: Final = (
    Key("name", "1 to 64 letters, digits, spaces, dots, dashes or underscores", keys.text(_NAME)),
    Key("kind", f"one of {', '.join(KINDS)}", keys.one_of(*KINDS)),
    Key("for", "a whole number of windows in a row, from 1 to 10000", keys.whole(1, 10_000), 1),
    Key("wait", "a length of time from 0 s to 1 d in minutes, such as 2 min", lambda value: _wait(value), 60_000),
    Key("severity", "info, warning or critical", keys.one_of("info", "warning", "critical"), "warning"),
    Key("to", 'a list of receivers, such as ["log", "webhook.ops"]', keys.texts, (LOG,)),
)
_GENRE: Final = Key("genre", 'the name of a genre, "all" or "each"', lambda value: _genre(value), ALL)
_WINDOW: Final = Key(
    "window",
    "a length of time from 1 min to 1 d that divides a day, such as 5 min, 1 h or 1 d",
    keys.length_ms(_MINUTE, _DAY, divides_a_day=True),
)
_POSITIVE: Final = keys.number(0, _MOST, beyond=True)
_LIMIT: Final = "a number from 0"
_AT_LEAST: Final = Key("at_least", "a number from 1", keys.number(1, _MOST), None)
_DIRECTIONS: Final = ("above", "below", "above_usual", "below_usual")
_USUAL: Final = (
    Key("weeks", "a whole number from 1 to 52", keys.whole(1, 52), None),
    Key("min_weeks", "a whole number from 1 to 52, at most that of weeks", keys.whole(1, 52), None),
    Key("spread", "a number from 0 to 100", keys.number(0, 100), None),
    _AT_LEAST,
)
_OVER: Final = Key("over", "a whole number of windows before, from 1 to 1000", keys.whole(1, 1_000), None)


def _wait(value: Any) -> int:
    wait_ms = keys.length_ms(timedelta(), _DAY)(value)
    if wait_ms % 60_000:
        raise ValueError
    return wait_ms


def _genre(value: Any) -> str:
    if not isinstance(value, str) or not 1 <= len(value.strip()) <= TEXTS["genre"].longest:
        raise ValueError
    if "|" in value or any(char < " " for char in value):
        raise ValueError
    return value if value in (ALL, EACH) else slug_of(value)


def _rule(reading: Reading, table: Any, path: tuple[str, int], receivers: Mapping[str, Receiver]) -> Rule | None:
    """The rule of a table; None where that is wrong."""
    before = len(reading.mistakes)
    kind = table.get("kind") if isinstance(table, Mapping) else None
    if kind not in KINDS:  # which other keys there may be depends on it
        some = (
            {name: table[name] for name in ("name", "kind") if name in table} if isinstance(table, Mapping) else table
        )
        reading.values(some, path, _COMMON)
        return None
    own, condition_of = _OF_KIND[kind]
    values = reading.values(table, path, (*_COMMON, *own))
    for place, name in enumerate(values.get("to", ())):
        if name not in receivers and not _is_declared(reading, name):
            reading.expected((*path, "to", place), f"one of {', '.join(receivers)}", name)
    if len(reading.mistakes) > before:
        return None
    condition = condition_of(reading, values, path)
    if condition is None:
        return None
    return Rule(
        values["name"],
        kind,
        condition,
        values.get("genre", EACH),
        values.get("window", _HOUR_MS),
        values["for"],
        values["wait"],
        values["severity"],
        values["to"],
        reading.line(path),
    )


def _is_declared(reading: Reading, receiver: str) -> bool:
    """Whether the receiver itself has a mistake, which is said already."""
    return any(receiver in mistake.words for mistake in reading.mistakes)


def _insist_on_different_names(reading: Reading, tables: list[Any]) -> None:
    lines: dict[str, int] = {}
    for i, table in enumerate(tables):
        name = table.get("name") if isinstance(table, Mapping) else None
        if not isinstance(name, str):
            continue
        if name in lines:
            reading.wrong(
                ("rule", i, "name"),
                f"rule {i + 1}, name: expected a name of its own, got {keys.quoted(name)}, as in line {lines[name]}",
            )
        lines.setdefault(name, reading.line(("rule", i, "name")))


def _views(reading: Reading, values: Mapping[str, Any], path: tuple[str, int]) -> Condition | None:
    given = [name for name in _DIRECTIONS if values[name] is not None]
    if len(given) != 1:
        got = " and ".join(given) or "none of them"
        reading.wrong(path, f"rule {path[1] + 1}: expected one of {', '.join(_DIRECTIONS)}, got {got}")
        return None
    [name] = given
    direction = "above" if name.startswith("above") else "below"
    usual = {of.name: values[of.name] for of in _USUAL if values[of.name] is not None}
    if name == direction:
        for other in usual:
            reading.wrong(
                (*path, other), f"rule {path[1] + 1}, {other}: expected above_usual or below_usual besides it"
            )
        return None if usual else Beyond(direction, values[name])  # type: ignore[arg-type]
    if name == "below_usual" and values[name] > 1:
        reading.expected((*path, name), "a number above 0, at most 1", values[name])
        return None
    condition = BeyondUsual(direction, values[name], **usual)  # type: ignore[arg-type]
    if condition.min_weeks > condition.weeks:
        place = "min_weeks" if "min_weeks" in usual else "weeks"
        words = f"expected at most weeks ({condition.weeks}), got {condition.min_weeks}"
        reading.wrong((*path, place), f"rule {path[1] + 1}, min_weeks: {words}")
        return None
    return condition


def _given(values: Mapping[str, Any], *names: str) -> dict[str, Any]:
    return {name: values[name] for name in names if values[name] is not None}


def _quality(reading: Reading, values: Mapping[str, Any], path: tuple[str, int]) -> Condition | None:
    number = f"rule {path[1] + 1}"
    fields = quality_fields()
    if not fields:
        reading.wrong((*path, "kind"), f"{number}: expected another kind: this version has no result {QUALITY}")
        return None
    if values["light"] is not None:
        if others := list(_given(values, "field", "share_of", "above", "below")):
            reading.wrong((*path, others[0]), f"{number}: expected light or {others[0]}, got both")
            return None
        return Light(values["light"])
    if values["field"] is None:
        reading.wrong(path, f"{number}: expected field (one of {', '.join(fields)}) or light, got nothing")
        return None
    for name in ("field", "share_of"):
        if values[name] is not None and values[name] not in fields:
            reading.expected((*path, name), f"one of {', '.join(fields)}", values[name])
            return None
    given = _given(values, "above", "below")
    if len(given) != 1:
        reading.wrong(path, f"{number}: expected one of above, below, got {' and '.join(given) or 'none of them'}")
        return None
    [(direction, limit)] = given.items()
    if values["share_of"] is not None and limit > 1:
        reading.expected((*path, direction), "a share from 0 to 1, since share_of is given", limit)
        return None
    return Quality(values["field"], direction, limit, values["share_of"])  # type: ignore[arg-type]


def quality_fields() -> list[str]:
    """The figures of `data_quality`; none where RESULTS has no such result."""
    shape = next((Shape.of(result) for result in results.RESULTS if result.collection == QUALITY), None)
    numbers = [column.name for column in shape.fields if column.kind in ("count", "number")] if shape else []
    return [name for name in numbers if name != "partition"]


_Made = Callable[[Reading, Mapping[str, Any], tuple[str, int]], Condition | None]
_OF_KIND: Final[Mapping[str, tuple[tuple[Key, ...], _Made]]] = {
    "views": (
        (
            _GENRE,
            _WINDOW,
            Key("above", _LIMIT, keys.number(0, _MOST), None),
            Key("below", "a number above 0", _POSITIVE, None),
            Key("above_usual", "a number from 1", keys.number(1, _MOST), None),
            Key("below_usual", "a number above 0, at most 1", _POSITIVE, None),
            *_USUAL,
        ),
        _views,
    ),
    "rating_falling": (
        (_GENRE, _WINDOW, Key("by", "a number above 0, at most 5", keys.number(0, 5, beyond=True)), _OVER, _AT_LEAST),
        lambda _, values, __: RatingFalling(values["by"], **_given(values, "over", "at_least")),
    ),
    "climbing": (
        (Key("times", "a number from 1", keys.number(1, _MOST)), _OVER, _AT_LEAST),
        lambda _, values, __: Climbing(values["times"], **_given(values, "over", "at_least")),
    ),
    "silence": ((_GENRE, _WINDOW), lambda _, __, ___: Beyond("below", 1.0)),
    "quality": (
        (
            Key("field", "a figure of data_quality", keys.text(r"[a-z0-9_]{1,64}"), None),
            Key("share_of", "a figure of data_quality", keys.text(r"[a-z0-9_]{1,64}"), None),
            Key("above", _LIMIT, keys.number(0, _MOST), None),
            Key("below", "a number above 0", _POSITIVE, None),
            Key("light", "yellow or red", keys.one_of("yellow", "red"), None),
        ),
        _quality,
    ),
}
