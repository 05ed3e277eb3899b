"""Times: conversion between Unix milliseconds and datetimes, and parsing of times as users write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from movie_stream.settings import parse_duration

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
TIME_OR_AGE: Final = "a time (UTC) such as 2024-10-31 or 2024-10-31T14:00, or how long ago, such as 30min, 2h or 3d"


def datetime_of(timestamp_ms: int) -> datetime:
    """Unix milliseconds as a datetime in UTC, exactly.

    >>> datetime_of(1_730_385_000_000)
    datetime.datetime(2024, 10, 31, 14, 30, tzinfo=datetime.timezone.utc)
    """
    return _EPOCH + timedelta(milliseconds=timestamp_ms)


def timestamp_ms_of(time: datetime) -> int:
    """An aware datetime as Unix milliseconds, rounded down.

    >>> timestamp_ms_of(datetime_of(1_730_385_000_001))
    1730385000001
    """
    return (time - _EPOCH) // timedelta(milliseconds=1)


def parse_time(text: str) -> datetime:
    """Parses a time in ISO 8601; UTC if it has no time zone.

    >>> parse_time("2024-10-31T14:30")
    datetime.datetime(2024, 10, 31, 14, 30, tzinfo=datetime.timezone.utc)

    Raises ValueError.
    """
    time = datetime.fromisoformat(text)
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def parse_time_or_age(text: str, now: datetime) -> datetime:
    """Parses a time in ISO 8601, "now", or an age: the time that long before `now`.

    >>> parse_time_or_age("2h", datetime(2024, 10, 31, 14, 30, tzinfo=UTC))
    datetime.datetime(2024, 10, 31, 12, 30, tzinfo=datetime.timezone.utc)

    Raises ValueError.
    """
    if text == "now":
        return now
    try:
        return now - parse_duration(text)
    except ValueError:
        return parse_time(text)
