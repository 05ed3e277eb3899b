"""`/api/v1/alerts`: the alerts, those that last first, in pages."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, Literal

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from movie_stream.alerts.rules import SEVERITIES
from movie_stream.mongo.alerts import ALERTS, FIELDS, STATES, AlertQuery, Progress, alerts_page, progress
from movie_stream.mongo.read import Page
from movie_stream.web import cursor, rendering
from movie_stream.web.asking import LIMIT_MS, Asker
from movie_stream.web.cursor import Sealer
from movie_stream.web.models import page_model
from movie_stream.web.openapi import operation
from movie_stream.web.parameters import Parameter, Parameters, number_parameter
from movie_stream.web.problems import bad_parameters, fault
from movie_stream.web.ranges import SINCE, UNTIL, require_order
from movie_stream.web.rendering import FORMAT, MEDIA_TYPES, Listed, list_response

_LONGEST_RULE: Final = 64
_CURSOR: Final = Parameter(
    "cursor",
    "the next of an answer to the same query",
    "The page after this one: `next` of an answer to the same query.",
    {"type": "string", "pattern": "^[A-Za-z0-9_-]+$", "maxLength": cursor.LONGEST},
    longest=cursor.LONGEST,
)


class Alert(BaseModel):
    """An alert: windows in a row at which a rule's condition held of a subject."""

    id_: str = Field(alias="_id")
    rule: str
    kind: str
    severity: Literal["info", "warning", "critical"]
    subject: str = Field(description="A genre's slug, a film's id, a source partition, or all.")
    label: str | None = Field(description="What people call it, where that is another name.")
    state: Literal["open", "ended", "withdrawn"]
    open: bool
    start: datetime = Field(description="The start of its first window.")
    end: datetime | None = Field(description="The end of its last window; null while it lasts.")
    windows: int
    window_s: int
    value: float | None = Field(description="The most extreme one.")
    value_at: datetime = Field(description="The start of the window with that value.")
    threshold: float | None = Field(description="What that window was held against.")
    usual: float | None = Field(description="What is usual, where the rule says it by that.")
    text: str


_UNTIL_WORDS: Final = "Up to which time of the views the rules are evaluated; null where they never were."
_UNDELIVERED_WORDS: Final = "How many messages about alerts have not arrived at their receivers yet."
AlertPage: Final = page_model(
    Alert,
    evaluated_until=(datetime | None, Field(description=_UNTIL_WORDS)),
    undelivered=(int, Field(description=_UNDELIVERED_WORDS)),
)


def _states(text: str) -> tuple[str, ...]:
    states = tuple(text.split(","))
    if not set(states) <= set(STATES) or len(set(states)) < len(states):
        raise ValueError
    return tuple(state for state in STATES if state in states)


def _one_of(words: tuple[str, ...]) -> Any:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return parse


def _rule(text: str) -> str:
    if not 1 <= len(text) <= _LONGEST_RULE:
        raise ValueError
    return text


_STATE: Final = Parameter(
    "state",
    f"one or several of {', '.join(STATES)}, with commas between",
    "Only alerts that are so; a withdrawn one follows no more: views came later, or the rules were changed.",
    {"type": "string", "pattern": f"^({'|'.join(STATES)})(,({'|'.join(STATES)})){{0,2}}$"},
    _states,
    longest=32,
)
_SEVERITY: Final = Parameter(
    "severity",
    f"one of {', '.join(SEVERITIES)}",
    "Only of this severity.",
    {"type": "string", "enum": list(SEVERITIES)},
    _one_of(SEVERITIES),
    longest=16,
)
_RULE: Final = Parameter(
    "rule",
    f"the name of a rule, 1 to {_LONGEST_RULE} characters without $",
    "Only of this rule.",
    {"type": "string", "pattern": r"^[^$\u0000-\u001f\u007f]+$", "maxLength": _LONGEST_RULE},
    _rule,
    longest=_LONGEST_RULE,
)
_LIMIT: Final = number_parameter("limit", "How many at most.", least=1, most=1_000, default=100)
PARAMETERS: Final = Parameters((_STATE, _SEVERITY, _RULE, SINCE, UNTIL, _LIMIT, _CURSOR, FORMAT))


def alerts_router(asker: Asker, sealer: Sealer) -> APIRouter:
    """The one resource of all alerts."""
    router = APIRouter()

    async def endpoint(request: Request) -> Response:
        given = PARAMETERS.read(request)
        form = rendering.chosen(request, given["format"])
        query = _query(given, sealer)

        async def ask() -> tuple[Page, Progress]:
            async with asker.asking(ALERTS) as db:
                return await alerts_page(db, query, LIMIT_MS), await progress(db, LIMIT_MS, messages=False)

        page, reached = await asker.once((_same(query), query.limit, query.after), ask, keep=query.after is None)
        items = [{name: alert.get(name) for name in FIELDS} for alert in page.documents]
        end = None if page.next is None else sealer.sealed(page.next, _same(query))
        beside = {"evaluated_until": reached.evaluated_until, "undelivered": reached.undelivered}
        return list_response(request, Listed(items, list(FIELDS), items, end, beside), form)

    others = {MEDIA_TYPES[form]: {"schema": {"type": "string"}} for form in ("csv", "ndjson")}
    arguments = operation("Alerts, those that last first", PARAMETERS, AlertPage, "alerts", others)
    router.add_api_route("/alerts", endpoint, name="alerts", **arguments)
    return router


def _query(given: Mapping[str, Any], sealer: Sealer) -> AlertQuery:
    """What the values of the parameters mean. Raises a Problem (422)."""
    require_order(given["since"], given["until"])
    states = given["state"] or STATES[:2]

    def query(after: tuple[Any, ...] | None) -> AlertQuery:
        times = {"since": given["since"], "until": given["until"]}
        return AlertQuery(given["limit"], states, given["rule"], given["severity"], after=after, **times)

    if given["cursor"] is None:
        return query(None)
    after = sealer.opened(given["cursor"], _same(query(None)))
    if after is None:
        raise bad_parameters(fault("cursor", _CURSOR.expected, given["cursor"]))
    return query(after)


def _same(query: AlertQuery) -> str:
    """A text that two queries share if one is a page of the other."""
    return repr((ALERTS, query.states, query.rule, query.severity, str(query.since), str(query.until)))
