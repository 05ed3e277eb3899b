"""Parses the system query options of a request for entities, and checks them against their set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Final

from movie_stream.mongo.query import DOWN, UP, Direction, Filter, Order
from movie_stream.odata.address import KNOWN
from movie_stream.odata.filters import filter_of
from movie_stream.odata.model import EntitySet
from movie_stream.odata.refusals import BAD, Refused, bad, unsupported

_ELSEWHERE: Final = frozenset(
    {"$apply", "$compute", "$expand", "$search", "$levels", "$index", "$deltatoken", "$schemaversion", "$id"}
)
"""Options of OData that this feed does not support."""
OF_PAGES: Final = KNOWN - {"$skiptoken"}
OF_NEXT: Final = KNOWN - {"$top", "$skip", "$count"}
"""The option in the link to a next page."""
OF_COUNTS: Final = OF_PAGES
"""The options that `/$count` accepts; only `$filter` has an effect there."""
OF_ENTITIES: Final = frozenset({"$select", "$format"})
OF_DOCUMENTS: Final = frozenset({"$format"})
"""The options that the service document and `$metadata` accept."""
_ORDER: Final = re.compile(r"(\w+)(?:\s+(asc|desc))?", re.ASCII)
_MOST: Final = 10**12
"""The largest number accepted: more entities than there can be."""
_LONGEST_LIST: Final = 2_048


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a request for a set."""

    filter: Filter
    select: tuple[str, ...] | None
    """The selected properties; None for all."""
    order: Order
    top: int | None
    skip: int
    count: bool


def require_allowed(given: Mapping[str, str], allowed: Set[str]) -> None:
    """Raises Refused for an option that is unknown, not supported, or not allowed at this address."""
    for name in given:
        if name in _ELSEWHERE:
            raise unsupported(name, name)
        if name not in KNOWN:
            raise bad(name[:80], f"one of {', '.join(sorted(KNOWN))}")
        if name not in allowed:
            raise bad(name, f"only {', '.join(sorted(allowed))} at this address")


def options_for(given: Mapping[str, str], entity_set: EntitySet) -> Options:
    """The options of a request for a set, or for the number of its entities. Raises Refused."""
    text = given.get("$filter")
    return Options(
        {} if text is None else filter_of(text, entity_set),
        select_of(given, entity_set),
        _order(given.get("$orderby"), entity_set),
        None if "$top" not in given else _whole("$top", given["$top"]),
        _whole("$skip", given.get("$skip", "0")),
        _flag("$count", given.get("$count", "false")),
    )


def select_of(given: Mapping[str, str], entity_set: EntitySet) -> tuple[str, ...] | None:
    """The properties that `$select` names, in the set's order; None for all. Raises Refused."""
    names = _names("$select", given.get("$select"))
    for name in names:
        if "/" in name or "(" in name:
            raise unsupported("$select", f"a part of a property ({name[:80]})")
        if name not in (*entity_set.named, "*"):
            raise bad("$select", f"some of {', '.join(entity_set.named)}", name)
    return None if not names or "*" in names else tuple(name for name in entity_set.named if name in names)


def _order(text: str | None, entity_set: EntitySet) -> Order:
    order: dict[str, Direction] = {}
    for one in _names("$orderby", text):
        match = _ORDER.fullmatch(one)
        if match is None:
            if "(" in one or "/" in one or "@" in one:
                raise unsupported("$orderby", f"an order by anything but properties ({one[:80]})")
            raise bad("$orderby", "properties with commas between, each with asc or desc behind it or nothing", one)
        name = match[1]
        column = entity_set.named.get(name)
        if column is None or column.type is None:
            sortable = ", ".join(other.name for other in entity_set.properties if other.type)
            raise bad("$orderby", f"some of {sortable}", name)
        if name in order:
            raise bad("$orderby", f"{name} once")
        order[name] = DOWN if match[2] == "desc" else UP
    return tuple(order.items())


def _names(option: str, text: str | None) -> list[str]:
    if text is None:
        return []
    if len(text) > _LONGEST_LIST:
        raise bad(option, f"at most {_LONGEST_LIST:,} characters")
    names = [name.strip() for name in text.split(",")]
    if "" in names:
        raise bad(option, "names with commas between", text)
    return names


def _whole(option: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > len(str(_MOST)) or int(text) > _MOST:
        raise bad(option, f"a whole number from 0 to {_MOST}", text)
    return int(text)


def _flag(option: str, text: str) -> bool:
    if text not in ("true", "false"):
        raise Refused(BAD, "expected true or false", option)
    return text == "true"
