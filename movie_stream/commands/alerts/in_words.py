"""Renders rules and their progress as text."""

from __future__ import annotations

from movie_stream.alerts.rules import (
    ALL,
    EACH,
    Beyond,
    BeyondUsual,
    Climbing,
    LightAtLeast,
    Quality,
    RatingFalling,
    Rule,
)
from movie_stream.alerts.wording import length_of
from movie_stream.mongo.alerts import Progress


def reached_in_words(reached: Progress) -> list[str]:
    """Until when the rules are evaluated, how many messages wait, and why, as lines of text.

    >>> reached_in_words(Progress())
    ['No rules were evaluated yet.']
    >>> from datetime import UTC, datetime
    >>> at = datetime(2024, 10, 31, 14, 5, tzinfo=UTC)
    >>> reached_in_words(Progress(at, 2, given_up=1))
    ['Evaluated until 2024-10-31 14:05 UTC; messages that wait: 2; given up: 1.', 'No worker evaluates now.']
    >>> reached_in_words(Progress(at, 1, failed="webhook.ops", error="it answers 500", holder="host-1-a"))[1]
    'webhook.ops did not take a message, which is tried again: it answers 500.'
    """
    if reached.evaluated_until is None and reached.holder is None:
        return [*_refusals(reached), "No rules were evaluated yet."]
    until = "no time yet" if reached.evaluated_until is None else f"{reached.evaluated_until:%Y-%m-%d %H:%M} UTC"
    gone = f"; given up: {reached.given_up:,}" if reached.given_up else ""
    lines = [f"Evaluated until {until}; messages that wait: {reached.undelivered:,}{gone}."]
    lines += _refusals(reached)
    if reached.holder is None:
        lines.append("No worker evaluates now.")
    elif reached.blocked_on is not None and reached.blocked_since is not None:
        lines.append(f"Held up since {reached.blocked_since:%Y-%m-%d %H:%M} UTC: {reached.blocked_on}.")
    return lines


def _refusals(reached: Progress) -> list[str]:
    if reached.error is None:
        return []
    return [f"{reached.failed} did not take a message, which is tried again: {reached.error}."]


def rule_in_words(rule: Rule) -> str:
    """The condition of an alert as text.

    >>> rule_in_words(Rule("r", "views", Beyond("above", 1000.0), "drama", in_a_row=2))
    'views of drama in 1 h above 1,000, twice in a row'
    """
    of = {ALL: "", EACH: " of each genre"}.get(rule.subject, f" of {rule.called or rule.subject}")
    row = {1: "", 2: ", twice in a row"}.get(rule.in_a_row, f", {rule.in_a_row} times in a row")
    return f"{_condition(rule, of, length_of(rule.window_ms))}{row}"


def _condition(rule: Rule, of: str, window: str) -> str:
    match rule.condition:
        case Beyond(limit=limit):
            if rule.kind == "silence":
                return f"no views{of} in {window}"
            return f"views{of} in {window} {rule.condition.direction} {limit:,g}"
        case BeyondUsual(direction=direction, multiple=multiple, weeks=weeks):
            return f"views{of} in {window} {direction} {multiple:g} times what is usual ({weeks} weeks)"
        case RatingFalling(by=by, over=over):
            return f"rating{of} in {window} {by:g} below that of the {over} before"
        case Climbing(times=times, over=over):
            return f"a film with {times:g} times its views of the {over} hours before"
        case Quality(field=field, share_of=share, direction=direction, limit=limit):
            return f"{field}{f' of {share}' if share else ''} in an hour {direction} {limit:,g}"
        case LightAtLeast(light=light):
            return f"quality of an hour {light}" + (" or worse" if light == "yellow" else "")
