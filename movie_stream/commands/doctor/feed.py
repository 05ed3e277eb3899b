"""What `movie-stream doctor --bi` finds about the OData feed, as a BI tool would come to it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from xml.etree import ElementTree

from movie_stream.commands.doctor.feed_client import Answer, FeedClient, FeedStrange, client_for
from movie_stream.commands.doctor.findings import Findings, Row
from movie_stream.events.moment import parse_moment
from movie_stream.odata.csdl import EDM
from movie_stream.odata.model import KEY, all_sets
from movie_stream.settings import Settings

_SLOW_S: Final = 2.0
_ALL_WITHIN_S: Final = 120.0
_PAGE: Final = {"Prefer": "odata.maxpagesize=2"}


async def look_at_feed(settings: Settings, url: str | None) -> list[Row]:
    """All findings. Raises UsageError for an address that is none."""
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
        findings.add("ok", f"of {len(filled)} sets a page, and the next one by its link")
    findings.check = "filter by time"
    _filter(client, findings, described, filled)
    findings.check = "time taken"
    _times(client, findings)


def _token(client: FeedClient, findings: Findings, anonymous: Answer) -> bool:
    """Whether the feed can be asked."""
    if anonymous.status == 200:
        findings.check = "service document"
        _served(client, anonymous)  # whatever else answers 200 has said nothing about a token
        findings.check = "token"
        findings.add("ok", "none is needed: who reaches this address may read")
        return True
    if anonymous.status != 401:
        raise FeedStrange(f"{client.base} answers {anonymous.status}: {anonymous.said()}; let --url name the feed")
    if client.token is None:
        findings.add("fail", "the feed asks for a token", "set API_TOKEN (or API_TOKEN_FILE) to that of the server")
        return False
    if "Basic " not in anonymous.challenges:
        what = "the feed does not say that a name and a password will do, so that Excel will not ask for them"
        findings.add("fail", what, "let --url name the feed, or have the proxy before it pass on WWW-Authenticate")
        return False
    answer = client.get("")
    if answer.status == 429:
        wait = answer.headers.get("Retry-After", "some")
        findings.add("fail", f"too many wrong tokens came from this address; wait {wait} s", "and set API_TOKEN right")
        return False
    if answer.status == 401:
        what = "the feed does not take the token of API_TOKEN as a password"
        findings.add("fail", what, "set API_TOKEN (or API_TOKEN_FILE) to that of the server")
        return False
    findings.add("ok", "API_TOKEN lets in as a password, with any user name")
    return True


def _sets(client: FeedClient, findings: Findings) -> list[str]:
    names, context = _served(client, client.get(""))
    if not context.startswith(client.base):
        client.follow(context)  # says what is wrong with it
    findings.add("ok", f"{len(names)} entity sets")
    if missing := [name for name in all_sets() if name not in names]:
        what = f"the feed is of another version than this command: it has no {', '.join(missing)}"
        findings.add("warn", what, "upgrade movie-stream where it serves, and start it again")
    return names


def _served(client: FeedClient, answer: Answer) -> tuple[list[str], str]:
    """The names and the context of a service document. Raises FeedStrange for an answer that is none."""
    document = answer.json()
    try:
        return [str(one["name"]) for one in document["value"]], str(document["@odata.context"])
    except (KeyError, TypeError) as error:
        raise FeedStrange(f"{client.base} is no service document of OData; let --url name the feed") from error


def _metadata(client: FeedClient, findings: Findings, names: list[str]) -> ElementTree.Element:
    answer = client.get("$metadata", {"Accept": "application/xml"})
    try:
        root = ElementTree.fromstring(answer.body)
    except ElementTree.ParseError as error:
        raise FeedStrange(f"{answer.url} is no XML: {error}; see whether a proxy changes it") from error
    there = {one.get("Name") for one in root.iter(f"{{{EDM}}}EntitySet")}
    if missing := [name for name in names if name not in there]:
        findings.add("fail", f"without {', '.join(missing)}", "start movie-stream serve again")
    else:
        findings.add("ok", "XML that names all of them")
    return root


def _two_pages(client: FeedClient, name: str) -> bool:
    """Whether the set has anything; reads two small pages of it."""
    first = client.get(name, _PAGE).json()
    rows = _rows(first, name)
    link = first.get("@odata.nextLink")
    if link is not None:
        following = _rows(client.follow(str(link), _PAGE).json(), name)
        if {row[KEY] for row in following} & {row[KEY] for row in rows}:
            raise FeedStrange(f"the second page of {name} has entities of the first; see whether a proxy keeps answers")
    return bool(rows)


def _filter(client: FeedClient, findings: Findings, described: ElementTree.Element, filled: list[str]) -> None:
    """Asks the first set that has times and rows for its newest ones."""
    for entity in described.iter(f"{{{EDM}}}EntityType"):
        times = [one.get("Name", "") for one in entity.iter(f"{{{EDM}}}Property") if one.get("Type") == _TIME]
        name = entity.get("Name", "")
        if name not in filled or not times:
            continue
        ask = _asker(client, name, times[0])
        [newest] = ask(orderby=f"{times[0]} desc", top="1")
        later = ask(filter=f"{times[0]} ge {newest}", top="50")
        if not later or any(time != newest for time in later):
            findings.add(
                "fail", f"{name} with {times[0]} ge {newest} has other times", "start movie-stream serve again"
            )
        else:
            findings.add("ok", f"the newest {times[0]} in {name} is {newest} (UTC)")
        return
    findings.add("warn", "there is no set with times in it to try", "count views first: movie-stream worker")


_TIME: Final = "Edm.DateTimeOffset"


def _asker(client: FeedClient, name: str, column: str) -> Callable[..., list[str]]:
    def ask(**options: str) -> list[str]:
        return [str(row.get(column)) for row in _rows(client.get(name, None, anonymous=False, **options).json(), name)]

    return ask


def _moment(text: str) -> datetime:
    try:
        return parse_moment(text)
    except ValueError as error:
        raise FeedStrange(f"{text[:80]!r} is no time of OData; see whether a proxy changes answers") from error


def _rows(answer: dict[str, Any], name: str) -> list[dict[str, Any]]:
    rows = answer.get("value")
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise FeedStrange(f"{name} is no list of entities; let --url name the feed of movie-stream serve")
    return rows


def _times(client: FeedClient, findings: Findings) -> None:
    slowest = max(client.took_s)
    what = f"{len(client.took_s)} answers in {sum(client.took_s):.2f} s, the slowest in {slowest:.2f} s"
    if slowest > _SLOW_S:
        findings.add("warn", what, "see that the indexes are there (movie-stream init), and MongoDB is not busy")
    else:
        findings.add("ok", what)
