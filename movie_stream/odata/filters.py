"""Translates `$filter` to a filter of MongoDB that holds only if the filter is true, not if it is false or null."""

from __future__ import annotations

from typing import Any, Final, cast

from odata_query import ast

from movie_stream.mongo.query import Filter
from movie_stream.odata.conditions import (
    FALSE,
    TRUE,
    UNKNOWN,
    Comparison,
    Condition,
    both,
    compared,
    either,
    searched,
)
from movie_stream.odata.literals import FILTER, Literal, literal_of
from movie_stream.odata.model import EntitySet
from movie_stream.odata.operands import CONDITIONS, column_of, operand_of
from movie_stream.odata.refusals import Refused, bad, unsupported
from movie_stream.odata.syntax import name_of, parsed

DEEPEST: Final = 20
"""The deepest nesting of conditions; a chain of `and`, or of `or`, is one level."""
_CONSTANTS: Final = (ast.Boolean, ast.Null)
_COMPARISONS: Final[dict[type, Comparison]] = {
    ast.Eq: "eq",
    ast.NotEq: "ne",
    ast.Lt: "lt",
    ast.LtE: "le",
    ast.Gt: "gt",
    ast.GtE: "ge",
}


def filter_of(text: str, entity_set: EntitySet) -> Filter:
    """The filter of MongoDB.

    >>> from movie_stream.odata.model import all_sets
    >>> filter_of("avg_rating ge 4.5 and genre ne null", all_sets()["category_stats"])
    {'$and': [{'avg_rating': {'$gte': 4.5}}, {'genre': {'$not': {'$eq': None}}}]}

    Raises Refused.
    """
    return _condition(parsed(text), entity_set, DEEPEST).true


def _condition(node: Any, entity_set: EntitySet, deep: int) -> Condition:
    if deep == 0:
        raise bad(FILTER, f"conditions that lie at most {DEEPEST} deep in each other")
    match node:
        case ast.BoolOp(op=operation):
            several = [_condition(one, entity_set, deep - 1) for one in _in_a_row(node)]
            return both(several) if isinstance(operation, ast.And) else either(several)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return ~_condition(operand, entity_set, deep - 1)
        case ast.Compare(comparator=ast.In(), left=left, right=right):
            return _among(left, right, entity_set)
        case ast.Compare(comparator=comparator, left=left, right=right):
            return _compared(left, _COMPARISONS[type(comparator)], right, entity_set, deep)
        case ast.Call(func=name, args=arguments) if name_of(name) in CONDITIONS:
            return _searched(name_of(name), arguments, entity_set)
        case ast.Boolean(val=text):
            return TRUE if text.lower() == "true" else FALSE
        case ast.Null():
            return UNKNOWN
    operand_of(node, entity_set)
    raise bad(FILTER, "a condition such as total_views gt 100, not a property or a value alone")


def _in_a_row(node: Any) -> list[Any]:
    """The conditions of a chain of one operator, which the parser nests."""
    kind, row = type(node.op), []
    while isinstance(node, ast.BoolOp) and isinstance(node.op, kind):
        row.append(node.right)
        node = node.left
    return [node, *reversed(row)]


def _among(left: Any, right: Any, entity_set: EntitySet) -> Condition:
    operand = operand_of(left, entity_set)
    values = [literal_of(one) for one in right.val]
    if None in values:
        raise unsupported(FILTER, "in with anything but values in its list")
    return either([compared(operand, "eq", cast(Literal, value)) for value in values])


def _compared(left: Any, comparison: Comparison, right: Any, entity_set: EntitySet, deep: int) -> Condition:
    if _is_condition(right) and not _is_condition(left):
        left, right = right, left
    if not _is_condition(left):
        return compared(operand_of(left, entity_set), comparison, operand_of(right, entity_set))
    if isinstance(left, ast.UnaryOp) and not (_is_condition(left.operand) or isinstance(left.operand, _CONSTANTS)):
        # It binds closer than a comparison.
        raise bad(FILTER, "parentheses behind not: not (genre eq 'Crime')")
    if comparison not in ("eq", "ne") or not isinstance(right, _CONSTANTS):
        raise unsupported(FILTER, "a condition that is compared with anything but true, false and null by eq or ne")
    holds = _condition(left, entity_set, deep - 1)
    wanted = holds.null if isinstance(right, ast.Null) else holds.true if right.py_val else holds.false
    equal = Condition(wanted, {"$nor": [wanted]})
    return equal if comparison == "eq" else ~equal


def _is_condition(node: Any) -> bool:
    match node:
        case ast.BoolOp() | ast.Compare() | ast.UnaryOp(op=ast.Not()):
            return True
        case ast.Call(func=name):
            return name_of(name) in CONDITIONS
        case _:
            return False


def _searched(function: str, arguments: list[Any], entity_set: EntitySet) -> Condition:
    where, text = arguments[0], literal_of(arguments[1])
    if not isinstance(where, ast.Identifier) or text is None:
        raise unsupported(FILTER, f"{function}(...) of anything but a property and a text")
    column = column_of(where, entity_set)
    if column.type != "Edm.String" or text.type not in ("Edm.String", None):
        raise Refused(400, f"{function}(...) takes a text property and a text in quotes", FILTER)
    return searched(function, column, text)
