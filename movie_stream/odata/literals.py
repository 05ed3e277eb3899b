"""The literal values in a filter, each with its type."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from odata_query import ast

from movie_stream.odata.model import Edm
from movie_stream.odata.refusals import bad, unsupported

FILTER: Final = "$filter"
A_TIME: Final = "a time with Z or an offset, such as 2024-10-31T14:00:00Z"
_TIME: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::(\d{2})(?:\.(\d{1,12}))?)?(?:(Z)|([+-]\d{2}:\d{2}))",
    re.ASCII | re.IGNORECASE,
)
_MILLISECOND_PS: Final = 1_000_000_000
_INT64: Final = range(-(2**63), 2**63)
_LONGEST_NUMBER: Final = 400
"""More digits than any finite double has before its decimal point."""


@dataclass(frozen=True, slots=True)
class Literal:
    """A value; the `type` of null is None.

    MongoDB stores milliseconds: for a time between two of them, `value` is the earlier one, and `between` is true.
    """

    type: Edm | None
    value: Any = None
    between: bool = False

    @property
    def is_nan(self) -> bool:
        """Whether it is NaN, which equals nothing."""
        return isinstance(self.value, float) and math.isnan(self.value)


NULL: Final = Literal(None)
_IN_LETTERS: Final = {name: Literal("Edm.Double", float(name)) for name in ("INF", "-INF", "NaN")}


def literal_of(node: Any) -> Literal | None:
    """The literal of a node of the syntax tree; None if the node is no literal. Raises Refused for an invalid one."""
    match node:
        case ast.Null():
            return NULL
        case ast.String(val=text):
            return Literal("Edm.String", text)
        case ast.Boolean(val=text):
            return Literal("Edm.Boolean", text.lower() == "true")
        case ast.Integer(val=text) | ast.Float(val=text):
            return Literal(*_number(text))
        case ast.UnaryOp(op=ast.USub(), operand=ast.Integer(val=text) | ast.Float(val=text)):
            kind, value = _number(text)
            return Literal(kind, -value)
        case ast.Identifier(name=name, namespace=()):
            return _IN_LETTERS.get(name)
        case ast.UnaryOp(op=ast.USub(), operand=ast.Identifier(name=name, namespace=())):
            return _IN_LETTERS.get(f"-{name}")
        case ast.Date(val=text) | ast.DateTime(val=text):
            return Literal("Edm.Date", day_of(text)) if isinstance(node, ast.Date) else _time(text)
        case ast.GUID() | ast.Time() | ast.Duration() | ast.Geography():
            raise unsupported(FILTER, f"a literal of the type {type(node).__name__}")
        case _:
            return None


def day_of(text: str) -> str:
    """Checks that a day exists in the calendar, and returns it as in the results.

    Raises Refused.
    """
    try:
        return date.fromisoformat(text).isoformat()
    except ValueError as error:
        raise bad(FILTER, "a day such as 2024-10-31", text) from error


def midnight(day: str) -> Literal:
    """The beginning of a day as a time, in UTC."""
    return Literal("Edm.DateTimeOffset", datetime.fromisoformat(day).replace(tzinfo=UTC))


def _number(text: str) -> tuple[Edm, int | float]:
    """A number and its type; a whole number too large for MongoDB's integers becomes the nearest double.

    >>> _number("-5"), _number("4.50"), _number("1" + 20 * "0")
    (('Edm.Int64', -5), ('Edm.Double', 4.5), ('Edm.Double', 1e+20))
    """
    if len(text) > _LONGEST_NUMBER:
        raise bad(FILTER, f"a number of at most {_LONGEST_NUMBER} characters", text)
    if text.lstrip("+-").isdigit():
        whole = int(text)
        if whole in _INT64:
            return "Edm.Int64", whole
    number = float(text)
    if not math.isfinite(number):
        raise bad(FILTER, "a number below 1.8e308", text)
    return "Edm.Double", number


def _time(text: str) -> Literal:
    """A time in UTC.

    >>> _time("2024-10-31T15:00:00.0005+01:00")
    Literal(type='Edm.DateTimeOffset', value=datetime.datetime(2024, 10, 31, 14, 0, ...), between=True)
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise bad(FILTER, A_TIME, text)
    day, clock, seconds, fraction, _, offset = match.groups()
    try:
        time = datetime.fromisoformat(f"{day}T{clock}:{seconds or '00'}{offset or '+00:00'}").astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise bad(FILTER, A_TIME, text) from error
    milliseconds, rest = divmod(int((fraction or "").ljust(12, "0")), _MILLISECOND_PS)
    return Literal("Edm.DateTimeOffset", time + timedelta(milliseconds=milliseconds), between=rest > 0)
