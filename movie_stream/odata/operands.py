"""The parts of a comparison: properties, values, and functions of a property, each with its type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from odata_query import ast

from movie_stream.odata.literals import FILTER, Literal, day_of, literal_of, midnight
from movie_stream.odata.model import Edm, EntitySet
from movie_stream.odata.refusals import Refused, bad, quoted, unsupported
from movie_stream.odata.syntax import name_of

_PARTS: Final[Mapping[str, str]] = {
    "year": "$year",
    "month": "$month",
    "day": "$dayOfMonth",
    "hour": "$hour",
    "minute": "$minute",
    "second": "$second",
}
"""Functions of times, and MongoDB's operators of the same meaning, in UTC."""
_OF_DAYS: Final = ("year", "month", "day")
DATE: Final = "date"
CONDITIONS: Final = ("contains", "startswith", "endswith")
"""Functions that are conditions of their own."""
_NUMBERS: Final = ("Edm.Int64", "Edm.Double")


@dataclass(frozen=True, slots=True)
class Column:
    """A property of the entity."""

    type: Edm
    name: str

    @property
    def expression(self) -> Any:
        """Its value in an expression of MongoDB, in which a missing field is not null by default."""
        return {"$ifNull": [f"${self.name}", None]}


@dataclass(frozen=True, slots=True)
class Part:
    """A function of a property, which is null if the property is."""

    type: Edm
    function: str
    of: Column

    @property
    def expression(self) -> Any:
        """Its value in an expression of MongoDB."""
        time: Any = f"${self.of.name}"
        if self.of.type == "Edm.Date":  # stored as text
            time = {"$dateFromString": {"dateString": time, "onNull": None, "onError": None}}
        if self.function == DATE:
            return {"$dateToString": {"format": "%Y-%m-%d", "date": time, "onNull": None}}
        return {_PARTS[self.function]: time}


Operand = Column | Part | Literal


def operand_of(node: Any, entity_set: EntitySet) -> Operand:
    """The operand of a node of the syntax tree, for this set. Raises Refused."""
    literal = literal_of(node)
    if literal is not None:
        return literal
    match node:
        case ast.Identifier():
            return column_of(node, entity_set)
        case ast.Call(func=name, args=[argument]) if name_of(name) in (*_PARTS, DATE):
            return _part(name_of(name), operand_of(argument, entity_set))
        case ast.Call(func=name):
            raise unsupported(FILTER, f"the function {name_of(name)}")
        case ast.Attribute() | ast.CollectionLambda():
            raise unsupported(FILTER, "a path such as list/any(...)")
        case ast.BinOp(op=operator):
            raise unsupported(FILTER, f"arithmetic ({type(operator).__name__.lower()})")
        case ast.UnaryOp(op=ast.USub()):
            raise unsupported(FILTER, "a minus before anything but a number")
        case ast.List():
            raise bad(FILTER, "a list only after in")
        case _:
            raise bad(FILTER, "a property or a value on each side of a comparison; not (...) needs its parentheses")


def column_of(node: Any, entity_set: EntitySet) -> Column:
    """The property of this name. Raises Refused."""
    name = name_of(node)
    column = entity_set.named.get(name)
    if column is None:
        raise bad(FILTER, f"one of {', '.join(entity_set.named)}", name)
    if column.type is None:
        flat = f"; {entity_set.name}_flat has its entries as rows"
        raise Refused(501, f"{name} is a list, which cannot be compared here{flat}", FILTER)
    return Column(column.type, name)


def coerced(left: Operand, right: Operand) -> tuple[Operand, Operand]:
    """Both operands, converted to comparable types. Raises Refused if their types do not allow it."""
    return _as(left, right), _as(right, left)


def _as(operand: Operand, with_which: Operand) -> Operand:
    kind, other = operand.type, with_which.type
    if kind is None or other is None or kind == other or (kind in _NUMBERS and other in _NUMBERS):
        return operand
    if isinstance(operand, Literal):
        if other == "Edm.DateTimeOffset" and kind == "Edm.Date":
            return midnight(operand.value)
        if other == "Edm.Date" and kind == "Edm.String":
            return Literal("Edm.Date", day_of(operand.value))
    elif (kind, other) in (("Edm.DateTimeOffset", "Edm.Date"), ("Edm.Date", "Edm.String")):
        return operand  # the other side is converted to this type
    why = f"{_described(operand)} and {_described(with_which)} cannot be compared"
    raise Refused(400, f"{why}: texts stand in single quotes, numbers, days and times in none", FILTER)


def _described(operand: Operand) -> str:
    match operand:
        case Column(name=name):
            return f"{name} ({operand.type})"
        case Part(function=function, of=of):
            return f"{function}({of.name}) ({operand.type})"
        case Literal(value=value):
            return f"{quoted(value) if isinstance(value, str) else value} ({operand.type})"


def _part(function: str, of: Operand) -> Part:
    allowed = of.type == "Edm.DateTimeOffset" or (of.type == "Edm.Date" and function in _OF_DAYS)
    if not isinstance(of, Column):
        raise unsupported(FILTER, f"{function}(...) of anything but a property")
    if not allowed:
        raise bad(FILTER, f"a time in {function}(...)", f"{of.name} ({of.type})")
    return Part("Edm.Date" if function == DATE else "Edm.Int64", function, of)
