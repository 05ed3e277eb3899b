"""Single conditions as filters of MongoDB, in three-valued logic: one for true, and one for false.

A condition of OData can also be null: `contains(title, 'x')` is null if the title is, and so is its negation. A
comparison is never null: with null, `eq` and `ne` compare whether both sides are null, and all others are false. In
MongoDB's order null is below everything, so no filter here relies on that order.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final, Literal

from movie_stream.mongo.query import Filter
from movie_stream.odata.literals import Literal as Value
from movie_stream.odata.operands import DATE, Column, Operand, Part, coerced

Comparison = Literal["eq", "ne", "lt", "le", "gt", "ge"]
ALWAYS: Final[Filter] = {}
NEVER: Final[Filter] = {"_id": {"$in": []}}
_FLIPPED: Final[Mapping[Comparison, Comparison]] = {
    "eq": "eq",
    "ne": "ne",
    "lt": "gt",
    "le": "ge",
    "gt": "lt",
    "ge": "le",
}
_OPERATORS: Final[Mapping[Comparison, str]] = {
    "eq": "$eq",
    "ne": "$ne",
    "lt": "$lt",
    "le": "$lte",
    "gt": "$gt",
    "ge": "$gte",
}
_IN_PYTHON: Final[Mapping[Comparison, Callable[[Any, Any], bool]]] = {
    "lt": operator.lt,
    "le": operator.le,
    "gt": operator.gt,
    "ge": operator.ge,
}
_PATTERNS: Final[Mapping[str, str]] = {"contains": "{}", "startswith": r"\A{}", "endswith": r"{}\z"}


@dataclass(frozen=True, slots=True)
class Condition:
    """The filters that hold if it is true, and if it is false; else it is null."""

    true: Filter
    false: Filter
    certain: bool = True
    """Whether it is never null."""

    def __invert__(self) -> Condition:
        return Condition(self.false, self.true, self.certain)

    @property
    def null(self) -> Filter:
        """The filter that holds if it is null."""
        return NEVER if self.certain else {"$nor": [self.true, self.false]}


TRUE: Final = Condition(ALWAYS, NEVER)
FALSE: Final = ~TRUE
UNKNOWN: Final = Condition(NEVER, NEVER, certain=False)


def both(conditions: Sequence[Condition]) -> Condition:
    """The conjunction of the conditions: false if one is false, whatever the others are."""
    certain = all(one.certain for one in conditions)
    return Condition({"$and": [one.true for one in conditions]}, {"$or": [one.false for one in conditions]}, certain)


def either(conditions: Sequence[Condition]) -> Condition:
    """The disjunction of the conditions: true if one is true."""
    return ~both([~one for one in conditions])


def compared(left: Operand, comparison: Comparison, right: Operand) -> Condition:
    """The comparison of two operands. Raises Refused if their types do not allow it."""
    left, right = coerced(left, right)
    if any(isinstance(side, Value) and side.is_nan for side in (left, right)):  # to MongoDB, NaN equals itself
        return TRUE if comparison == "ne" else FALSE
    match left, right:
        case Value(), Value():
            return _of_values(left, comparison, right)
        case Value(), _:
            return compared(right, _FLIPPED[comparison], left)
        case Column(), Value():
            return _of_column(left.name, comparison, right)
        case Part(), Value() if (days := _days(left, right)) is not None:
            return _of_days(left.of.name, comparison, *days)
        case _:
            return _of_expressions(left, comparison, right)


def searched(function: str, column: Column, text: Value) -> Condition:
    """`contains`, `startswith` or `endswith` of a property and a text, which is matched literally."""
    if text.value is None:
        return UNKNOWN
    found = {"$regex": _PATTERNS[function].format(re.escape(text.value))}
    return Condition({column.name: found}, {column.name: {"$not": found, "$ne": None}}, certain=False)


def _of_values(left: Value, comparison: Comparison, right: Value) -> Condition:
    pair = (left.value, left.between), (right.value, right.between)
    if comparison in ("eq", "ne"):
        return TRUE if (pair[0] == pair[1]) == (comparison == "eq") else FALSE
    there = None not in (left.value, right.value)
    return TRUE if there and _IN_PYTHON[comparison](*pair) else FALSE


def _of_column(name: str, comparison: Comparison, value: Value) -> Condition:
    """A comparison in query operators, which can use an index, and order null neither below nor above any value."""
    if comparison == "ne":
        return ~_of_column(name, "eq", value)
    if value.value is None:
        return _certain(name, {"$eq": None}) if comparison == "eq" else FALSE
    if value.between:  # no stored time equals it
        if comparison == "eq":
            return FALSE
        comparison = "gt" if comparison in ("gt", "ge") else "le"
    return _certain(name, {_OPERATORS[comparison]: value.value})


def _of_days(name: str, comparison: Comparison, begin: datetime, end: datetime) -> Condition:
    """A comparison of the day or the year of a time, as one of the time itself, which can use an index."""
    match comparison:
        case "eq" | "ne":
            within = _certain(name, {"$gte": begin, "$lt": end})
            return within if comparison == "eq" else ~within
        case "lt" | "ge":
            return _certain(name, {_OPERATORS[comparison]: begin})
        case "le":
            return _certain(name, {"$lt": end})
        case "gt":
            return _certain(name, {"$gte": end})


def _days(part: Part, value: Value) -> tuple[datetime, datetime] | None:
    """The beginning and the end of the day or year; None if no comparison of times is equivalent."""
    if part.of.type != "Edm.DateTimeOffset" or value.value is None:
        return None
    try:
        if part.function == DATE:
            begin = date.fromisoformat(value.value)
            end = begin + timedelta(days=1)
        elif part.function == "year" and isinstance(value.value, int):
            begin, end = date(value.value, 1, 1), date(value.value + 1, 1, 1)
        else:
            return None
    except (ValueError, OverflowError):  # the calendar ends before
        return None
    return _midnight(begin), _midnight(end)


def _of_expressions(left: Operand, comparison: Comparison, right: Operand) -> Condition:
    sides = [_expression(left), _expression(right)]
    holds: Any = {_OPERATORS[comparison]: sides}
    if comparison not in ("eq", "ne"):
        holds = {"$and": [*({"$gt": [side, None]} for side in sides), holds]}
    return Condition({"$expr": holds}, {"$expr": {"$not": [holds]}})


def _expression(operand: Operand) -> Any:
    """The operand's value in an expression; a text with a dollar stays a text."""
    return {"$literal": operand.value} if isinstance(operand, Value) else operand.expression


def _certain(name: str, wanted: Mapping[str, Any]) -> Condition:
    """A condition that is never null: MongoDB's `$not` also holds if the field is null or missing."""
    return Condition({name: wanted}, {name: {"$not": wanted}})


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
