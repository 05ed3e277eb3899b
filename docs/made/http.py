"""The ways to ask for results over HTTP: routes and parameters by OpenAPI, and the entity sets of the OData feed."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from typing import Any, Final

import httpx

from docs.made.markdown import MADE, plain, table
from movie_stream.aggregates.fields import Description
from movie_stream.aggregates.shape import Shape
from movie_stream.odata.model import KEY, EntitySet, Property, all_sets
from movie_stream.settings import Settings
from movie_stream.web.server import application

_NOBODY: Final = "mongodb://127.0.0.1:9"
"""Where no MongoDB is: the description needs none."""
_TAGS: Final = {
    "results": "Results",
    "dashboard": "For a dashboard",
    "alerts": "Alerts",
    "changes": "Changes",
    "server": "The server",
}
"""What a group of routes is called, by its tag."""


def routes() -> str:
    """The whole of routes.md."""
    described = asyncio.run(_described())
    by_tag: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for path, operations in described["paths"].items():
        for operation in operations.values():
            by_tag.setdefault(operation["tags"][0], []).append((path, operation))
    return (
        "# Routes of the REST API\n\n"
        "Every route with its parameters, as `/api/v1/openapi.json` describes them; all are asked by GET. "
        "[The results over HTTP](rest.md) shows them at work, [Errors](errors.md#answers-of-the-server) has the "
        "statuses.\n"
        + MADE.rstrip("\n")
        + "\n"
        + "".join(
            f"\n## {_TAGS.get(tag, tag.capitalize())}\n" + "".join(_routes(found)) for tag, found in by_tag.items()
        )
    )


def _routes(found: list[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Those with the same parameters together."""
    alike: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for path, operation in found:
        alike.setdefault(_parameters(operation), []).append((path, operation))
    for parameters, same in alike.items():
        rows = ((f"`{path}`", plain(operation["summary"]), _model(operation)) for path, operation in same)
        yield "\n" + table(("route", "what it gives", "as"), rows) + (f"\n{parameters}" if parameters else "")


def _model(operation: Mapping[str, Any]) -> str:
    schema = operation["responses"]["200"].get("content", {}).get("application/json", {}).get("schema", {})
    forms = [form for form in operation["responses"]["200"].get("content", {}) if form != "application/json"]
    name = str(schema.get("$ref", "")).rpartition("/")[2]
    return ", ".join([f"`{name}`"] * bool(name) + [f"`{form}`" for form in forms])


def _parameters(operation: Mapping[str, Any]) -> str:
    rows = [
        (f"`{one['name']}`", plain(one["description"]), _allowed(one["schema"]), _default(one["schema"]))
        for one in operation.get("parameters", [])
    ]
    return table(("parameter", "means", "must be", "default"), rows) if rows else ""


def _allowed(schema: Mapping[str, Any]) -> str:
    """What the schema allows, in words."""
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    formats = [one["format"] for one in [schema, *schema.get("anyOf", [])] if "format" in one]
    if formats:
        return " or ".join({"date-time": "a time by RFC 3339", "date": "a day"}.get(name, name) for name in formats)
    if schema.get("type") == "integer":
        bounds = [f"{word} {schema[key]}" for word, key in (("from", "minimum"), ("to", "maximum")) if key in schema]
        return " ".join(["a whole number", *bounds])
    if "pattern" in schema:
        pattern = str(schema["pattern"])
        return f"text as `{pattern}`" if len(pattern) <= 40 and pattern.isprintable() else "text"
    return "text"


def _default(schema: Mapping[str, Any]) -> str:
    return f"`{schema['default']}`" if "default" in schema else ""


async def _described() -> Mapping[str, Any]:
    """What OpenAPI says of the server."""
    settings = Settings(mongodb_uri=_NOBODY, api_token=None, metrics_port=None, alerts_file=None)
    async with application(settings) as app:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            described: Mapping[str, Any] = (await client.get("/api/v1/openapi.json")).raise_for_status().json()
            return described


def entity_sets() -> str:
    """The whole of entity-sets.md."""
    return (
        "# Entity sets of the OData feed\n\n"
        "Every set at `/odata/` with its properties, as `$metadata` declares them. "
        "[The results as an OData feed](odata.md) says what may be asked of them.\n"
        + MADE.rstrip("\n")
        + "\n"
        + "".join(f"\n## {one.name}\n\n{_set(one)}" for one in all_sets().values())
    )


def _set(one: EntitySet) -> str:
    shape, fields = Shape.of(one.result), one.result.fields
    about = f"The rows of the view `{one.name}`." if one.flat else f"The documents of `{one.name}`."
    within = fields[shape.entries].description.entry if shape.entries else {}
    descriptions = {column.name: column.description for column in shape.flat_row} | {
        name: of.description for name, of in fields.items()
    }
    if one.flat:
        descriptions |= within
    descriptions[KEY] = Description("The key.")
    found = [f"{about}\n", _properties(one.properties, descriptions, one)]
    if one.entries is not None:
        found += [
            f"`{one.entry_type}`, of `{one.entries.name}`:\n",
            _properties(one.entries.entry, within, one),
        ]
    return "\n".join(found)


def _properties(properties: tuple[Property, ...], descriptions: Mapping[str, Description], one: EntitySet) -> str:
    rows = (
        (
            f"`{prop.name}`",
            f"`{prop.type}`" if prop.type else f"collection of `{one.entry_type}`",
            "yes" if prop.nullable else "no",
            descriptions[prop.name].unit,
            plain(descriptions[prop.name].meaning),
        )
        for prop in properties
    )
    return table(("property", "type", "nullable", "unit", "meaning"), rows)
