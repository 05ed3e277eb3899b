"""`/api/v1`: which results there are, what they hold, and where everything is; and the description by OpenAPI."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

from fastapi import APIRouter, FastAPI
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from movie_stream import __version__
from movie_stream.aggregates.shape import Column, Kind
from movie_stream.web.access import API
from movie_stream.web.openapi import describe, operation
from movie_stream.web.parameters import Parameters
from movie_stream.web.rendering import json_response
from movie_stream.web.resources import Resource, all_resources


class FieldOf(BaseModel):
    """A field of a result, and which kind of value it has."""

    name: str
    kind: Kind


class Entries(BaseModel):
    """The list in the documents of a result."""

    name: str
    fields: list[FieldOf]


class ResultOf(BaseModel):
    """A result, or the flat view of one: where it is, over which window, and its fields."""

    name: str
    href: str
    window: Literal["minute", "hour", "day", "all time"]
    by: str | None
    fields: list[FieldOf]
    entries: Entries | None


class Index(BaseModel):
    """What `/api/v1` answers: every result and where it is, and all other resources as links by name."""

    version: str
    database: str
    results: list[ResultOf]
    links: dict[str, str]


def index_router(app: FastAPI, database: str, *, token_required: bool) -> APIRouter:
    """The index, and the description of all that `app` serves."""
    router, none = APIRouter(), Parameters()

    async def index(request: Request) -> Response:
        none.read(request)
        links = dict(_links(app, token_required))
        found = [_described(resource) for resource in all_resources()]
        return json_response(request, {"version": __version__, "database": database, "results": found, "links": links})

    async def openapi(request: Request) -> Response:
        none.read(request)
        return json_response(request, describe(app, token_required=token_required))

    router.add_api_route("", index, **operation("What there is", none, Index, "server"))
    router.add_api_route("/", index, include_in_schema=False, methods=["GET"])
    router.add_api_route("/openapi.json", openapi, include_in_schema=False, methods=["GET"])
    return router


def _links(app: FastAPI, token_required: bool) -> Iterator[tuple[str, str]]:
    names = {resource.name for resource in all_resources()}
    for path in describe(app, token_required=token_required)["paths"]:
        name = path.removeprefix(f"{API}/")
        if path.startswith(f"{API}/") and name not in names:
            yield name, path
    yield "openapi", f"{API}/openapi.json"


def _described(resource: Resource) -> dict[str, Any]:
    shape, result = resource.shape, resource.result
    columns = shape.flat_row if resource.flat else shape.fields
    entries = None
    if shape.entries and not resource.flat:
        entries = {"name": shape.entries, "fields": _fields(shape.entry)}
    return {
        "name": resource.name,
        "href": f"{API}/{resource.name}",
        "window": result.window.name,
        "by": result.by,
        "fields": _fields(columns),
        "entries": entries,
    }


def _fields(columns: tuple[Column, ...]) -> list[dict[str, str]]:
    return [{"name": column.name, "kind": column.kind} for column in columns]
