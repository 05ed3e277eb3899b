"""The document and the text of an alert, as a pure function of the rule and the streak."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from bson.int64 import Int64

from movie_stream.alerts.evaluation import Streak
from movie_stream.alerts.expectations import LIGHTS
from movie_stream.alerts.rules import ALL, Beyond, BeyondUsual, Climbing, LightAtLeast, Quality, RatingFalling, Rule
from movie_stream.events.timestamps import datetime_of
from movie_stream.masking import printable
from movie_stream.settings import format_duration

_INITIAL: Final = re.compile(r"(?<![\w'’])\w")
_LABEL: Final = 200
"""The longest label in a text, in characters."""


def alert_id(rule: Rule, streak: Streak) -> str:
    """The `_id` of an alert: its rule, its subject and its start."""
    return f"{rule.name}|{streak.subject}|{datetime_of(streak.start_ms):%Y-%m-%dT%H:%M:%SZ}"


def body_of(rule: Rule, streak: Streak) -> dict[str, Any]:
    """The public document of an alert, with its `_id`."""
    return {
        "_id": alert_id(rule, streak),
        "rule": rule.name,
        "kind": rule.kind,
        "severity": rule.severity,
        "subject": streak.subject,
        "label": label_of(rule, streak),
        "state": "open" if streak.end_ms is None else "ended",
        "open": streak.end_ms is None,
        "start": datetime_of(streak.start_ms),
        "end": None if streak.end_ms is None else datetime_of(streak.end_ms),
        "windows": Int64(streak.windows),
        "window_s": Int64(rule.window_ms // 1_000),
        "value": streak.value,
        "value_at": datetime_of(streak.at_ms),
        "threshold": streak.threshold,
        "usual": streak.usual,
        "text": text_of(rule, streak),
    }


def label_of(rule: Rule, streak: Streak) -> str | None:
    """The display name of the subject, if it differs.

    If no view has the spelling of a genre, the rule's spelling is used, or the slug with capitals.

    >>> quiet = Streak("sci-fi", 0, 1, 0.0, 0, 3.0)
    >>> label_of(Rule("r", "views", Beyond("below", 3.0), "each"), quiet)
    'Sci-Fi'
    >>> label_of(Rule("r", "views", Beyond("below", 3.0), "sci-fi", called="SciFi"), quiet)
    'SciFi'
    """
    if streak.label is not None or rule.source != "views" or streak.subject == ALL:
        return streak.label
    return rule.called or _INITIAL.sub(lambda found: found[0].upper(), streak.subject)


def length_of(milliseconds: int) -> str:
    """A duration as written in the file.

    >>> length_of(300_000), length_of(86_400_000)
    ('5 min', '1 d')
    """
    if milliseconds == 86_400_000:
        return "1 d"
    words = format_duration(timedelta(milliseconds=milliseconds))
    return f"{words.rstrip('dhmins')} {words.lstrip('0123456789')}"


def text_of(rule: Rule, streak: Streak) -> str:
    """The text of an alert, one line; times in UTC.

    >>> streak = Streak("drama", 1_730_383_200_000, 2, 1234.0, 1_730_383_200_000, 1000.0, label="Drama")
    >>> text_of(Rule("r", "views", Beyond("above", 1000.0), "drama"), streak)
    'Drama: 1,234 views in 1 h from 2024-10-31 14:00 UTC, above 1,000'
    """
    at = f"{datetime_of(streak.at_ms):%Y-%m-%d %H:%M} UTC"
    window = length_of(rule.window_ms)
    name = printable(label_of(rule, streak) or streak.subject)[:_LABEL]
    who = "all genres" if streak.subject == ALL else name
    value, threshold, usual = _number(streak.value), _number(streak.threshold), _number(streak.usual)
    views = f"{value} view" if streak.value == 1 else f"{value} views"
    match rule.condition:
        case Beyond() if rule.kind == "silence":
            return f"{'no view at all' if streak.subject == ALL else f'{name}: no view'} in {window} from {at}"
        case Beyond(direction=direction):
            return f"{who}: {views} in {window} from {at}, {direction} {threshold}"
        case BeyondUsual(direction=direction):
            return f"{who}: {views} in {window} from {at}, {direction} {threshold}; usually {usual}"
        case RatingFalling():
            return f"{who}: average rating {value} in {window} from {at}, at most {threshold}; {usual} before"
        case Climbing():
            return f"{who}: {views} in the hour from {at}, above {threshold}; usually {usual}"
        case Quality(field=field, share_of=share, direction=direction):
            what = f"{field} of {share}" if share else field
            return f"partition {name}: {what} {value} in the hour from {at}, {direction} {threshold}"
        case LightAtLeast():
            return f"partition {name}: quality {LIGHTS[int(streak.value)]} in the hour from {at}{_reasons(streak)}"


def lights_of(alert: Mapping[str, Any]) -> tuple[str, str] | None:
    """The light of an alert and its threshold, if its rule is on lights and not on a figure.

    >>> alert = {"kind": "quality", "value": 3.0, "threshold": 2.0, "text": "partition 0: quality red in the hour from"}
    >>> lights_of(alert), lights_of({**alert, "text": "partition 0: bad 3 in the hour from"})
    (('red', 'yellow'), None)
    """
    if alert["kind"] != "quality" or alert["value"] is None or alert["threshold"] is None:
        return None
    lights = LIGHTS[int(alert["value"]) % len(LIGHTS)], LIGHTS[int(alert["threshold"]) % len(LIGHTS)]
    return lights if f": quality {lights[0]} in the hour from" in alert["text"] else None


def _reasons(streak: Streak) -> str:
    """The text of the figures beyond their limits, the worst first.

    >>> from movie_stream.alerts.expectations import Found
    >>> reasons = (Found("completeness", 0.0, "red", 0.5), Found("bad", 0.025, "yellow", 0.01))
    >>> _reasons(Streak("0", 0, 1, 3.0, 0, 3.0, reasons=reasons))
    ': completeness 0, below 0.5; bad 0.025, above 0.01'
    """
    reasons = [
        f"{of.figure} {_number(of.value)}, {'below' if of.figure == 'completeness' else 'above'} {_number(of.limit)}"
        for of in streak.reasons
    ]
    return f": {'; '.join(reasons)}" if reasons else ""


def _number(value: float | None) -> str:
    """A number with at most two decimals, or two significant digits if it is small.

    >>> _number(1234.0), _number(3.456), _number(0.0012), _number(None)
    ('1,234', '3.46', '0.0012', 'unknown')
    """
    if value is None:
        return "unknown"
    return f"{value:,.2f}".rstrip("0").rstrip(".") if abs(value) >= 0.1 or value == 0 else f"{value:.2g}"
