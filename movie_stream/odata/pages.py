"""Pages of a set as one pipeline of MongoDB each.

A page begins behind the position at which the last one ended, and never by counting: so what is written meanwhile moves
nothing. Without `$orderby` the order is that of the keys of the documents, which no view changes and which an index
serves; the rows of a flat view come document by document, and in each by their rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from movie_stream.aggregates.shape import RANK
from movie_stream.mongo.query import DOWN, UP, Filter, Order, Position, behind
from movie_stream.odata.model import KEY, EntitySet

Pipeline = list[dict[str, Any]]
COUNT: Final = "n"
"""The field with the number of entities."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The entities of a set that are asked for, in an order in which no two are equal."""

    entity_set: EntitySet
    filter: Filter
    order: Order
    """Empty: that of the keys."""
    select: tuple[str, ...] | None

    @property
    def sort(self) -> Order:
        """The whole order, as MongoDB sorts."""
        named = {name for name, _ in self.order}
        return self.order if named & self.entity_set.unique else (*self.order, (KEY, UP))

    @property
    def _row_by_row(self) -> bool:
        return self.entity_set.flat and not self.order

    def pipeline(self, size: int, skip: int, after: Position | None) -> Pipeline:
        """What finds the entities of one page, so many at most, and so many left out before them."""
        wanted = self._wanted
        sort = {"$sort": dict(self.sort)}
        if self._row_by_row:
            # In the order of the documents, of which the first may have given some of its rows to the page before.
            unwind, project = self.entity_set.rows
            before: Pipeline = []
            begun: Pipeline = []
            if after is not None:
                document, rank = after
                before = [{"$match": {KEY: {"$gte": document}}}]
                begun = [{"$match": {"$or": [{KEY: {"$gt": document}}, {RANK: {"$gte": rank}}]}}]
            stages = [*before, sort, unwind, *begun, project, *wanted]
        else:
            beyond: Pipeline = [] if after is None else [{"$match": self._behind(after)}]
            stages = [*self.entity_set.rows, *wanted, *beyond, sort]
        return [*stages, *([{"$skip": skip}] * bool(skip)), {"$limit": size}, {"$project": self._fields}]

    def count(self) -> Pipeline:
        """What counts all entities that are asked for, on all pages."""
        return [*self.entity_set.rows, *self._wanted, {"$count": COUNT}]

    def position_of(self, entity: Mapping[str, Any]) -> Position:
        """Where an entity stands: behind it begins the next page."""
        if self._row_by_row:
            document, _, rank = entity[KEY].rpartition("_")
            return document, int(rank)
        return tuple(entity.get(name) for name, _ in self.sort)

    @property
    def _wanted(self) -> Pipeline:
        return [{"$match": self.filter}] if self.filter else []

    def _behind(self, after: Position) -> Filter:
        (first, direction), *_ = self.sort
        found: Filter = {"$or": behind(self.sort, after)}
        if first in (KEY, self.entity_set.start):  # in other words the same, in those that an index serves
            found[first] = {"$lte" if direction == DOWN else "$gte": after[0]}
        return found

    @property
    def _fields(self) -> dict[str, int]:
        """Those that are asked for, and those that say where an entity stands."""
        names = self.entity_set.named if self.select is None else self.select
        return dict.fromkeys((KEY, *names, *(name for name, _ in self.sort)), 1)


def one_entity(entity_set: EntitySet, key: str) -> Pipeline:
    """What finds the entity with this key, if there is one."""
    document = key.rpartition("_")[0] if entity_set.flat else key
    stages: Pipeline = [{"$match": {KEY: document}}, *entity_set.rows, {"$match": {KEY: key}}]
    return [*stages, {"$project": dict.fromkeys(entity_set.named, 1)}]
