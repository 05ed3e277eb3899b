"""Flat views of results with lists, for BI tools, which cannot unwind arrays: one row per entry, with its rank."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Schema = Mapping[str, Any]
Pipeline = list[dict[str, Any]]


def flat_view(schema: Schema) -> Pipeline | None:
    """The pipeline that unwinds the only list of objects in documents of this schema; None if there is none.

    A row has the document's other fields, `rank` from 1, and the entry's fields. Its `_id` is the document's followed
    by the rank.

    >>> top = {"bsonType": "array", "items": {"properties": {"title": {"bsonType": "string"}}}}
    >>> flat_view({"properties": {"date": {"bsonType": "string"}, "top": top}})[0]
    {'$unwind': {'path': '$top', 'includeArrayIndex': 'rank'}}
    >>> flat_view({"properties": {"date": {"bsonType": "string"}}}) is None
    True
    """
    fields: Mapping[str, Schema] = schema["properties"]
    lists = [name for name, field in fields.items() if "properties" in field.get("items", {})]
    if len(lists) != 1:
        return None
    rank = {"$add": ["$rank", 1]}
    row: dict[str, Any] = {"_id": {"$concat": ["$_id", "_", {"$toString": rank}]}}
    row |= {name: 1 for name in fields if name not in ("_id", *lists)}
    row |= {"rank": rank}
    row |= {name: f"${lists[0]}.{name}" for name in fields[lists[0]]["items"]["properties"]}
    return [{"$unwind": {"path": f"${lists[0]}", "includeArrayIndex": "rank"}}, {"$project": row}]
