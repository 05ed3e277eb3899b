"""The file with the rules, ALERTS_FILE: validated strictly, with all mistakes reported together, by line."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Final
from unicodedata import category, normalize

from movie_stream.alerts import expectations, keys
from movie_stream.alerts.expectations import QUALITY, Expectations
from movie_stream.alerts.keys import WRONG, Key, Reading, RulesRefused
from movie_stream.alerts.kinds import KINDS, OF_KIND
from movie_stream.alerts.receivers import Knows, Receiver, read_receivers, scheme_of
from movie_stream.alerts.rules import ALL, EACH, HOUR_MS, LOG, LightAtLeast, Rule
from movie_stream.alerts.toml_file import TomlFile, read_toml, toml_of
from movie_stream.errors import SettingMissing
from movie_stream.settings import Settings

_MOST_RULES: Final = 1_000
_DAY: Final = timedelta(days=1)
_MINUTE: Final = timedelta(minutes=1)
_LONGEST_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class RuleFile:
    """The content of the file."""

    rules: tuple[Rule, ...]
    receivers: Mapping[str, Receiver]
    deliver_within_ms: int = 86_400_000
    """An alert that ended longer ago than this, by the wall clock, is stored and sent to nobody."""
    quality: Expectations = field(default_factory=Expectations)
    """The expectations of the data."""

    @property
    def fingerprint(self) -> str:
        """A digest by which workers detect different rules."""
        definitions = sorted(f"{rule.name} {rule.definition}" for rule in self.rules)
        return hashlib.sha256("\n".join(definitions).encode()).hexdigest()[:16]

    def rule(self, name: str) -> Rule | None:
        """The rule of this name."""
        return next((rule for rule in self.rules if rule.name == normalize("NFC", name)), None)


def load(settings: Settings, path: Path | None = None, knows: Knows | None = None) -> RuleFile:
    """The rules of a file, or of ALERTS_FILE; with `knows` also whether apprise can send to its URLs.

    Raises SettingMissing, and RulesRefused with all mistakes.
    """
    path = path or settings.alerts_file
    if path is None:
        raise SettingMissing(variable="ALERTS_FILE", remedy="set it to the path of a file with rules (TOML)")
    return _of(read_toml(path), str(path), os.environ, knows)


def parsed(text: str, name: str, environment: Mapping[str, str], knows: Knows | None = None) -> RuleFile:
    """The rules of a text in TOML. Raises RulesRefused with all mistakes."""
    return _of(toml_of(text, name), name, environment, knows)


def _of(file: TomlFile, name: str, environment: Mapping[str, str], knows: Knows | None) -> RuleFile:
    reading = Reading(file.lines.of)
    top = reading.values(file.values, (), _TOP)
    receivers = read_receivers(reading, file.values, environment, knows)
    expected = expectations.read(reading, top.get(QUALITY, {}))
    delivery = reading.values(top.get("delivery", {}), ("delivery",), _DELIVERY)
    none = "rule" not in top or ("rule" not in file.values and QUALITY in file.values)  # only expectations
    rules = () if none else _rules(reading, top["rule"], receivers, _declared(file.values))
    if reading.mistakes or expected is None:
        raise RulesRefused(path=name, mistakes=sorted(reading.mistakes, key=lambda mistake: mistake.line))
    return RuleFile(
        tuple(_expecting(rule, expected) for rule in rules), receivers, delivery["deliver_within"], expected
    )


def _rules(
    reading: Reading, tables: Any, receivers: Mapping[str, Receiver], declared: Collection[str]
) -> Sequence[Rule]:
    if not isinstance(tables, list):
        reading.wrong(("rule",), f"rule: expected tables [[rule]], got {keys.kind_of(tables)}; write [[rule]] twice")
        return ()
    if not tables:
        reading.wrong((), f"expected at least one table [[rule]], or [{QUALITY}], got none")
    if len(tables) > _MOST_RULES:
        reading.wrong(("rule", _MOST_RULES), f"expected at most {_MOST_RULES:,} tables [[rule]], got {len(tables):,}")
        return ()
    _require_different_names(reading, tables)
    return [rule for i, table in enumerate(tables) if (rule := _rule(reading, table, ("rule", i), receivers, declared))]


def _as_it_is(value: Any) -> Any:
    return value


_TOP: Final = (  # each table is validated where it is read
    Key("rule", "", _as_it_is, []),
    Key("webhook", "", _as_it_is, {}),
    Key("apprise", "", _as_it_is, {}),
    Key(QUALITY, "", _as_it_is, {}),
    Key("delivery", "", _as_it_is, {}),
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
    Key(
        "name",
        f"1 to {_LONGEST_NAME} letters (of any language), digits, spaces, dots, dashes or underscores",
        lambda value: _name(value),
    ),
    Key("kind", f"one of {', '.join(KINDS)}", keys.one_of(*KINDS)),
    Key("for", "a whole number of windows in a row, from 1 to 10000", keys.whole(1, 10_000), 1),
    Key("wait", "a length of time from 0 s to 1 d in minutes, such as 2 min", lambda value: _wait(value), 60_000),
    Key("severity", "info, warning or critical", keys.one_of("info", "warning", "critical"), "warning"),
    Key("to", 'a list of receivers, such as ["log", "webhook.ops"]', keys.texts, (LOG,)),
)


def _name(value: Any) -> str:
    """Parses a name, normalized to NFC."""
    name = normalize("NFC", value) if isinstance(value, str) else ""
    letters = all(
        category(char)[0] in "LMN" or char in " ._-" for char in name
    )  # M: accents, and vowels of some scripts
    if not 1 <= len(name) <= _LONGEST_NAME or not letters or category(name[0])[0] not in "LN":
        raise ValueError
    return name


def _wait(value: Any) -> int:
    wait_ms = keys.length_ms(timedelta(), _DAY)(value)
    if wait_ms % 60_000:
        raise ValueError
    return wait_ms


def _rule(
    reading: Reading, table: Any, path: tuple[str, int], receivers: Mapping[str, Receiver], declared: Collection[str]
) -> Rule | None:
    """The rule of a table; None if it has mistakes."""
    before = len(reading.mistakes)
    kind = table.get("kind") if isinstance(table, Mapping) else None
    if not isinstance(kind, str) or kind not in KINDS:  # the other keys depend on it
        names = [key.name for key in _COMMON]
        common = {name: table[name] for name in names if name in table} if isinstance(table, Mapping) else table
        _require_receivers(reading, reading.values(common, path, _COMMON), path, receivers, declared)
        return None
    own, condition_of = OF_KIND[kind]
    values = reading.values(table, path, (*_COMMON, *own))
    _require_receivers(reading, values, path, receivers, declared)
    condition = condition_of(reading, {key.name: WRONG for key in own} | values, path)
    if condition is None or len(reading.mistakes) > before:
        return None
    return Rule(
        values["name"],
        kind,
        condition,
        values.get("genre", EACH),
        values.get("window", HOUR_MS),
        values["for"],
        values["wait"],
        values["severity"],
        values["to"],
        _called(table),
        reading.line(path),
    )


def _require_receivers(
    reading: Reading,
    values: Mapping[str, Any],
    path: tuple[str, int],
    receivers: Mapping[str, Receiver],
    declared: Collection[str],
) -> None:
    for index, name in enumerate(values.get("to", ())):
        if name in receivers or name in declared:
            continue
        known = ", ".join(dict.fromkeys((*receivers, *sorted(declared))))
        scheme = scheme_of(name)  # an address may be a secret
        reading.expected((*path, "to", index), f"one of {known}", f"{scheme}://..." if scheme else name)


def _called(table: Mapping[str, Any]) -> str | None:
    """The rule's genre as written in its file, if it names one."""
    genre = table.get("genre")
    return None if genre in (None, ALL, EACH) else " ".join(str(genre).split())


def _expecting(rule: Rule, expected: Expectations) -> Rule:
    """The rule with the expectations of the file: its alerts depend on them."""
    condition = rule.condition
    return (
        replace(rule, condition=replace(condition, expected=expected)) if isinstance(condition, LightAtLeast) else rule
    )


def _declared(file: Mapping[str, Any]) -> set[str]:
    """The receivers that have a table, even with mistakes, which are reported elsewhere."""
    tables = {kind: file.get(kind) for kind in ("webhook", "apprise")}
    return {f"{kind}.{name}" for kind, named in tables.items() if isinstance(named, Mapping) for name in named}


def _require_different_names(reading: Reading, tables: list[Any]) -> None:
    lines: dict[str, int] = {}
    for i, table in enumerate(tables):
        name = table.get("name") if isinstance(table, Mapping) else None
        if not isinstance(name, str):
            continue
        name = normalize("NFC", name)
        if name in lines:
            reading.wrong(
                ("rule", i, "name"),
                f"rule {i + 1}, name: expected a name of its own, got {keys.quoted(name)}, as in line {lines[name]}",
            )
        lines.setdefault(name, reading.line(("rule", i, "name")))
