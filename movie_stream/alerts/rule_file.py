"""The file with the rules, ALERTS_FILE: read strictly, and all that is wrong with it is said at once, line by line."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from movie_stream.alerts import expectations, keys
from movie_stream.alerts.expectations import FILE_BYTES, Expectations
from movie_stream.alerts.keys import Key, Mistake, Reading, RulesRefused
from movie_stream.alerts.kinds import KINDS, OF_KIND
from movie_stream.alerts.lines import Lines
from movie_stream.alerts.quality import check_expectations
from movie_stream.alerts.receivers import Receiver, read_receivers
from movie_stream.alerts.rules import (
    EACH,
    LOG,
    Light,
    Rule,
)
from movie_stream.errors import SettingMissing
from movie_stream.settings import Settings, read_text

_HOUR_MS: Final = 3_600_000
"""The windows of films and of the quality."""
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

    @property
    def fingerprint(self) -> str:
        """By which workers see whether they have the same rules."""
        definitions = sorted(f"{rule.name} {rule.definition}" for rule in self.rules)
        return hashlib.sha256("\n".join(definitions).encode()).hexdigest()[:16]

    def rule(self, name: str) -> Rule | None:
        """The rule of this name."""
        return next((rule for rule in self.rules if rule.name == name), None)


def load(settings: Settings, path: Path | None = None) -> RuleFile:
    """The rules of a file, or of ALERTS_FILE. Raises SettingMissing, and RulesRefused with all mistakes."""
    path = path or settings.alerts_file
    if path is None:
        raise SettingMissing(variable="ALERTS_FILE", remedy="set it to the path of a file with rules (TOML)")
    try:
        text = read_text(path, at_most_bytes=FILE_BYTES)
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
    declared = _declared(file)
    rules = [rule for i, table in enumerate(given) if (rule := _rule(reading, table, ("rule", i), receivers, declared))]
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
    rules = [_by(rule, expectations.parsed(quality or {})) for rule in rules]
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


def _wait(value: Any) -> int:
    wait_ms = keys.length_ms(timedelta(), _DAY)(value)
    if wait_ms % 60_000:
        raise ValueError
    return wait_ms


def _rule(
    reading: Reading, table: Any, path: tuple[str, int], receivers: Mapping[str, Receiver], declared: Collection[str]
) -> Rule | None:
    """The rule of a table; None where that is wrong."""
    before = len(reading.mistakes)
    kind = table.get("kind") if isinstance(table, Mapping) else None
    if kind not in KINDS:  # which other keys there may be depends on it
        some = (
            {name: table[name] for name in ("name", "kind") if name in table} if isinstance(table, Mapping) else table
        )
        reading.values(some, path, _COMMON)
        return None
    own, condition_of = OF_KIND[kind]
    values = reading.values(table, path, (*_COMMON, *own))
    for place, name in enumerate(values.get("to", ())):
        if name not in receivers and name not in declared:
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


def _by(rule: Rule, expected: Expectations) -> Rule:
    """The rule, by the expectations of the file: where they change, its alerts do."""
    condition = rule.condition
    return replace(rule, condition=replace(condition, expected=expected)) if isinstance(condition, Light) else rule


def _declared(file: Mapping[str, Any]) -> set[str]:
    """The receivers that have a table. Where one has a mistake, that is said already."""
    tables = {kind: file.get(kind) for kind in ("webhook", "apprise")}
    return {f"{kind}.{name}" for kind, some in tables.items() if isinstance(some, Mapping) for name in some}


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
