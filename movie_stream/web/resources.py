"""A resource for every collection of RESULTS, and for its flat view where it has a list; all of them are one function.

What may be asked is what `mongo/query.py` allows; what the answer looks like follows from `aggregates/shape.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.aggregates import results
from movie_stream.aggregates.results import DISPLAY_NAMES, Result
from movie_stream.aggregates.shape import RANK, Column, Shape
from movie_stream.events.contract import TEXTS
from movie_stream.events.event import slug_of
from movie_stream.mongo import read
from movie_stream.mongo.query import DOWN, UP, Order, Query
from movie_stream.web import cursor, rendering
from movie_stream.web.asking import LIMIT_MS, Asker
from movie_stream.web.cursor import Sealer
from movie_stream.web.models import document_model, page_model, row_model
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameter, Parameters, number_parameter
from movie_stream.web.problems import bad_parameters, fault
from movie_stream.web.ranges import SINCE, UNTIL, require_order
from movie_stream.web.rendering import FORMAT, MEDIA_TYPES, Listed, list_response

MOST: Final = 1_000
_DEFAULT: Final = 100
_LIMIT: Final = number_parameter("limit", "How many at most.", least=1, most=MOST, default=_DEFAULT)
_CURSOR: Final = Parameter(
    "cursor",
    "the next of an answer to the same query",
    "The page after this one: `next` of an answer to the same query.",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": cursor.LONGEST},
    longest=cursor.LONGEST,
)
_LONGEST_GENRE: Final = TEXTS["genre"].longest


def _genre(text: str) -> str:
    if not 1 <= len(text.strip()) <= _LONGEST_GENRE:
        raise ValueError
    return text


GENRE: Final = Parameter(
    "genre",
    f"the name of a genre, 1 to {_LONGEST_GENRE} characters without $",
    "Only of this genre, however it is written.",
    {"type": "string", "pattern": r"^[^$\u0000-\u001f\u007f]*[^$\s\u0000-\u001f\u007f][^$\u0000-\u001f\u007f]*$"}
    | {"maxLength": _LONGEST_GENRE},
    _genre,
)


@dataclass(frozen=True)
class Resource:
    """The documents of one result, or the rows of its flat view."""

    result: Result
    flat: bool = False

    @property
    def name(self) -> str:
        """The last part of its path."""
        return f"{self.result.collection}_flat" if self.flat else self.result.collection

    @property
    def shape(self) -> Shape:
        """What its documents look like."""
        return Shape.of(self.result)

    @property
    def parameters(self) -> Parameters:
        """What may be asked of it."""
        times = (SINCE, UNTIL) if self.shape.start else ()
        genre = (GENRE,) if self.result.by_genre else ()
        return Parameters((*times, *genre, self._order, _LIMIT, _CURSOR, FORMAT))

    @property
    def summary(self) -> str:
        """What it is, in words."""
        by = [self.result.window.name] * bool(self.shape.start) + (
            [DISPLAY_NAMES[self.result.by]] if self.result.by else []
        )
        each = f", a document for each {' and '.join(by)}" if by else ""
        return (
            f"The entries of {self.result.collection}, one by one" if self.flat else f"{self.result.collection}{each}"
        )

    @property
    def _order(self) -> Parameter:
        sortable = self._query(_DEFAULT).sortable
        one = f"-?({'|'.join(sortable)})"
        return Parameter(
            "order",
            f"fields with commas between, a dash before one for the largest first, of {', '.join(sortable)}",
            "What to sort by; without it the newest first, and of one time by _id, which never moves.",
            {"type": "string", "pattern": f"^{one}(,{one}){{0,7}}$", "maxLength": 256},
            lambda text: _parsed_order(text, sortable),
            longest=256,
        )

    def query(self, given: Mapping[str, Any], sealer: Sealer) -> Query:
        """The query that the values of its parameters mean. Raises a Problem (422)."""
        since, until = given.get("since"), given.get("until")
        require_order(since, until)
        query = self._query(given["limit"], given.get("genre"), since, until, given["order"] or ())
        if given["cursor"] is None:
            return query
        after = sealer.opened(given["cursor"], same(query))
        if after is None:
            raise bad_parameters(fault("cursor", _CURSOR.expected, given["cursor"]))
        return self._query(query.limit, query.genre, since, until, query.order, after)

    def listed(self, page: read.Page, query: Query, sealer: Sealer) -> Listed:
        """The documents of a page as they are shown: with all fields, null where an older version had none."""
        rows: list[dict[str, Any]] = page.documents if self.flat else []
        columns = self.shape.flat_row if self.flat else self.shape.row
        if self.flat:
            items = [{"_id": row["_id"], **_filled(row, columns)} for row in rows]
            rows = items
        else:
            items = [self._document(document) for document in page.documents]
            rows = [row for document in page.documents for row in self.shape.rows(document)]
        end = None if page.next is None else sealer.sealed(page.next, same(query))
        return Listed(items, ["_id", *(column.name for column in columns)], rows, end)

    def _document(self, document: Mapping[str, Any]) -> dict[str, Any]:
        shape = self.shape
        filled = {"_id": document["_id"], **{name: document.get(name) for name in self.result.fields}}
        if shape.entries:
            filled[shape.entries] = [_filled(entry, shape.entry) for entry in shape.list_of(document)]
        return filled

    def _query(
        self,
        limit: int,
        genre: str | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        order: Order = (),
        after: tuple[Any, ...] | None = None,
    ) -> Query:
        return Query(self.result, limit, genre, since, until, order or self._unmoved, after, flat=self.flat)

    @property
    def _unmoved(self) -> Order:
        """The newest first, and then by `_id`, which no view changes: a walk through pages meets each document once."""
        start = ((self.shape.start, DOWN),) if self.shape.start else ()
        rank = ((RANK, UP),) if self.flat else ()
        return (*start, *rank) or (("_id", UP),)


def all_resources() -> list[Resource]:
    """Those of all results that are declared now."""
    plain = [Resource(result) for result in results.RESULTS]
    return plain + [Resource(result, flat=True) for result in results.RESULTS if Shape.of(result).entries]


def same(query: Query) -> str:
    """A text that two queries share if one is a page of the other: all of a query but its limit and its page."""
    genre = None if query.genre is None else slug_of(query.genre)
    return repr((query.collection, genre, str(query.since), str(query.until), query.sort))


def resources_router(asker: Asker, sealer: Sealer) -> APIRouter:
    """The resources of all results."""
    router = APIRouter()
    for resource in all_resources():
        _add(router, resource, asker, sealer)
    return router


def _add(router: APIRouter, resource: Resource, asker: Asker, sealer: Sealer) -> None:
    parameters = resource.parameters

    async def endpoint(request: Request) -> Response:
        given = parameters.read(request)
        form = rendering.chosen(request, given["format"])
        query = resource.query(given, sealer)

        async def ask() -> read.Page:
            async with asker.asking(query.collection) as db:
                return await read.page(db, query, LIMIT_MS)

        # Who walks through pages asks each of them once.
        page = await asker.once((same(query), query.limit, query.after), ask, keep=query.after is None)
        return list_response(request, resource.listed(page, query, sealer), form)

    item = row_model(resource.result) if resource.flat else document_model(resource.result)
    others = {MEDIA_TYPES[form]: {"schema": {"type": "string"}} for form in ("csv", "ndjson")}
    router.add_api_route(
        f"/{resource.name}",
        endpoint,
        name=resource.name,
        **operation(resource.summary, parameters, page_model(item), "results", others),
    )


def _parsed_order(text: str, sortable: tuple[str, ...]) -> Order:
    fields = text.split(",")
    order: Order = tuple((field.removeprefix("-"), DOWN if field.startswith("-") else UP) for field in fields)
    names = [name for name, _ in order]
    if not set(names) <= set(sortable) or len(set(names)) < len(names) or len(names) > len(sortable):
        raise ValueError
    return order


def _filled(entry: Mapping[str, Any], columns: tuple[Column, ...]) -> dict[str, Any]:
    return {column.name: entry.get(column.name) for column in columns}
