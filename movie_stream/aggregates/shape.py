"""The layout of a result's documents for readers: the field with the window's start, the type of each field, and lists
as rows. It is derived from the result's entry in RESULTS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from movie_stream.aggregates.fields import Count, Date, Description, End, Newest, Schema, Start
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.window import ALL_TIME

Document = Mapping[str, Any]
Kind = Literal["time", "count", "number", "text"]
RANK = "rank"
"""The field of a row with the position of its entry in the list, from 1."""
_RANK_DESCRIPTION = Description("The place of the entry in its list, from 1.")
_TIMES = (Start, End, Date, Newest)
"""The types of fields that hold only the time of a document."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a row."""

    name: str
    kind: Kind
    description: Description = field(default=Description(""), compare=False)
    """What it means."""


@dataclass(frozen=True, slots=True)
class Shape:
    """The documents of one result.

    >>> from movie_stream.aggregates.results import RESULTS
    >>> shape = Shape.of(RESULTS[1])
    >>> shape.start, shape.entries, [column.name for column in shape.row]
    ('timestamp', 'top_movies', ['timestamp', 'rank', 'movie_id', 'title', 'genre', 'views', ...])
    """

    result: Result
    start: str | None
    """The field with the start of the window; None if there is one window for all time."""
    views: str | None
    """The field that counts views, if there is one."""
    fields: tuple[Column, ...]
    """The document's fields except `_id` and the list."""
    entries: str | None
    """The field with a list of entries, if there is one."""
    entry: tuple[Column, ...]
    """The fields of an entry of that list."""

    @classmethod
    def of(cls, result: Result) -> Self:
        """The shape of a result, from its fields and their schemas. Raises ValueError if it has no row form."""
        schemas = {name: declared.schema for name, declared in result.fields.items()}
        lists = {name: schema["items"]["properties"] for name, schema in schemas.items() if _is_list(schema)}
        if len(lists) > 1:
            raise ValueError(f"{result.collection}: a document can have one list, not {', '.join(lists)}")
        entries, entry = next(iter(lists.items()), (None, {}))
        meanings = {name: declared.description for name, declared in result.fields.items()}
        within = meanings[entries].entry if entries else {}
        if duplicates := (entry.keys() | {RANK}) & (schemas.keys() - lists.keys()) if entries else set():
            raise ValueError(f"{result.collection}: a row would have {', '.join(sorted(duplicates))} twice")
        return cls(
            result,
            None if result.window is ALL_TIME else _first(result, Start),
            _first(result, Count),
            tuple(
                Column(name, kind_of(schema), meanings[name]) for name, schema in schemas.items() if name not in lists
            ),
            entries,
            tuple(Column(name, kind_of(schema), within[name]) for name, schema in entry.items()),
        )

    @property
    def is_list(self) -> bool:
        """Whether a document consists of a list and its time alone, without other figures."""
        return bool(self.entries) and all(isinstance(self.result.fields[column.name], _TIMES) for column in self.fields)

    @property
    def flat_row(self) -> tuple[Column, ...]:
        """The fields of a row of the flat view, except `_id`; empty without a list."""
        return (*self.fields, Column(RANK, "count", _RANK_DESCRIPTION), *self.entry) if self.entries else ()

    @property
    def row(self) -> tuple[Column, ...]:
        """The fields of a row, except `_id`: those of the flat view if the document is a list."""
        return self.flat_row if self.is_list else self.fields

    @property
    def one_a_window(self) -> bool:
        """Whether no two documents have the same start."""
        return self.start is not None and not self.result.by

    def list_of(self, document: Document) -> list[Document]:
        """The entries of a document's list; empty if the field is not a list of objects."""
        entries = document.get(self.entries or "")
        return [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []

    def rows(self, document: Document) -> Iterator[dict[str, Any]]:
        """The document as rows: one with its figures, or, if it is a list, one for each entry as in the flat view.

        A field that a document of an older version lacks is None.
        """
        if self.is_list:
            yield from self.flat_rows(document)
        else:
            yield self._figures(document)

    def flat_rows(self, document: Document) -> Iterator[dict[str, Any]]:
        """A row for each entry of the document's list, as in the flat view; missing fields are None."""
        base = self._figures(document)
        for rank, entry in enumerate(self.list_of(document), 1):
            figures = {column.name: entry.get(column.name) for column in self.entry}
            yield {**base, "_id": f"{base['_id']}_{rank}", RANK: rank, **figures}

    def _figures(self, document: Document) -> dict[str, Any]:
        return {"_id": document["_id"], **{column.name: document.get(column.name) for column in self.fields}}


def _is_list(schema: Schema) -> bool:
    return "properties" in schema.get("items", {})


def _first(result: Result, kind: type) -> str | None:
    return next((name for name, declared in result.fields.items() if isinstance(declared, kind)), None)


def kind_of(schema: Schema) -> Kind:
    """The kind of value that a schema allows, besides null.

    >>> kind_of({"bsonType": ["int", "long"]}), kind_of({"bsonType": ["double", "null"]}), kind_of({"bsonType": "date"})
    ('count', 'number', 'time')
    """
    types = schema["bsonType"]
    allowed = {types} if isinstance(types, str) else set(types)
    if "date" in allowed:
        return "time"
    if "double" in allowed:
        return "number"
    return "count" if allowed & {"int", "long"} else "text"
