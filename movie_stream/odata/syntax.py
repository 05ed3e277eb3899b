"""Parses a filter by the library's grammar, within bounds, and corrects where that grammar differs from OData.

The library takes a name that begins with a keyword (`all_views`) for the keyword, `not(` for a function, and a list of
one item for a parenthesis. All of that is corrected token by token, between its lexer and its parser.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from typing import Any, Final

from odata_query import ast
from odata_query.exceptions import (
    ArgumentCountException,
    ODataException,
    ParsingException,
    TokenizingException,
    UnknownFunctionException,
)
from odata_query.grammar import ODataLexer, ODataParser

from movie_stream.odata.literals import FILTER
from movie_stream.odata.refusals import Refused, bad, quoted, unsupported

LONGEST: Final = 4_096
"""The longest filter, in characters."""
MOST_TOKENS: Final = 2_000
_KEYWORDS: Final = frozenset({"ANY", "ALL", "NULL", "BOOLEAN"})
_NAME: Final = "ODATA_IDENTIFIER"
_NAME_TEXT: Final = re.compile(r"[_a-z]\w{0,127}", re.IGNORECASE)
_BLANK_FOR_PLUS: Final = re.compile(r"'(?:[^']|'')*'|(T\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?) (?=\d{2}:\d{2})", re.ASCII)
_ELSEWHERE: Final = frozenset({"cast", "isof", "case"})
"""Functions of OData that the grammar does not know."""
_OPERATORS_ELSEWHERE: Final = frozenset({"has", "divby"})
_VALUES_ELSEWHERE: Final = re.compile(r"@\w+|\$(?:it|this|root|count)\b", re.ASCII)
"""Parameter aliases and the like, which the grammar does not know either."""
_BEFORE_OPERATOR: Final = frozenset({_NAME, ")"})


def _of_any_year(rule: Any) -> str:
    pattern: str = rule.pattern
    return pattern.replace(r"[1-9]\d{3}", r"\d{4}")


class _Lexer(ODataLexer):
    """The library's lexer, with years before 1000: the smallest times of .NET are in the year 1.

    Only the pattern of a token is replaced; its priority and its action stay.
    """

    tokens = ODataLexer.tokens
    DATETIME = _of_any_year(ODataLexer.DATETIME)  # type: ignore[assignment]
    DATE = _of_any_year(ODataLexer.DATE)  # type: ignore[assignment]


def parsed(text: str) -> Any:
    """The syntax tree of a filter. Raises Refused."""
    text = text.strip()
    if not text:
        raise bad(FILTER, "a condition such as total_views gt 100, got nothing")
    if len(text) > LONGEST:
        raise bad(FILTER, f"at most {LONGEST:,} characters, got {len(text):,}")
    try:
        tree = ODataParser().parse(_corrected(_with_plus(text)))
    except TokenizingException as error:
        if found := _VALUES_ELSEWHERE.match(text, error.token.index):
            raise unsupported(FILTER, found[0]) from error
        raise _not_read(text, error.token) from error
    except ParsingException as error:
        raise _not_read(text, error.token) from error
    except UnknownFunctionException as error:
        if error.function_name.lower() in _ELSEWHERE:
            raise unsupported(FILTER, f"the function {error.function_name}") from error
        raise bad(FILTER, "a function of OData", error.function_name) from error
    except ArgumentCountException as error:
        raise Refused(400, str(error), FILTER) from error
    except (ODataException, NotImplementedError) as error:
        raise Refused(400, f"this cannot be read: {error}", FILTER) from error
    return tree


def name_of(identifier: Any) -> str:
    """The name as written in the filter."""
    return str(identifier.full_name())


def _with_plus(text: str) -> str:
    """Restores a plus that was not written as %2B and so arrived as a blank between a time and its offset.

    >>> _with_plus("a ge 2024-10-31T15:00:00 01:00 and b eq 'T15:00 01:00'")
    "a ge 2024-10-31T15:00:00+01:00 and b eq 'T15:00 01:00'"
    """
    return _BLANK_FOR_PLUS.sub(lambda found: f"{found[1]}+" if found[1] else found[0], text)


def _corrected(text: str) -> Iterator[Any]:
    tokens = _no_calls(list(_whole_names(text, _bounded(text))))
    _close_short_lists(tokens)
    return iter(tokens)


def _bounded(text: str) -> list[Any]:
    tokens: list[Any] = []
    for token in _Lexer().tokenize(text):
        tokens.append(token)
        if len(tokens) > MOST_TOKENS:
            raise bad(FILTER, f"at most {MOST_TOKENS:,} words, operators and values")
    return tokens


def _whole_names(text: str, tokens: list[Any]) -> Iterator[Any]:
    """Joins a keyword and the name that directly follows it into one name."""
    until = 0
    for token, end in zip(tokens, [*(token.index for token in tokens[1:]), len(text)], strict=True):
        if token.index < until:
            if end > until:
                raise _not_read(text, token)
            continue
        if token.type in _KEYWORDS and (match := _NAME_TEXT.match(text, token.index)) and match.end() > end:
            token.type, token.value, until = _NAME, ast.Identifier(match[0]), match.end()
        yield token


def _no_calls(tokens: list[Any]) -> list[Any]:
    """Turns `not(...)` and `x in(...)` into operators. Raises Refused for operators that the grammar does not have."""
    kept: list[Any] = []
    for token, following in zip(tokens, [*tokens[1:], None], strict=True):
        if following is not None and following.type == "(" and _is_name(token, "not"):
            token.type, token.value = "NOT", ast.Not()
        elif following is not None and following.type == "(" and _is_name(token, "in") and _ends_blank(kept):
            kept.pop()
            token.type, token.value = "IN", ast.In()
        elif _ends_blank(kept[1:]) and kept[-2].type in _BEFORE_OPERATOR:
            for name in _OPERATORS_ELSEWHERE:
                if _is_name(token, name):
                    raise unsupported(FILTER, f"the operator {name}")
        kept.append(token)
    return kept


def _ends_blank(tokens: list[Any]) -> bool:
    return bool(tokens) and tokens[-1].type == "WS"


def _close_short_lists(tokens: list[Any]) -> None:
    """Rewrites `x in ('a')` to the grammar's list of one item: `('a',)`."""
    begins = [at + 1 for at, token in enumerate(tokens[:-1]) if token.type == "IN" and tokens[at + 1].type == "("]
    for begin in reversed(begins):
        depth, several = 0, False
        for at in range(begin, len(tokens)):
            kind = tokens[at].type
            depth += {"(": 1, ")": -1}.get(kind, 0)
            several = several or (kind == "," and depth == 1)
            if depth == 0:
                if not several and at > begin + 1:
                    tokens.insert(at, _comma(tokens[at]))
                break


def _comma(before: Any) -> Any:
    made = copy.copy(before)
    made.type = made.value = ","
    return made


def _is_name(token: Any, name: str) -> bool:
    return bool(token.type == _NAME and token.value == ast.Identifier(name))


def _not_read(text: str, token: Any) -> Refused:
    """The error with the position from which a filter cannot be parsed."""
    if token is None:
        return Refused(400, f"it ends too early: {quoted(text[-60:])}", FILTER)
    rest = text[token.index : token.index + 40]
    return Refused(400, f"cannot be read from character {token.index + 1} on: {quoted(rest)}", FILTER)
