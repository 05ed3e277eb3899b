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
STATUSES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("What came is no request that can be read, or has two headers Authorization.", "Send it by HTTP/1.1."),
    401: ("The token is missing or wrong.", "Send that of API_TOKEN."),
    404: ("There is nothing at this address.", "Take one of those that the answer names."),
    405: ("The method is not possible here.", "Use one of those that the header Allow names."),
    406: ("None of the formats that are accepted is one that there is.", "Accept one that the answer names."),
    408: ("The request did not come as a whole in time.", "Send it at once."),
    413: ("The body is too large.", "Send no body: only the login has one."),
    414: ("The address is too long.", "Ask with fewer or shorter parameters."),
    421: ("The server does not go by the name in Host.", "Ask it as localhost, or set API_TOKEN."),
    422: ("A parameter is unknown, malformed, or contradicts another.", "Correct what `errors` of the answer names."),
    429: ("Too many requests.", "Wait as long as Retry-After says; see that the token is right."),
    431: ("The request line and headers are too large.", "Send fewer headers."),
    500: ("This is a bug of the server.", "Look into its log, and report what it says."),
    503: (
        "MongoDB is away or takes too long, or too many requests came at once; Retry-After says when to try again.",
        "Try again then; if it lasts, look at `/health/ready`.",
    ),
}
"""The statuses of answers that are errors: what each means, and what to do."""
OF_ODATA: Final[Mapping[int, tuple[str, str]]] = {
    400: ("Something cannot be meant; `target` names it.", "Correct it as the message says."),
    404: ("There is no such entity set, or no entity with this key.", "Take one that the service document lists."),
    406: ("Another format than JSON (of `$metadata`: XML) is asked for.", "Accept `application/json`."),
    501: ("OData has it, and this feed has not.", "Ask without it: docs/reference/odata.md says what there is."),
}
"""What some mean in the OData feed."""
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
