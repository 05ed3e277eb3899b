"""The results as models of OpenAPI, made from their entries in RESULTS: nothing here knows any of them by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from pydantic import BaseModel, Field, create_model

from movie_stream.aggregates.results import Result
from movie_stream.aggregates.shape import Column, Kind, Shape

_TYPES: Final[dict[Kind, type]] = {"time": datetime, "count": int, "number": float, "text": str}


def type_name(result: Result) -> str:
    """What the model of the result's documents is called.

    >>> from movie_stream.aggregates.results import RESULTS
    >>> type_name(RESULTS[0])
    'MoviesAggregates'
    """
    return "".join(map(str.capitalize, result.collection.split("_")))


def document_model(result: Result) -> type[BaseModel]:
    """A document; every field may be null, since one that an older version wrote may lack it."""
    shape, name = Shape.of(result), type_name(result)
    fields = _fields(shape.fields)
    if shape.entries:
        entry = create_model(f"{name}Entry", **_fields(shape.entry))
        fields[shape.entries] = (list[entry], Field(description=result.fields[shape.entries].description.in_words))
    return create_model(name, **_with_id(fields))


def row_model(result: Result) -> type[BaseModel]:
    """A row of the result's flat view."""
    return create_model(f"{type_name(result)}Row", **_with_id(_fields(Shape.of(result).flat_row)))


def page_model(item: type[BaseModel], **beside: Any) -> type[BaseModel]:
    """A page of such items, the cursor of the next one, and what stands beside them."""
    fields: dict[str, Any] = {
        "items": (list[item], Field()),  # type: ignore[valid-type]
        "next": (str | None, Field(description="The cursor of the next page; null where there is none.")),
    }
    return create_model(f"{item.__name__}Page", **fields, **beside)


def _fields(columns: Sequence[Column]) -> dict[str, Any]:
    return {
        column.name: (_TYPES[column.kind] | None, Field(description=column.description.in_words)) for column in columns
    }


def _with_id(fields: dict[str, Any]) -> dict[str, Any]:
    """`_id` first; names that begin with an underscore need another one in Python."""
    return {"id_": (str, Field(alias="_id")), **fields}
