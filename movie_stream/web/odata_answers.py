"""Answers of the OData feed: JSON and errors as OData has them, and addresses that a client may be told."""

from __future__ import annotations

import http
from collections.abc import Mapping
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

from movie_stream.errors import MovieStreamError
from movie_stream.masking import masked
from movie_stream.mongo.written import json_of
from movie_stream.odata.payload import Form
from movie_stream.odata.refusals import Refused, error_body
from movie_stream.web.problems import Problem, problem_of
from movie_stream.web.session import BASIC_CHALLENGE, CHALLENGE, came_by_tls

ODATA: Final = "/odata"
VERSION: Final = {"OData-Version": "4.0"}
_ERROR_FORM: Final = Form()
_HOST_CHARACTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-_:[]")


def below_odata(path: str) -> bool:
    """Whether a path is one of the feed.

    >>> below_odata("/odata"), below_odata("/odata/x"), below_odata("/odatas")
    (True, True, False)
    """
    return path == ODATA or path.startswith(f"{ODATA}/")


def json_answer(value: Mapping[str, Any], form: Form, headers: Mapping[str, str] | None = None) -> Response:
    """A value as JSON in the form that was asked for."""
    said = {**VERSION, "Cache-Control": "no-store", "Vary": "Accept, Prefer", **(headers or {})}
    return Response(json_of(value), 200, {**said, "Content-Type": form.media_type})


def error_answer(error: MovieStreamError | Problem) -> Response:
    """An error as OData has it; who has to log in is told that a name and a password will do."""
    status, message, target, headers = _said(error)
    body = error_body(http.HTTPStatus(status).phrase.replace(" ", ""), masked(message), target)
    said = {**VERSION, "Cache-Control": "no-store", **headers, "Content-Type": _ERROR_FORM.media_type}
    if status == 401:
        said |= BASIC_CHALLENGE
    response = Response(json_of(body), status, said)
    if status == 401:
        for name, challenge in CHALLENGE.items():
            response.headers.append(name, challenge)
    return response


def base_of(scope: Scope) -> str:
    """The address of the service as the client has it, with a slash at its end.

    Behind a proxy with TLS the header X-Forwarded-Proto says so: a client would send its password in the open
    otherwise.
    """
    headers = Headers(scope=scope)
    host = headers.get("host", "").lower()
    if not host or not _HOST_CHARACTERS.issuperset(host):
        raise Problem(400, "expected the name of this server in Host")
    scheme = "https" if came_by_tls(headers) else scope.get("scheme", "http")
    return f"{scheme}://{host}{ODATA}/"


def _said(error: MovieStreamError | Problem) -> tuple[int, str, str | None, Mapping[str, str]]:
    if isinstance(error, Refused):
        return error.status, error.message, error.target, {}
    problem = error if isinstance(error, Problem) else problem_of(error)
    return problem.status, problem.detail, None, problem.headers
