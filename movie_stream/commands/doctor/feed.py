"""Checks of `movie-stream doctor --bi` on the OData feed, with the requests of a BI tool."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree

from movie_stream.commands.doctor.feed_client import Answer, FeedClient, NotAFeed, client_for
from movie_stream.commands.doctor.findings import Findings, Row
from movie_stream.events.timestamps import parse_time
from movie_stream.odata.csdl import EDM
from movie_stream.odata.model import KEY, all_sets
from movie_stream.settings import Settings

_SLOW_S: Final = 2.0
_ALL_WITHIN_S: Final = 120.0
_PAGE: Final = {"Prefer": "odata.maxpagesize=2"}


async def check_feed(settings: Settings, url: str | None) -> list[Row]:
    """Runs all checks on the feed. Raises UsageError for an invalid address."""
    client = client_for(settings, url)
    findings = Findings("address")
    return await findings.of(asyncio.to_thread(_look, client, findings), within_s=_ALL_WITHIN_S)


def _look(client: FeedClient, findings: Findings) -> None:
    anonymous = client.get("", anonymous=True)
    findings.add("ok", client.base)
    findings.check = "token"
    if not _token(client, findings, anonymous):
        return
    findings.check = "service document"
    names = _sets(client, findings)
    findings.check = "$metadata"
    described = _metadata(client, findings, names)
    findings.check = "pages"
    filled = [name for name in names if _two_pages(client, name)]
    if empty := [name for name in names if name not in filled]:
        findings.add("warn", f"nothing in {', '.join(empty)}", "count views first: movie-stream worker")
    if filled:
        findings.add("ok", f"read two pages of each of {len(filled)} sets, following the next link")
    findings.check = "filter by time"
    _filter(client, findings, described, filled)
    findings.check = "time taken"
    _times(client, findings)


def _token(client: FeedClient, findings: Findings, anonymous: Answer) -> bool:
    """Checks the token; returns whether the feed accepts requests."""
    if anonymous.status == 200:
        findings.check = "service document"
        _served(client, anonymous)  # raises if it is another server, whose 200 means nothing about a token
        findings.check = "token"
        findings.add("ok", "none is needed: anyone who reaches this address may read")
        return True
    if anonymous.status != 401:
        raise NotAFeed(f"{client.base} answers {anonymous.status}: {anonymous.error_text()}; set --url to the feed")
    if client.token is None:
        findings.add("fail", "the feed asks for a token", "set API_TOKEN (or API_TOKEN_FILE) to that of the server")
        return False
    if "Basic " not in anonymous.challenges:
        what = "the feed does not offer Basic authentication, so that Excel will not ask for a user and a password"
        findings.add("fail", what, "set --url to the feed, or let the proxy in front of it forward WWW-Authenticate")
        return False
    answer = client.get("")
    if answer.status == 429:
        wait = answer.headers.get("Retry-After", "some")
        findings.add("fail", f"too many wrong tokens from this address; wait {wait} s", "and correct API_TOKEN")
        return False
    if answer.status == 401:
        what = "the feed does not take the token of API_TOKEN as a password"
        findings.add("fail", what, "set API_TOKEN (or API_TOKEN_FILE) to that of the server")
        return False
    findings.add("ok", "API_TOKEN is accepted as a password, with any user name")
    return True


def _sets(client: FeedClient, findings: Findings) -> list[str]:
    names, context = _served(client, client.get(""))
    if not context.startswith(client.base):
        client.follow(context)  # raises with the reason
    findings.add("ok", f"{len(names)} entity sets")
    if missing := [name for name in all_sets() if name not in names]:
        what = f"the server has another version than this command: its feed has no {', '.join(missing)}"
        findings.add("warn", what, "upgrade movie-stream on the server, and restart it")
    return names


def _served(client: FeedClient, answer: Answer) -> tuple[list[str], str]:
    """The names and the context of a service document. Raises NotAFeed for any other answer."""
    document = answer.json()
    try:
        return [str(one["name"]) for one in document["value"]], str(document["@odata.context"])
    except (KeyError, TypeError) as error:
        raise NotAFeed(f"{client.base} is no service document of OData; set --url to the feed") from error


def _metadata(client: FeedClient, findings: Findings, names: list[str]) -> ElementTree.Element:
    answer = client.get("$metadata", {"Accept": "application/xml"})
    try:
        root = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        raise NotAFeed(f"{answer.url} is not XML: {error}; check whether a proxy changes it") from error
    there = {one.get("Name") for one in root.iter(f"{{{EDM}}}EntitySet")}
    if missing := [name for name in names if name not in there]:
        findings.add("fail", f"without {', '.join(missing)}", "restart movie-stream serve")
    else:
        findings.add("ok", "XML that describes all of them")
    return root


def _two_pages(client: FeedClient, name: str) -> bool:
    """Reads two small pages of a set; returns whether it has any entity."""
    first = client.get(name, _PAGE).json()
    rows = _rows(first, name)
    link = first.get("@odata.nextLink")
    if link is not None:
        following = _rows(client.follow(str(link), _PAGE).json(), name)
        if {row[KEY] for row in following} & {row[KEY] for row in rows}:
            raise NotAFeed(f"the second page of {name} repeats the first; check whether a proxy caches answers")
    return bool(rows)


def _filter(client: FeedClient, findings: Findings, described: ElementTree.Element, filled: list[str]) -> None:
    """Requests the latest entities, by a filter, of the first set that has times and rows."""
    for entity in described.iter(f"{{{EDM}}}EntityType"):
        times = [one.get("Name", "") for one in entity.iter(f"{{{EDM}}}Property") if one.get("Type") == _TIME]
        name = entity.get("Name", "")
        if name not in filled or not times:
            continue
        ask = _asker(client, name, times[0])
        [latest] = ask(orderby=f"{times[0]} desc", top="1")
        found = ask(filter=f"{times[0]} ge {latest}", top="50")
        if not found or any(time != latest for time in found):
            findings.add("fail", f"{name} with {times[0]} ge {latest} has other times", "restart movie-stream serve")
        else:
            findings.add("ok", f"the latest {times[0]} in {name} is {latest} (UTC)")
        return
    findings.add("warn", "no set has entities with times yet", "count views first: movie-stream worker")


_TIME: Final = "Edm.DateTimeOffset"


def _asker(client: FeedClient, name: str, column: str) -> Callable[..., list[str]]:
    def ask(**options: str) -> list[str]:
        return [str(row.get(column)) for row in _rows(client.get(name, None, anonymous=False, **options).json(), name)]

    return ask


def _time(text: str) -> datetime:
    try:
        return parse_time(text)
    except ValueError as error:
        raise NotAFeed(f"{text[:80]!r} is not a time of OData; check whether a proxy changes answers") from error


def _rows(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = answer.get("value")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise NotAFeed(f"{name} is not a list of entities; set --url to the feed of movie-stream serve")
    return rows


def _times(client: FeedClient, findings: Findings) -> None:
    slowest = max(client.took_s)
    what = f"{len(client.took_s)} answers in {sum(client.took_s):.2f} s, the slowest in {slowest:.2f} s"
    if slowest > _SLOW_S:
        findings.add("warn", what, "check that the indexes exist (movie-stream init), and that MongoDB is not busy")
    else:
        findings.add("ok", what)
