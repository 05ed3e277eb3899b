"""Parses what a request addresses: the path below `/odata`, and the options in its query.

Both are given undecoded, since keys may contain quotes, slashes and percent signs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal
from urllib.parse import parse_qsl, quote, unquote_to_bytes

from movie_stream.odata.model import KEY
from movie_stream.odata.refusals import BAD, MISSING, Refused, bad, unsupported

What = Literal["service", "metadata", "set", "count", "entity"]
KNOWN: Final = frozenset({"$filter", "$select", "$orderby", "$top", "$skip", "$count", "$format", "$skiptoken"})
"""The options that are supported."""
_PATH: Final = re.compile(
    r"(?P<set>\w+)(?:\((?:(?P<name>\w+)=)?'(?P<key>(?:[^']|'')*)'\))?(?P<rest>/.*)?", re.ASCII | re.DOTALL
)
_KEY_ALIAS: Final = re.compile(r"\((?:\w+=)?(@\w+)\)", re.ASCII)
_ELSEWHERE: Final = frozenset({"$batch", "$all", "$entity", "$crossjoin"})
_MOST_OPTIONS: Final = 32
_SAFE: Final = "!$()*,;:@~._-"


@dataclass(frozen=True, slots=True)
class Address:
    """The resource that a request addresses, with its set and its key."""

    what: What
    set_name: str = ""
    key: str = ""


def address_of(path: bytes) -> Address:
    """Parses the path below `/odata`, given with its percent encoding.

    >>> address_of(b"/category_stats('O%27%27Neil%2F100%25')")
    Address(what='entity', set_name='category_stats', key="O'Neil/100%")
    >>> address_of(b"/daily_stats/$count")
    Address(what='count', set_name='daily_stats', key='')

    Raises Refused for an invalid path, and for parts of OData that this feed does not support.
    """
    text = _text_of(unquote_to_bytes(path), "the path").removeprefix("/")
    if text == "":
        return Address("service")
    if text == "$metadata":
        return Address("metadata")
    if text.partition("/")[0].partition("(")[0] in _ELSEWHERE:
        raise unsupported("path", text.partition("(")[0])
    match = _PATH.fullmatch(text)
    if match is None:
        raise _nowhere(text)
    name, key, rest = match["name"], match["key"], (match["rest"] or "").removesuffix("/")
    if name not in (None, KEY):
        raise Refused(BAD, f"the key is called {KEY}, not {name[:200]}", "path")
    if key is None:
        if rest == "/$count":
            return Address("count", match["set"])
        if rest == "":
            return Address("set", match["set"])
    elif rest == "":
        return Address("entity", match["set"], key.replace("''", "'"))
    raise unsupported("path", f"{rest[:200]} behind a set or an entity")


def _nowhere(path: str) -> Refused:
    if alias := _KEY_ALIAS.search(path):
        return unsupported("path", f"the parameter alias {alias[1][:80]}")
    return Refused(MISSING, f"there is nothing at /odata/{path[:200]}; a key stands in quotes: Set('key')", "path")


def options_of(query: bytes) -> dict[str, str]:
    """The system query options in a query; options without a leading dollar are ignored.

    >>> options_of(b"$filter=genre+eq+%27Crime%27&%24top=3&mine=1")
    {'$filter': "genre eq 'Crime'", '$top': '3'}

    Raises Refused for an option that is not text, is repeated, or lacks its dollar.
    """
    try:
        pairs = parse_qsl(
            query.decode("latin-1"), keep_blank_values=True, encoding="latin-1", max_num_fields=_MOST_OPTIONS
        )
    except ValueError as error:
        raise bad("query", f"at most {_MOST_OPTIONS} options") from error
    options: dict[str, str] = {}
    for raw_name, raw_text in pairs:
        name = _text_of(raw_name.encode("latin-1"), "an option's name")
        text = _text_of(raw_text.encode("latin-1"), name[:80])
        if name[:1] in ("", "\\"):
            raise bad("query", "an option's name before =; a shell takes $ for its own, but not in single quotes", text)
        if name.startswith("@"):
            raise unsupported(name[:80], "a parameter alias")
        if f"${name.lower()}" in KNOWN:
            raise bad(name, f"${name.lower()}, with the dollar")
        if not name.startswith("$"):
            continue  # by the protocol such an option is the service's own, and this one has none
        if name in options:
            raise bad(name[:80], "this option once")
        options[name] = text
    return options


def url_quoted(text: str) -> str:
    """The text, percent-encoded for an address."""
    return quote(text, safe=_SAFE)


def key_of(text: str) -> str:
    """The key of an entity as written in an address.

    >>> key_of("O'Neil/100%")
    "('O%27%27Neil%2F100%25')"
    """
    return f"('{url_quoted(text.replace(chr(39), 2 * chr(39)))}')"


def _text_of(octets: bytes, target: str) -> str:
    try:
        text = octets.decode()
    except UnicodeDecodeError as error:
        raise bad(target, "text in UTF-8") from error
    if "\0" in text:
        raise bad(target, "text without the character 0")
    return text
