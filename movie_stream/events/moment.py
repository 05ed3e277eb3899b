"""Moments as they are written on the command line."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from movie_stream.settings import parse_duration

A_MOMENT_OR_AGE: Final = "a time (UTC) such as 2024-10-31 or 2024-10-31T14:00, or how long ago, such as 30min, 2h or 3d"


def moment_of(text: str) -> datetime:
    """The moment that a text in ISO 8601 names, in UTC where it does not say otherwise.

    >>> moment_of("2024-10-31T14:30")
    datetime.datetime(2024, 10, 31, 14, 30, tzinfo=datetime.timezone.utc)

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def moment_or_age(text: str, now: datetime) -> datetime:
    """The moment that a text names, or that lies so long before `now`.

    >>> moment_or_age("2h", datetime(2024, 10, 31, 14, 30, tzinfo=UTC))
    datetime.datetime(2024, 10, 31, 12, 30, tzinfo=datetime.timezone.utc)

    Raises ValueError.
    """
    if text == "now":
        return now
    try:
        return now - parse_duration(text)
    except ValueError:
        return moment_of(text)
