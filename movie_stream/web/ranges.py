"""Ranges of time, as requests name them: from and to, or how long ago, by the clock or by the stream's own time."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from movie_stream.aggregates.window import MINUTE
from movie_stream.events.timestamps import datetime_of, timestamp_ms_of
from movie_stream.settings import parse_duration
from movie_stream.web.figures import MINUTE_MS
from movie_stream.web.parameters import Parameter
from movie_stream.web.problems import bad_parameters, fault

ALL: Final = "all"
A_TIME: Final = "a time by RFC 3339, such as 2024-10-31T14:00:00Z or 2024-10-31T15:00:00%2B01:00"
A_LAST: Final = "a duration of 1min or more, such as 15min, 6h or 30d, or all"
_RFC_3339: Final = re.compile(
    r"(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+ -])(\d{2}:\d{2}))", re.ASCII
)
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Windows that start at `since` or later and before `until`; None is without a bound. Both aware, in UTC."""

    since: datetime | None = None
    until: datetime | None = None

    @property
    def filter(self) -> dict[str, Any]:
        """The bounds as MongoDB is asked for them; empty where there are none."""
        bounds = {"$gte": self.since, "$lt": self.until}
        return {operator: time for operator, time in bounds.items() if time is not None}

    def touched(self, start: str, length_ms: int) -> dict[str, Any]:
        """The filter on this field, the start of windows of that length, for those that have a part in the range."""
        since = self.since
        if since is not None:
            since_ms = timestamp_ms_of(since)
            since = since if since_ms < 0 else datetime_of(since_ms - since_ms % length_ms)
        bounds = TimeRange(since, self.until).filter
        return {start: bounds} if bounds else {}


def parse_time(text: str) -> datetime:
    """A time by RFC 3339, in UTC, rounded up to a millisecond, since results know no smaller part.

    A plus that was not written as %2B arrives as a blank, which is taken for one.

    >>> parse_time("2024-10-31T15:00:00.0001+01:00")
    datetime.datetime(2024, 10, 31, 14, 0, 0, 1000, tzinfo=datetime.timezone.utc)

    Raises ValueError for other texts, and times before the year 1 or after 9999.
    """
    match = _RFC_3339.fullmatch(text)
    if match is None:
        raise ValueError(A_TIME)
    day, clock, fraction, zulu, sign, offset = match.groups()
    zone = "+00:00" if zulu else f"{'-' if sign == '-' else '+'}{offset}"
    nanoseconds = int((fraction or "0").ljust(9, "0"))
    try:
        time = datetime.fromisoformat(f"{day}T{clock}{zone}").astimezone(UTC)
        return time + timedelta(milliseconds=-(-nanoseconds // 1_000_000))
    except (ValueError, OverflowError) as error:
        raise ValueError(A_TIME) from error


def parse_last(text: str) -> timedelta | None:
    """A duration, None for all time. Raises ValueError.

    >>> parse_last("6h"), parse_last("all")
    (datetime.timedelta(seconds=21600), None)
    """
    if text == ALL:
        return None
    try:
        duration = parse_duration(text)
    except ValueError as error:
        raise ValueError(A_LAST) from error
    if duration < timedelta(minutes=1):
        raise ValueError(A_LAST)
    return duration


def _checked_last(text: str) -> str:
    parse_last(text)
    return text


def _anchor(text: str) -> str:
    if text not in ("now", "stream"):
        raise ValueError
    return text


_TIME_SCHEMA: Final = {"type": "string", "format": "date-time", "maxLength": 40}
SINCE: Final = Parameter(
    "since", A_TIME, "Only windows that start then or later.", _TIME_SCHEMA, parse_time, longest=40
)
UNTIL: Final = Parameter("until", A_TIME, "Only windows that start before.", _TIME_SCHEMA, parse_time, longest=40)
AT: Final = Parameter(
    "at",
    f"{A_TIME}, or a day such as 2024-10-31",
    "The window that this time lies in, instead of the newest.",
    {"type": "string", "anyOf": [{"format": "date-time"}, {"format": "date"}], "maxLength": 40},
    lambda text: parse_time(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text),
    longest=40,
)
LAST: Final = Parameter(
    "last",
    A_LAST,
    "Only windows of the last so long, by the anchor; instead of since and until.",
    {"type": "string", "pattern": r"^([1-9][0-9]{0,4}(min|h|d)|all)$"},
    _checked_last,
    longest=18,
)
ANCHOR: Final = Parameter(
    "anchor",
    "now or stream",
    "What `last` ends at: the minute that it is now, or the newest minute of the results.",
    {"type": "string", "enum": ["now", "stream"]},
    _anchor,
    longest=18,
)
RANGE: Final = (SINCE, UNTIL, LAST, ANCHOR)
"""The parameters that choose a range."""

StreamTime = Callable[[], Awaitable[datetime | None]]


async def resolved(given: Mapping[str, Any], now: datetime, stream_time: StreamTime) -> TimeRange:
    """The range that the parameters mean; without any, all time. Whole minutes, where it is counted from the end.

    Raises a Problem (422) where they contradict each other, and what `stream_time` raises.
    """
    since, until, last = given["since"], given["until"], given["last"]
    if last is None:
        if given["anchor"] is not None:
            raise bad_parameters(fault("anchor", "to be given with last alone", given["anchor"]))
        require_order(since, until)
        return TimeRange(since, until)
    if since is not None or until is not None:
        raise bad_parameters(fault("last", "either last, or since and until", last))
    duration = parse_last(last)
    if duration is None:
        return TimeRange()
    end = await stream_time() if given["anchor"] == "stream" else _end_of_minute(now)
    if end is None:  # nothing is there yet, so that the stream has no time
        end = _end_of_minute(now)
    start_ms = timestamp_ms_of(end) - duration // timedelta(milliseconds=1)
    return TimeRange(datetime_of(start_ms), end)


def require_order(since: datetime | None, until: datetime | None) -> None:
    """Raises a Problem (422) for a range that would end before it begins."""
    if since is not None and until is not None and since > until:
        raise bad_parameters(fault("since", "a time before until", since.isoformat()))


def _end_of_minute(time: datetime) -> datetime:
    """The end of the minute that the time lies in.

    >>> _end_of_minute(datetime(2024, 10, 31, 14, 30, 5, tzinfo=UTC))
    datetime.datetime(2024, 10, 31, 14, 31, tzinfo=datetime.timezone.utc)
    """
    return datetime_of(MINUTE.start_of(timestamp_ms_of(time)) + MINUTE_MS)
