"""What OpenAPI says of the server: operations with their parameters, models and errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from fastapi import FastAPI
from pydantic import BaseModel

from movie_stream import __version__
from movie_stream.web.parameters import Parameters
from movie_stream.web.problems import MEDIA_TYPE, STATUSES, ProblemDetails

_ERRORS: Final = (401, 406, 414, 421, 422, 429, 503)
"""Statuses that any operation may answer."""
_PROBLEM: Final = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
_ETAG: Final = {"ETag": {"description": "What to send as If-None-Match.", "schema": {"type": "string"}}}


def operation(
    summary: str,
    parameters: Parameters,
    model: type[BaseModel] | None,
    tag: str,
    other_content: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The arguments of a route that OpenAPI is made from; the answer is checked by tests, not at every request."""
    responses: dict[int | str, dict[str, Any]] = {
        status: {"description": STATUSES[status][0], "content": {MEDIA_TYPE: _PROBLEM}} for status in _ERRORS
    }
    found: dict[str, Any] = {"description": "The answer.", "headers": _ETAG}
    if model is not None:
        found["model"] = model
    if other_content:
        found["content"] = dict(other_content)
    responses[200] = found
    responses[304] = {"description": "What If-None-Match names is what there is."}
    return {
        "summary": summary,
        "methods": ["GET"],
        "tags": [tag],
        "response_model": None,
        "responses": responses,
        "openapi_extra": parameters.openapi(),
    }


def describe(app: FastAPI, *, token_required: bool) -> dict[str, Any]:
    """The OpenAPI description of the whole server."""
    if app.openapi_schema is None:
        made = FastAPI.openapi(app)
        made["info"] |= {"version": __version__}
        schemas = made.setdefault("components", {}).setdefault("schemas", {})
        for unused in ("HTTPValidationError", "ValidationError"):
            schemas.pop(unused, None)
        problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(problem.pop("$defs", {}))
        schemas["ProblemDetails"] = problem
        if token_required:
            made["components"]["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            made["security"] = [{"token": []}]
        app.openapi_schema = made
    return app.openapi_schema
