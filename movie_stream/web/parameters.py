"""The parameters of requests: each is declared once, and read strictly; OpenAPI has them from the declaration.

A parameter that is unknown, given twice or malformed is an error that says what was expected: what would be ignored
might have been meant.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import parse_qsl

from starlette.requests import Request

from movie_stream.web.problems import Fault, Problem, bad_parameters, fault

LONGEST: Final = 2_048
"""The longest value, in characters, of a parameter that needs no more."""
_MOST: Final = 32
"""More parameters than any request has."""
_NO_OPERATOR: Final = "text in UTF-8 without $ and control characters"


@dataclass(frozen=True)
class Parameter:
    """One parameter of the query: `parse` makes its value of the text, or raises ValueError."""

    name: str
    expected: str
    """What it must be, in words."""
    meaning: str
    schema: Mapping[str, Any]
    """Its JSON schema."""
    parse: Callable[[str], Any] = str
    default: Any = None
    longest: int = LONGEST

    def openapi(self) -> dict[str, Any]:
        """Its description in OpenAPI."""
        schema = {**self.schema} if self.default is None else {**self.schema, "default": self.default}
        return {"name": self.name, "in": "query", "required": False, "description": self.meaning, "schema": schema}


@dataclass(frozen=True)
class Parameters:
    """The parameters of one resource."""

    each: tuple[Parameter, ...] = ()
    named: Mapping[str, Parameter] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", {parameter.name: parameter for parameter in self.each})

    def openapi(self) -> dict[str, Any]:
        """What is to be merged into an operation of OpenAPI."""
        return {"parameters": [parameter.openapi() for parameter in self.each]} if self.each else {}

    def read(self, request: Request) -> dict[str, Any]:
        """All values by name, defaults included. Raises a Problem (422) that names everything that is wrong."""
        given, faults = self._given(request)
        values: dict[str, Any] = {}
        for parameter in self.each:
            text = given.get(parameter.name)
            if text is None:
                values[parameter.name] = parameter.default
                continue
            try:
                values[parameter.name] = _parsed(parameter, text)
            except ValueError as error:
                faults.append(fault(parameter.name, str(error) or parameter.expected, text))
        if faults:
            raise bad_parameters(*faults)
        return values

    def _given(self, request: Request) -> tuple[dict[str, str], list[Fault]]:
        given: dict[str, str] = {}
        faults: list[Fault] = []
        for name, text in _pairs(request):
            if name not in self.named:
                known = f"one of {', '.join(self.named)}" if self.named else "no parameter"
                faults.append(fault(_shown(name), known, text))
            elif name in given:
                faults.append(fault(name, "to be given once", text))
            else:
                given[name] = text
        return given, faults


def plain(text: str) -> str:
    """The text itself. Raises ValueError for what nobody means: operators, control characters, half a character.

    >>> plain("Film Noir/Crime 🎬 100%")
    'Film Noir/Crime 🎬 100%'
    """
    if "$" in text or any(char < " " or char == "\x7f" or "\ud800" <= char <= "\udfff" for char in text):
        raise ValueError(_NO_OPERATOR)
    return text


def whole_number(least: int, most: int) -> Callable[[str], int]:
    """A parser of whole numbers between two.

    >>> whole_number(1, 1000)("100")
    100
    """

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdigit() and len(text) <= 18 and least <= int(text) <= most):
            raise ValueError
        return int(text)

    return parse


def number_parameter(name: str, meaning: str, *, least: int, most: int, default: int) -> Parameter:
    """A whole number between two."""
    schema = {"type": "integer", "minimum": least, "maximum": most}
    expected = f"a whole number from {least} to {most}"
    return Parameter(name, expected, meaning, schema, whole_number(least, most), default, longest=18)


def _pairs(request: Request) -> Iterable[tuple[str, str]]:
    """Names and values as they stand in the query; bytes that are no UTF-8 become halves of characters."""
    query = request.scope["query_string"].decode("latin-1")
    try:
        return parse_qsl(query, keep_blank_values=True, errors="surrogateescape", max_num_fields=_MOST)
    except ValueError as error:
        raise Problem(422, f"expected at most {_MOST} parameters") from error


def _parsed(parameter: Parameter, text: str) -> Any:
    if len(text) > parameter.longest:
        raise ValueError(f"at most {parameter.longest} characters")
    return parameter.parse(plain(text))


def _shown(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode()[:80]
