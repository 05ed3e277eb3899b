"""What cannot be answered, in the words of OData."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from movie_stream.errors import MovieStreamError

BAD, MISSING, UNACCEPTABLE, UNSUPPORTED = 400, 404, 406, 501
_LONGEST_QUOTE = 80


class Refused(MovieStreamError):
    """A request that is not answered: the status of HTTP, what is wrong, and with which part of it.

    What to do: ask as docs/reference/odata.md says.

    >>> print(Refused(400, "expected a whole number, got 'ten'", "$top"))
    $top: expected a whole number, got 'ten'
    """

    def __init__(self, status: int, message: str, target: str | None = None) -> None:
        self.status, self.message, self.target = status, message, target
        super().__init__(message if target is None else f"{target}: {message}")


def bad(target: str, expected: str, got: str | None = None) -> Refused:
    """400, for what cannot be meant.

    >>> str(bad("$top", "a whole number", "ten"))
    "$top: expected a whole number, got 'ten'"
    """
    return Refused(BAD, f"expected {expected}" + ("" if got is None else f", got {quoted(got)}"), target)


def unsupported(target: str, what: str) -> Refused:
    """501, for what OData has and this feed has not."""
    return Refused(UNSUPPORTED, f"{what} is not supported here; docs/reference/odata.md says what is", target)


def quoted(text: str) -> str:
    """What came, in quotes; in part where it is long."""
    return repr(text if len(text) <= _LONGEST_QUOTE else text[:_LONGEST_QUOTE] + "...")


def error_body(code: str, message: str, target: str | None = None) -> Mapping[str, Any]:
    """The body of an answer that is an error, as OData's JSON format has it."""
    error = {"code": code, "message": message}
    return {"error": error if target is None else {**error, "target": target}}
