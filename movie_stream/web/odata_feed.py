"""The OData feed below `/odata`: reads what a request addresses and asks, has MongoDB find it, and writes it.

It is an application of its own, since all of its answers, errors included, have the form that OData gives them.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from movie_stream.errors import MovieStreamError
from movie_stream.mongo.query import Position
from movie_stream.mongo.read import Page
from movie_stream.odata import options
from movie_stream.odata.address import Address, address_of, options_of, url_quoted
from movie_stream.odata.csdl import metadata, service_document
from movie_stream.odata.model import EntitySet, all_sets
from movie_stream.odata.options import Options, options_for, require_allowed
from movie_stream.odata.pages import COUNT, Pages, Pipeline, one_entity
from movie_stream.odata.payload import Form, Writer, form_of
from movie_stream.odata.refusals import BAD, MISSING, UNACCEPTABLE, Refused, bad
from movie_stream.web.asking import LIMIT_MS, Asker
from movie_stream.web.cursor import Sealer
from movie_stream.web.odata_answers import ODATA, VERSION, base_of, below_odata, error_answer, json_answer
from movie_stream.web.problems import Problem
from movie_stream.web.requests import DECLARED

logger = logging.getLogger(__name__)

PAGE: Final = 1_000
"""Entities of a page, where nobody asks for fewer or more."""
MOST: Final = 5_000
_LISTS: Final = 10
"""Pages of documents with lists have so many times fewer."""
_SIZE: Final = re.compile(r'^(?:odata\.)?maxpagesize\s*=\s*"?([0-9]{1,9})"?$', re.IGNORECASE)
_VERSION: Final = re.compile(r"\s*([0-9]{1,3})\.([0-9]{1,3})\s*", re.ASCII)
_KEPT: Final = ("$filter", "$select", "$orderby", "$format")
"""The options that the link to the next page has again; the rest stands in its token."""


@dataclass(frozen=True, slots=True)
class _Asked:
    """One request: its headers, its options, and the form and address of the answer."""

    headers: Headers
    given: Mapping[str, str]
    form: Form
    base: str


class ODataFeed(BaseRoute):
    """The application, as a route of the server: all methods and all paths below `/odata`, whatever stands in a key."""

    def __init__(self, asker: Asker, sealer: Sealer) -> None:
        self._asker, self._sealer = asker, sealer
        self._sets = all_sets()
        self._metadata = metadata(self._sets.values())

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for the feed."""
        return (Match.FULL if scope["type"] == "http" and below_odata(scope["path"]) else Match.NONE), {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request."""
        try:
            response = await self._answered(Request(scope))
        except (MovieStreamError, Problem) as error:
            response = error_answer(error)
        except Exception:
            logger.exception("an error in the OData feed")
            response = error_answer(Problem(500, "this is an error of the server; its log says which"))
        await response(scope, receive, send)

    async def _answered(self, request: Request) -> Response:
        path = request.scope.get("raw_path") or request.scope["path"].encode()
        address = address_of(path.partition(b"?")[0].removeprefix(ODATA.encode()))
        self._declare(request.scope, address)
        if request.method != "GET":
            raise Problem(405, f"{request.method} is not possible: the feed is for reading", headers={"Allow": "GET"})
        _require_version(request.headers)
        given = options_of(request.scope["query_string"])
        if address.what == "metadata":
            require_allowed(given, options.OF_DOCUMENTS)
            return self._described(given)
        accept = "" if address.what == "count" else ",".join(request.headers.getlist("accept"))
        form = form_of(given.get("$format") if address.what != "count" else None, accept)
        asked = _Asked(request.headers, given, form, base_of(request.scope))
        match address.what:
            case "service":
                return self._service(asked)
            case "set":
                return await self._page(asked, self._set(address))
            case "count":
                return await self._count(asked, self._set(address))
            case "entity":
                return await self._entity(asked, self._set(address), address.key)

    def _declare(self, scope: Scope, address: Address) -> None:
        """Notes the route, of which there are a few for each set, for whoever counts requests."""
        own = {"service": "/", "metadata": "/$metadata", "set": "", "count": "/$count", "entity": "({key})"}
        if not address.set_name or address.set_name in self._sets:
            scope[DECLARED] = f"{ODATA}{'/' * bool(address.set_name)}{address.set_name}{own[address.what]}"

    def _set(self, address: Address) -> EntitySet:
        found = self._sets.get(address.set_name)
        if found is None:
            there = ", ".join(self._sets)
            raise Refused(MISSING, f"there is no entity set {address.set_name[:200]}; there are {there}", "path")
        return found

    def _service(self, asked: _Asked) -> Response:
        require_allowed(asked.given, options.OF_DOCUMENTS)
        context = {} if asked.form.level == "none" else {"@odata.context": f"{asked.base}$metadata"}
        return json_answer({**context, "value": service_document(self._sets.values())}, asked.form)

    def _described(self, given: Mapping[str, str]) -> Response:
        if given.get("$format", "xml").lower() not in ("xml", "application/xml"):
            raise Refused(UNACCEPTABLE, "expected xml: the metadata are CSDL in XML", "$format")
        said = {**VERSION, "Cache-Control": "no-store", "Content-Type": "application/xml;charset=utf-8"}
        return Response(self._metadata, 200, said)

    async def _page(self, asked: _Asked, entity_set: EntitySet) -> Response:
        given = asked.given
        require_allowed(given, options.OF_NEXT if "$skiptoken" in given else options.OF_PAGES)
        wanted = options_for(given, entity_set)
        pages = Pages(entity_set, wanted.filter, wanted.order, wanted.select)
        same = repr(("odata", entity_set.name, *(given.get(name) for name in ("$filter", "$select", "$orderby"))))
        left, size, after, applied = self._turn(asked, entity_set, wanted, same)
        many = size if left is None else min(size, left)
        page = await self._found(pages, same, many, wanted.skip, after) if many else Page([], None)
        count = await self._counted(pages, asked) if wanted.count else None
        left = None if left is None else left - len(page.documents)
        writer = Writer(entity_set, wanted.select, asked.form, asked.base)
        said: dict[str, Any] = {} if asked.form.level == "none" else {"@odata.context": writer.context}
        if count is not None:
            said["@odata.count"] = str(count) if asked.form.whole_as_text else count
        said["value"] = writer.entities(page.documents)
        if page.next is not None and left != 0:
            token = self._sealer.sealed((left, size, *page.next), same)
            said["@odata.nextLink"] = asked.base + entity_set.name + _query({**given, "$skiptoken": token})
        return json_answer(said, asked.form, applied)

    def _turn(
        self, asked: _Asked, entity_set: EntitySet, wanted: Options, same: str
    ) -> tuple[int | None, int, Position | None, Mapping[str, str]]:
        """How many entities are left to be sent, how many make a page, where it begins, and what was preferred."""
        most = MOST // _LISTS if entity_set.entries else MOST
        size, applied = PAGE // _LISTS if entity_set.entries else PAGE, {}
        if (preferred := _preferred_size(asked.headers)) is not None:
            size = min(preferred, most)
            applied = {"Preference-Applied": f"odata.maxpagesize={size}"}
        token = asked.given.get("$skiptoken")
        if token is None:
            return wanted.top, size, None, applied
        opened = self._sealer.opened(token, same)
        if opened is None:
            raise bad("$skiptoken", "an @odata.nextLink as it was sent", token)
        left, first_size, *after = opened
        return left, size if applied else first_size, tuple(after), applied

    async def _found(self, pages: Pages, same: str, many: int, skip: int, after: Position | None) -> Page:
        """The entities of a page, and where the next one begins, if there is one."""

        async def ask() -> Page:
            found = await self._aggregated(pages.entity_set, pages.pipeline(many + 1, skip, after))
            more = len(found) > many
            return Page(found[:many], pages.position_of(found[many - 1]) if more else None)

        # Who walks through pages asks each of them once.
        return await self._asker.once((same, many, skip, after), ask, keep=after is None)

    async def _count(self, asked: _Asked, entity_set: EntitySet) -> Response:
        require_allowed(asked.given, options.OF_COUNTS)
        wanted = options_for(asked.given, entity_set)
        count = await self._counted(Pages(entity_set, wanted.filter, (), None), asked)
        said = {**VERSION, "Cache-Control": "no-store", "Content-Type": "text/plain;charset=utf-8"}
        return Response(str(count), 200, said)

    async def _counted(self, pages: Pages, asked: _Asked) -> int:
        async def ask() -> int:
            found = await self._aggregated(pages.entity_set, pages.count())
            return int(found[0][COUNT]) if found else 0

        return await self._asker.once(("odata count", pages.entity_set.name, asked.given.get("$filter")), ask)

    async def _entity(self, asked: _Asked, entity_set: EntitySet, key: str) -> Response:
        require_allowed(asked.given, options.OF_ENTITIES)
        select = options.select_of(asked.given, entity_set)
        found = await self._aggregated(entity_set, one_entity(entity_set, key))
        if not found:
            raise Refused(MISSING, f"{entity_set.name} has no entity with the key {key[:200]!r}", "path")
        writer = Writer(entity_set, select, asked.form, asked.base)
        context = {} if asked.form.level == "none" else {"@odata.context": f"{writer.context}/$entity"}
        return json_answer({**context, **writer.entity(found[0])}, asked.form)

    async def _aggregated(self, entity_set: EntitySet, pipeline: Pipeline) -> list[dict[str, Any]]:
        """What one pipeline finds in the collection of a set."""
        async with self._asker.asking(entity_set.name) as db:
            cursor = db[entity_set.result.collection].aggregate(pipeline, maxTimeMS=LIMIT_MS)
            found: list[dict[str, Any]] = await cursor.to_list(None)
        return found


def _query(given: Mapping[str, str]) -> str:
    pairs = [(name, given[name]) for name in (*_KEPT, "$skiptoken") if name in given]
    return "?" + "&".join(f"{name}={url_quoted(text)}" for name, text in pairs)


def _preferred_size(headers: Headers) -> int | None:
    """The page size that the client prefers; None where it does not say one that is a number from 1 on."""
    for preference in ",".join(headers.getlist("prefer")).split(","):
        match = _SIZE.match(preference.partition(";")[0].strip())
        if match and int(match[1]) > 0:
            return int(match[1])
    return None


def _require_version(headers: Headers) -> None:
    for name in ("OData-Version", "OData-MaxVersion"):
        text = headers.get(name)
        if text is None:
            continue
        match = _VERSION.fullmatch(text.partition(";")[0])  # what follows is the client's own: 4.0;NetFx
        if match is None:
            raise Refused(BAD, "expected a version such as 4.0", name)
        version = (int(match[1]), int(match[2]))
        if version < (4, 0):
            raise Refused(BAD, f"expected 4.0 or newer, got {text.strip()}", name)
