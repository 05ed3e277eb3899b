"""Moments as they are written on the command line."""

from __future__ import annotations

from datetime import UTC, datetime


def moment_of(text: str) -> datetime:
    """The moment that a text in ISO 8601 names, in UTC where it does not say otherwise.

    >>> moment_of("2024-10-31T14:30")
    datetime.datetime(2024, 10, 31, 14, 30, tzinfo=datetime.timezone.utc)

    Raises ValueError.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
