"""What cannot be answered, as problem details (RFC 9457): every error of the server has this one form."""

from __future__ import annotations

import http
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import orjson
from pydantic import BaseModel
from starlette.responses import Response

from movie_stream.errors import MongoUnreachable, MovieStreamError, UsageError
from movie_stream.masking import masked
from movie_stream.mongo.read import QueryTooSlow

MEDIA_TYPE: Final = "application/problem+json"
_LONGEST_QUOTE: Final = 80
"""The longest quote of what came instead, in characters."""


class Fault(BaseModel):
    """What is wrong with one parameter of a request."""

    parameter: str
    expected: str
    got: str | None = None


class ProblemDetails(BaseModel):
    """The body of every answer that is an error."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[Fault] | None = None


@dataclass
class Problem(Exception):
    """An answer that is an error: its status, what is wrong, and what can be done."""

    status: int
    detail: str
    errors: Sequence[Fault] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """The problem as JSON; passwords are masked in it."""
        said: dict[str, Any] = {
            "type": "about:blank",
            "title": http.HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": masked(self.detail),
        }
        if self.errors:
            said["errors"] = [fault.model_dump() for fault in self.errors]
        return orjson.dumps(said)

    def response(self) -> Response:
        """The answer. It is never kept: the next one may be another."""
        headers = {"Cache-Control": "no-store", **self.headers}
        return Response(self.body(), self.status, headers, MEDIA_TYPE)


def bad_parameters(*faults: Fault) -> Problem:
    """422, of these parameters."""
    words = "; ".join(
        f"{fault.parameter}: expected {fault.expected}" + (f", got {fault.got!r}" if fault.got is not None else "")
        for fault in faults
    )
    return Problem(422, words, faults)


def fault(parameter: str, expected: str, got: str | None = None) -> Fault:
    """A fault; what came is quoted in part where it is long, and without what JSON has no letters for.

    >>> fault("genre", "text", "x" * 100).got == "x" * 80 + "..."
    True
    """
    if got is not None:
        got = got.encode("utf-8", "backslashreplace").decode()
        got = got if len(got) <= _LONGEST_QUOTE else got[:_LONGEST_QUOTE] + "..."
    return Fault(parameter=parameter, expected=expected, got=got)


def later(detail: str, *, after_s: int = 1, status: int = 503) -> Problem:
    """503: what cannot be answered now, and may be after so many seconds."""
    return Problem(status, detail, headers={"Retry-After": str(after_s)})


def problem_of(error: MovieStreamError) -> Problem:
    """The answer that an error of MongoDB, or of a query that cannot be meant, amounts to."""
    match error:
        case UsageError():
            return Problem(422, str(error))
        case QueryTooSlow():
            return later(str(error), after_s=5)
        case MongoUnreachable():
            return later(str(error))
        case _:
            return later(str(error), after_s=10)
