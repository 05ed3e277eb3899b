"""The entity sets: one for each collection of the results, and one for each flat view, all derived from RESULTS.

>>> films = sets_of(results.RESULTS)["top_movies_flat"]
>>> [(column.name, column.type, column.nullable) for column in films.properties[:3]]
[('_id', 'Edm.String', False), ('timestamp', 'Edm.DateTimeOffset', False), ('rank', 'Edm.Int64', False)]
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from movie_stream.aggregates import results
from movie_stream.aggregates.fields import Date, Schema
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.shape import RANK, Kind, Shape, kind_of
from movie_stream.mongo.flat_views import flat_view

Edm = Literal["Edm.String", "Edm.Int64", "Edm.Double", "Edm.DateTimeOffset", "Edm.Date", "Edm.Boolean"]
KEY: Final = "_id"
NAMESPACE: Final = "MovieStream"
CONTAINER: Final = "Results"
TIMES_PRECISION: Final = 3
"""The digits of a second's fraction: MongoDB stores milliseconds."""
_TYPES: Final[Mapping[Kind, Edm]] = {
    "time": "Edm.DateTimeOffset",
    "count": "Edm.Int64",
    "number": "Edm.Double",
    "text": "Edm.String",
}


@dataclass(frozen=True, slots=True)
class Property:
    """One property of an entity, or of an entry in the list of one."""

    name: str
    type: Edm | None
    """None: a list of entries as in `entry`."""
    nullable: bool = False
    entry: tuple[Property, ...] = ()


@dataclass(frozen=True)
class EntitySet:
    """The documents of one result, or the rows of its flat view."""

    result: Result
    flat: bool
    properties: tuple[Property, ...]
    """The key first; the others as in RESULTS."""
    named: Mapping[str, Property] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "named", {one.name: one for one in self.properties})

    @property
    def name(self) -> str:
        """The name of the set and of its entity type: that of the collection, or of the view."""
        return f"{self.result.collection}_flat" if self.flat else self.result.collection

    @property
    def entry_type(self) -> str:
        """The name of the complex type of its list's entries."""
        return f"{self.name}_entry"

    @property
    def entries(self) -> Property | None:
        """Its list, if it has one."""
        return next((one for one in self.properties if one.type is None), None)

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The pipeline from the collection's documents to the entities: empty, or that of the flat view."""
        view = flat_view(self.result.schema()) if self.flat else None
        return view or []

    @property
    def start(self) -> str | None:
        """The property with the start of the window, if there is one."""
        return Shape.of(self.result).start

    @property
    def unique(self) -> frozenset[str]:
        """The properties of which no two entities have the same value."""
        shape = Shape.of(self.result)
        return frozenset({KEY} | ({str(shape.start)} if shape.one_a_window and not self.flat else set()))


def sets_of(declared: Iterable[Result]) -> dict[str, EntitySet]:
    """The sets of these results by name: the collections first, as they are declared, and then the flat views."""
    listed = list(declared)
    plain = [EntitySet(result, False, _properties(result)) for result in listed]
    flat = [EntitySet(result, True, _of_rows(result)) for result in listed if Shape.of(result).entries]
    return {one.name: one for one in [*plain, *flat]}


def all_sets() -> dict[str, EntitySet]:
    """The sets of all results that are declared now."""
    return sets_of(results.RESULTS)


def _properties(result: Result) -> tuple[Property, ...]:
    return tuple(_property(name, schema) for name, schema in result.schema()["properties"].items())


def _of_rows(result: Result) -> tuple[Property, ...]:
    """The properties of the flat view: the fields beside the list, the rank, and the fields of an entry."""
    properties = _properties(result)
    beside = [one for one in properties if one.type is not None]
    within = [column for one in properties for column in one.entry]
    return (*beside, Property(RANK, "Edm.Int64"), *within)


def _property(name: str, schema: Schema) -> Property:
    if "properties" in schema.get("items", {}):
        entry = tuple(_property(column, its) for column, its in schema["items"]["properties"].items())
        return Property(name, None, entry=entry)
    types = schema["bsonType"]
    return Property(name, _type_of(schema), nullable="null" in ([types] if isinstance(types, str) else types))


def _type_of(schema: Schema) -> Edm:
    """The type of a field; a day, which is stored as text, is declared as a date.

    >>> _type_of(Date.schema), _type_of({"bsonType": ["int", "long"]})
    ('Edm.Date', 'Edm.Int64')
    """
    return "Edm.Date" if schema.get("pattern") == Date.schema["pattern"] else _TYPES[kind_of(schema)]
