"""Filters of OData made up, and what they mean, evaluated naively: true, false, or None for null."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from hypothesis import strategies as st

Entity = Mapping[str, Any]
TEXTS: Final = (
    "",
    "Crime",
    "crime",
    "O'Neil",
    "$gt",
    "a.c",
    "abc",
    "100%",
    "c\n",
    "Film Noir 🎬",
    "é",
    "(x)",
    "\\",
    "^$",
)
TIME_COLUMNS: Final = ("timestamp", "until")
NUMBERS: Final = (0, 1, 2, 100, 2**53 + 1, 2**62)
DOUBLES: Final = (0.0, 0.5, 2.5, 4.999, 1e300)
_BASE: Final = datetime(2024, 2, 28, 22, 59, 58, tzinfo=UTC)
TIMES: Final = tuple(
    _BASE + timedelta(milliseconds=after)
    for after in (0, 1, 999, 1_000, 3_600_000, 86_400_000, 2 * 86_400_000, 308 * 86_400_000, 500 * 86_400_000)
)
DAYS: Final = tuple(sorted({f"{time:%Y-%m-%d}" for time in TIMES}))
VALUES: Final[Mapping[str, tuple[Any, ...]]] = {
    "genre": TEXTS,
    "title": TEXTS,
    "views": NUMBERS,
    "users": NUMBERS,
    "rating": DOUBLES,
    "timestamp": TIMES,
    "until": TIMES,
    "date": DAYS,
}
"""The values of each property; each of them may be null, and may be missing."""
_OF_TIMES: Final[Mapping[str, Callable[[datetime], Any]]] = {
    "year": lambda time: time.year,
    "month": lambda time: time.month,
    "day": lambda time: time.day,
    "hour": lambda time: time.hour,
    "minute": lambda time: time.minute,
    "second": lambda time: time.second,
    "date": lambda time: f"{time:%Y-%m-%d}",
}
_ORDER: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "lt": lambda left, right: left < right,
    "le": lambda left, right: left <= right,
    "gt": lambda left, right: left > right,
    "ge": lambda left, right: left >= right,
}
_IN_TEXT: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "contains": lambda text, part: part in text,
    "startswith": str.startswith,
    "endswith": str.endswith,
}


@dataclass(frozen=True)
class Made:
    """A part of a filter: as it is written, and what it is of an entity."""

    text: str
    of: Callable[[Entity], Any]


def entities() -> st.SearchStrategy[dict[str, Any]]:
    each = {name: st.none() | st.sampled_from(values) for name, values in VALUES.items()}
    return st.fixed_dictionaries({}, optional=each)


def conditions() -> st.SearchStrategy[Made]:
    return st.recursive(
        _comparisons() | _searches() | _lists() | st.just(Made("true", lambda one: True)), _combined, max_leaves=6
    )


def compare(operator: str, left: Any, right: Any) -> bool:
    if operator in ("eq", "ne"):
        return bool(left == right) == (operator == "eq")
    return left is not None and right is not None and _ORDER[operator](left, right)


def written(value: Any) -> str:
    match value:
        case None:
            return "null"
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case str():
            return "'" + value.replace("'", "''") + "'"
        case _:
            return repr(value)


def _column(name: str) -> Made:
    return Made(name, lambda one: one.get(name))


def _value(value: Any) -> Made:
    return Made(written(value), lambda one: value)


def _day(value: str) -> Made:
    return Made(value, lambda one: value)


def _between() -> st.SearchStrategy[Made]:
    """Times that lie between two milliseconds, with an offset."""

    def made(time: datetime) -> Made:
        local = (time + timedelta(hours=1)).replace(tzinfo=None).isoformat(timespec="milliseconds")
        return Made(f"{local}5+01:00", lambda one: time + timedelta(microseconds=500))

    return st.sampled_from(TIMES).map(made)


def _part(function: str, name: str) -> Made:
    def of(one: Entity) -> Any:
        time = one.get(name)
        if isinstance(time, str):
            time = datetime.fromisoformat(time)
        return None if time is None else _OF_TIMES[function](time)

    return Made(f"{function}({name})", of)


def _numbers() -> st.SearchStrategy[Made]:
    of_times = st.builds(_part, st.sampled_from([*_OF_TIMES][:-1]), st.sampled_from(TIME_COLUMNS))
    of_days = st.builds(_part, st.sampled_from(["year", "month", "day"]), st.just("date"))
    columns = st.sampled_from(["views", "users", "rating"]).map(_column)
    values = st.sampled_from([*NUMBERS, *DOUBLES, -1, 2024, 2025, 22, None]).map(_value)
    return columns | values | of_times | of_days


def _sides() -> st.SearchStrategy[tuple[Made, Made]]:
    texts = st.sampled_from(["genre", "title"]).map(_column) | st.sampled_from([*TEXTS, None]).map(_value)
    times = st.sampled_from(TIME_COLUMNS).map(_column) | st.sampled_from([*TIMES, None]).map(_value) | _between()
    days = (
        st.just(_column("date"))
        | st.sampled_from(TIME_COLUMNS).map(lambda name: _part("date", name))
        | st.sampled_from(DAYS).map(_day)
    )
    return st.one_of(*(st.tuples(side, side) for side in (texts, times, days, _numbers())))


def _comparisons() -> st.SearchStrategy[Made]:
    def made(operator: str, sides: tuple[Made, Made]) -> Made:
        left, right = sides
        return Made(f"{left.text} {operator} {right.text}", lambda one: compare(operator, left.of(one), right.of(one)))

    return st.builds(made, st.sampled_from(["eq", "ne", *_ORDER]), _sides())


def _searches() -> st.SearchStrategy[Made]:
    def made(function: str, name: str, part: str | None) -> Made:
        def of(one: Entity) -> bool | None:
            text = one.get(name)
            return None if text is None or part is None else _IN_TEXT[function](text, part)

        return Made(f"{function}({name},{written(part)})", of)

    parts = st.sampled_from([*TEXTS, "c", "$", ".", "🎬", None])
    return st.builds(made, st.sampled_from(sorted(_IN_TEXT)), st.sampled_from(["genre", "title"]), parts)


def _lists() -> st.SearchStrategy[Made]:
    def made(name: str, values: list[Any]) -> Made:
        listed = ",".join(values_as(name, value) for value in values)
        return Made(f"{name} in ({listed})", lambda one: one.get(name) in values)

    def values_as(name: str, value: Any) -> str:
        return value if name == "date" and value is not None else written(value)

    def of(name: str) -> st.SearchStrategy[Made]:
        values = st.lists(st.sampled_from([*VALUES[name], None]), min_size=1, max_size=4)
        return st.builds(made, st.just(name), values)

    return st.sampled_from(sorted(VALUES)).flatmap(of)


def _combined(inner: st.SearchStrategy[Made]) -> st.SearchStrategy[Made]:
    def both(left: Made, right: Made) -> Made:
        def of(one: Entity) -> bool | None:
            sides = (left.of(one), right.of(one))
            return False if False in sides else None if None in sides else True

        return Made(f"({left.text}) and ({right.text})", of)

    def either(left: Made, right: Made) -> Made:
        def of(one: Entity) -> bool | None:
            sides = (left.of(one), right.of(one))
            return True if True in sides else None if None in sides else False

        return Made(f"({left.text}) or ({right.text})", of)

    def neither(operand: Made) -> Made:
        return Made(f"not({operand.text})", lambda one: None if operand.of(one) is None else not operand.of(one))

    def equal(operand: Made, operator: str, value: bool | None) -> Made:
        text = {True: "true", False: "false", None: "null"}[value]
        return Made(f"({operand.text}) {operator} {text}", lambda one: compare(operator, operand.of(one), value))

    compared = st.builds(equal, inner, st.sampled_from(["eq", "ne"]), st.sampled_from([True, False, None]))
    return st.builds(both, inner, inner) | st.builds(either, inner, inner) | st.builds(neither, inner) | compared
