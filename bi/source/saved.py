"""Queries and pipelines in the formats of MongoDB Compass: as text to paste, and as the files of a user's saved
queries.
"""

from __future__ import annotations

import json
import re
import textwrap
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from bson import json_util
from bson.json_util import RELAXED_JSON_OPTIONS

_NAMESPACE: Final = uuid.UUID("6f3f2f5e-7d0c-4d0e-9d1c-2f1d9a1b0c5e")
"""The namespace of ids, so that a saved query gets the same id each time it is generated."""
_SAVED: Final = datetime(2025, 1, 1, tzinfo=UTC)
DATABASE: Final = "movies_db"


@dataclass(frozen=True, slots=True)
class Saved:
    """A query or a pipeline of one collection."""

    file: str
    """The name of its file, without an ending."""
    name: str
    """The name shown by Compass."""
    description: str
    """Its purpose, and what to change in it; sentences."""
    collection: str
    index: str
    """The index that it uses."""

    @property
    def id(self) -> str:
        """A deterministic UUID."""
        return str(uuid.uuid5(_NAMESPACE, self.file))

    @property
    def namespace(self) -> str:
        """Database and collection; to be changed for another database than the default one."""
        return f"{DATABASE}.{self.collection}"


@dataclass(frozen=True, slots=True)
class Query(Saved):
    """A find, for the query bar of the tab Documents."""

    filter: dict[str, Any]
    sort: dict[str, int]
    project: dict[str, int] | None = None
    limit: int | None = None

    def text(self) -> str:
        """The text to paste, field by field."""
        parts = {"Filter": self.filter, "Project": self.project, "Sort": self.sort, "Limit": self.limit}
        lines = [f"// {name}\n{shell(value)}" for name, value in parts.items() if value is not None]
        return f"{_remark(self)}{chr(10).join(lines)}\n"

    def stored(self) -> dict[str, Any]:
        """The document of a favourite query."""
        parts = {"filter": self.filter, "project": self.project, "sort": self.sort, "limit": self.limit}
        return {
            "_id": self.id,
            "_name": self.name,
            "_ns": self.namespace,
            **{name: value for name, value in parts.items() if value is not None},
            "_lastExecuted": _SAVED,
            "_dateModified": _SAVED,
            "_dateSaved": _SAVED,
        }


@dataclass(frozen=True, slots=True)
class Pipeline(Saved):
    """An aggregation, for the text view of the tab Aggregations."""

    stages: list[dict[str, Any]]

    def text(self) -> str:
        """The text to paste."""
        return f"{_remark(self)}{shell(self.stages)}\n"

    def stored(self) -> dict[str, Any]:
        """The document of a saved pipeline."""
        return {
            "id": self.id,
            "name": self.name,
            "namespace": self.namespace,
            "comments": True,
            "autoPreview": True,
            "collationString": "",
            "pipelineText": self.text(),
            "lastModified": int(_SAVED.timestamp() * 1000),
        }


def as_stored(saved: Query | Pipeline) -> str:
    """The file in which Compass stores it, in extended JSON."""
    return json_util.dumps(saved.stored(), indent=2, json_options=RELAXED_JSON_OPTIONS, ensure_ascii=False) + "\n"


def shell(value: Any) -> str:
    """A value as written in MongoDB's shell: JSON, except for times.

    >>> shell(datetime(2024, 10, 31, tzinfo=UTC))
    'ISODate("2024-10-31T00:00:00Z")'
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, default=lambda at: f"ISODate({at:%Y-%m-%dT%H:%M:%SZ})")
    return re.sub(r'"ISODate\((.*?)\)"', r'ISODate("\1")', text)


def _remark(saved: Saved) -> str:
    remark = "".join(f"// {line}\n" for line in textwrap.wrap(saved.description, 100))
    return f"// {saved.name}\n{remark}// Collection {saved.collection}, answered by its index {saved.index}.\n"
