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

    @property
    def _by_start(self) -> bool:
        """Whether documents sort by the start of their window, which has an index, and then by what it lacks."""
        return not self.entity_set.flat and len(self.sort) > 1 and self.sort[0][0] == self.entity_set.start

    def pipeline(self, size: int, skip: int, after: Position | None) -> Pipeline:
        """What finds the entities of one page, so many at most, and so many left out before them."""
        ends: Pipeline = [*([{"$skip": skip}] * bool(skip)), {"$limit": size}, {"$project": self._fields}]
        sort = {"$sort": dict(self.sort)}
        if self._row_by_row:
            # In the order of the documents, of which the first may have given some of its rows to the page before.
            unwind, project = self.entity_set.rows
            if after is None:
                return [sort, unwind, project, *self._wanted, *ends]
            document, rank = after
            begun = {"$match": {"$or": [{KEY: {"$gt": document}}, {RANK: {"$gte": rank}}]}}
            before = {"$match": {KEY: {"$gte": document}}}
            return [before, sort, unwind, begun, project, *self._wanted, *ends]
        beyond: Pipeline = [] if after is None else [{"$match": self._behind(after)}]
        page = [*self._wanted, *beyond, sort, *ends]
        return self._within(page, size + skip, after) if self._by_start else [*self.entity_set.rows, *page]

    def _within(self, page: Pipeline, most: int, after: Position | None) -> Pipeline:
        """The page, without the windows behind its end, which the index of their starts tells.

        MongoDB would sort all documents otherwise. What begins like the last page ended belongs to this one besides.
        """
        field, direction = self.sort[0]
        next_one, furthest, until = ("$lt", "$min", "$gte") if direction == DOWN else ("$gt", "$max", "$lte")
        collection, only_it = self.entity_set.result.collection, {"$project": {field: 1}}
        ahead: Pipeline = [*self._wanted, {"$sort": {field: direction}}, {"$limit": most}, only_it]
        if after is not None:
            like_the_last: Pipeline = [{"$match": {field: after[0]}}, {"$limit": 1}, only_it]
            union = {"$unionWith": {"coll": collection, "pipeline": like_the_last}}
            ahead = [{"$match": {field: {next_one: after[0]}}}, *ahead, union]
        bounded = [{"$match": {"$expr": {until: [f"${field}", "$$bound"]}}}, *page]
        lookup = {"from": collection, "let": {"bound": "$bound"}, "pipeline": bounded, "as": "page"}
        group = {"$group": {KEY: None, "bound": {furthest: f"${field}"}}}
        return [*ahead, group, {"$lookup": lookup}, {"$unwind": "$page"}, {"$replaceWith": "$page"}]

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
