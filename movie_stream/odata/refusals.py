"""The errors of the OData feed, in OData's format."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from movie_stream.errors import MovieStreamError

BAD, MISSING, UNACCEPTABLE, UNSUPPORTED = 400, 404, 406, 501
_LONGEST_QUOTE = 80


class Refused(MovieStreamError):
    """A request that is refused: the HTTP status, the message, and the target of the error.

    What to do: ask as docs/reference/odata.md says.

    >>> print(Refused(400, "expected a whole number, got 'ten'", "$top"))
    $top: expected a whole number, got 'ten'
    """

    def __init__(self, status: int, message: str, target: str | None = None) -> None:
        self.status, self.message, self.target = status, message, target
        super().__init__(message if target is None else f"{target}: {message}")


def bad(target: str, expected: str, got: str | None = None) -> Refused:
    """The error 400, for an invalid request.

    >>> str(bad("$top", "a whole number", "ten"))
    "$top: expected a whole number, got 'ten'"
    """
    return Refused(BAD, f"expected {expected}" + ("" if got is None else f", got {quoted(got)}"), target)


def unsupported(target: str, what: str) -> Refused:
    """The error 501, for parts of OData that this feed does not support."""
    return Refused(UNSUPPORTED, f"{what} is not supported here; docs/reference/odata.md says what is", target)


def quoted(text: str) -> str:
    """The text received, in quotes, truncated if it is long."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


def error_body(code: str, message: str, target: str | None = None) -> Mapping[str, Any]:
    """The body of an error, in OData's JSON format."""
    error = {"code": code, "message": message}
    return {"error": error if target is None else {**error, "target": target}}
