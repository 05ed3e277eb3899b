"""How answers are written: JSON, CSV or lines of JSON, each with an ETag, and 304 where the reader has it already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal, get_args

from starlette.requests import Request
from starlette.responses import Response

from movie_stream.mongo.written import csv_of, json_of
from movie_stream.web.parameters import Parameter
from movie_stream.web.problems import Problem, fault

Format = Literal["json", "csv", "ndjson"]
FORMATS: Final[tuple[Format, ...]] = get_args(Format)
MEDIA_TYPES: Final[Mapping[Format, str]] = {
    "json": "application/json",
    "csv": "text/csv",
    "ndjson": "application/x-ndjson",
}
FORMAT: Final = Parameter(
    "format",
    f"one of {', '.join(FORMATS)}",
    "How the answer is written; wins over Accept.",
    {"type": "string", "enum": list(FORMATS)},
    longest=18,
)
_CACHE: Final = "private, no-cache"


@dataclass(frozen=True, slots=True)
class Listed:
    """A list of things to be written: as they are, and as rows for CSV."""

    items: Sequence[Mapping[str, Any]]
    fields: Sequence[str]
    rows: Iterable[Mapping[str, Any]]
    next: str | None = None
    """The cursor of the next page."""
    beside: Mapping[str, Any] = field(default_factory=dict)
    """What JSON has besides, which concerns no single thing."""


def json_response(request: Request, value: Mapping[str, Any], passing: Mapping[str, Any] | None = None) -> Response:
    """A value as JSON. What is `passing`, such as the time, stands in it too, but makes it no other answer."""
    chosen(request, None, ("json",))
    body = json_of(value)
    if not passing:
        return conditional_response(request, body, MEDIA_TYPES["json"])
    return conditional_response(request, json_of({**passing, **value}), MEDIA_TYPES["json"], tag=f"W/{tag_of(body)}")


def list_response(request: Request, listed: Listed, form: Format) -> Response:
    """A page of a list in one of the formats; a link leads to the next one in all of them."""
    match form:
        case "json":
            body = json_of({"items": listed.items, "next": listed.next, **listed.beside})
        case "ndjson":
            body = b"".join(json_of(item) + b"\n" for item in listed.items)
        case "csv":
            body = csv_of(listed.fields, listed.rows)
    headers = {"Vary": "Accept"}
    if listed.next is not None:
        url = request.url.include_query_params(cursor=listed.next)
        headers["Link"] = f'<{url.path}?{url.query}>; rel="next"'
    return conditional_response(request, body, MEDIA_TYPES[form], headers)


def conditional_response(
    request: Request, body: bytes, media_type: str, headers: Mapping[str, str] | None = None, tag: str | None = None
) -> Response:
    """The body with its ETag, or this one; 304 without it where the reader names the same."""
    tag = tag or tag_of(body)
    said = {"ETag": tag, "Cache-Control": _CACHE, **(headers or {})}
    if has_already(request, tag):
        return Response(status_code=304, headers=said)
    return Response(body, 200, said, media_type)


def tag_of(body: bytes) -> str:
    """The strong ETag of a body."""
    return f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'


def has_already(request: Request, tag: str) -> bool:
    """Whether If-None-Match names this ETag; weakly, as RFC 9110 has it."""
    named = ",".join(request.headers.getlist("if-none-match"))
    return any(one.strip().removeprefix("W/") in (tag.removeprefix("W/"), "*") for one in named.split(","))


def chosen(request: Request, asked: str | None, there: Sequence[Format] = FORMATS) -> Format:
    """The format that the parameter asks for, else the header Accept. Raises a Problem (406) for others."""
    if asked is not None:
        for form in there:
            if form == asked:
                return form
        raise Problem(406, f"format: expected one of {', '.join(there)}", [fault("format", FORMAT.expected, asked)])
    accepted = ",".join(request.headers.getlist("accept"))
    if not accepted.strip():
        return there[0]
    weights = {form: _weight(accepted, MEDIA_TYPES[form]) for form in there}
    best = max(there, key=lambda form: weights[form])
    if weights[best] > 0:
        return best
    raise Problem(406, f"Accept: expected one of {', '.join(MEDIA_TYPES[form] for form in there)}, got {accepted[:80]}")


def _weight(accepted: str, media_type: str) -> float:
    """How much a media type is wanted, by the most specific range that has it; 0 if not at all.

    >>> _weight("text/*;q=0.5, */*;q=0.1", "text/csv"), _weight("text/html", "text/csv")
    (0.5, 0.0)
    """
    found = (-1, 0.0)
    for one in accepted.split(","):
        kind, *parameters = (part.strip().lower() for part in one.split(";"))
        wildcards = ("*/*", f"{media_type.partition('/')[0]}/*", media_type)
        if kind in wildcards:
            quality = next((_number(part[2:]) for part in parameters if part.startswith("q=")), 1.0)
            found = max(found, (wildcards.index(kind), quality))
    return found[1]


def _number(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0
