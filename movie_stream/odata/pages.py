"""Keyset pagination: each page of a set as one pipeline of MongoDB.

A page begins after the position at which the last one ended, not at a count, so that concurrent writes shift nothing.
Without `$orderby` the order is that of the documents' keys, which never change and have an index; the rows of a flat
view are ordered by document, and within one by their rank.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from movie_stream.aggregates.shape import RANK
from movie_stream.mongo.query import DOWN, UP, Filter, Order, Position, after_filter
from movie_stream.odata.model import KEY, EntitySet

Pipeline = list[dict[str, Any]]
COUNT: Final = "n"
"""The field with the number of entities."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The requested entities of a set, in a total order."""

    entity_set: EntitySet
    filter: Filter
    order: Order
    """Empty: the order of the keys."""
    select: tuple[str, ...] | None

    @property
    def sort(self) -> Order:
        """The total order, as MongoDB's sort."""
        named = {name for name, _ in self.order}
        return self.order if named & self.entity_set.unique else (*self.order, (KEY, UP))

    @property
    def _row_by_row(self) -> bool:
        return self.entity_set.flat and not self.order

    @property
    def _by_start(self) -> bool:
        """Whether documents are sorted by the start of their window, which has an index, and then by other fields."""
        return not self.entity_set.flat and len(self.sort) > 1 and self.sort[0][0] == self.entity_set.start

    def pipeline(self, size: int, skip: int, after: Position | None) -> Pipeline:
        """The pipeline that finds the entities of one page: at most `size` of them, after skipping `skip`."""
        ends: Pipeline = [*([{"$skip": skip}] * bool(skip)), {"$limit": size}, {"$project": self._fields}]
        sort = {"$sort": dict(self.sort)}
        if self._row_by_row:
            # In the order of the documents; some rows of the first one may have been on the page before.
            unwind, project = self.entity_set.rows
            if after is None:
                return [sort, unwind, project, *self._matching, *ends]
            document, rank = after
            begun = {"$match": {"$or": [{KEY: {"$gt": document}}, {RANK: {"$gte": rank}}]}}
            before = {"$match": {KEY: {"$gte": document}}}
            return [before, sort, unwind, begun, project, *self._matching, *ends]
        beyond: Pipeline = [] if after is None else [{"$match": self._after(after)}]
        page = [*self._matching, *beyond, sort, *ends]
        return self._within(page, size + skip, after) if self._by_start else [*self.entity_set.rows, *page]

    def _within(self, page: Pipeline, most: int, after: Position | None) -> Pipeline:
        """The page, limited to the windows up to its end, which is found by the index on their starts.

        Otherwise MongoDB would sort all documents. Windows with the same start as the last page's end belong to it too.
        """
        field, direction = self.sort[0]
        next_one, furthest, until = ("$lt", "$min", "$gte") if direction == DOWN else ("$gt", "$max", "$lte")
        collection, only_it = self.entity_set.result.collection, {"$project": {field: 1}}
        ahead: Pipeline = [*self._matching, {"$sort": {field: direction}}, {"$limit": most}, only_it]
        if after is not None:
            like_the_last: Pipeline = [{"$match": {field: after[0]}}, {"$limit": 1}, only_it]
            union = {"$unionWith": {"coll": collection, "pipeline": like_the_last}}
            ahead = [{"$match": {field: {next_one: after[0]}}}, *ahead, union]
        bounded = [{"$match": {"$expr": {until: [f"${field}", "$$bound"]}}}, *page]
        lookup = {"from": collection, "let": {"bound": "$bound"}, "pipeline": bounded, "as": "page"}
        group = {"$group": {KEY: None, "bound": {furthest: f"${field}"}}}
        return [*ahead, group, {"$lookup": lookup}, {"$unwind": "$page"}, {"$replaceWith": "$page"}]

    def count(self) -> Pipeline:
        """The pipeline that counts the requested entities of all pages."""
        return [*self.entity_set.rows, *self._matching, {"$count": COUNT}]

    def position_of(self, entity: Mapping[str, Any]) -> Position:
        """The position of an entity in the order; the next page begins after it."""
        if self._row_by_row:
            document, _, rank = entity[KEY].rpartition("_")
            return document, int(rank)
        return tuple(entity.get(name) for name, _ in self.sort)

    @property
    def _matching(self) -> Pipeline:
        return [{"$match": self.filter}] if self.filter else []

    def _after(self, after: Position) -> Filter:
        (first, direction), *_ = self.sort
        found: Filter = {"$or": after_filter(self.sort, after)}
        if first in (KEY, self.entity_set.start):  # redundant, but can use an index
            found[first] = {"$lte" if direction == DOWN else "$gte": after[0]}
        return found

    @property
    def _fields(self) -> dict[str, int]:
        """The selected fields, and those of an entity's position."""
        names = self.entity_set.named if self.select is None else self.select
        return dict.fromkeys((KEY, *names, *(name for name, _ in self.sort)), 1)


def one_entity(entity_set: EntitySet, key: str) -> Pipeline:
    """The pipeline that finds the entity with this key, if there is one."""
    document = key.rpartition("_")[0] if entity_set.flat else key
    stages: Pipeline = [{"$match": {KEY: document}}, *entity_set.rows, {"$match": {KEY: key}}]
    return [*stages, {"$project": dict.fromkeys(entity_set.named, 1)}]
