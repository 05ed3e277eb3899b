"""Ranges of time with a file each: the days or months in UTC."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, Literal

By = Literal["day", "month"]
PATTERNS: Final[dict[By, str]] = {"day": "%Y-%m-%d", "month": "%Y-%m"}
"""The format of a range's label, for MongoDB's $dateToString."""
_LAST: Final = datetime.max.replace(tzinfo=UTC)


def start_of(moment: datetime, by: By) -> datetime:
    """The start of the range that contains a time.

    >>> start_of(datetime(2024, 10, 31, 14, 30, tzinfo=UTC), "month").isoformat()
    '2024-10-01T00:00:00+00:00'
    """
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day if by == "day" else day.replace(day=1)


def end_of(moment: datetime, by: By) -> datetime:
    """The end, exclusive, of the range that contains a time; at most the last time that datetime can represent.

    >>> end_of(datetime(2024, 12, 31, tzinfo=UTC), "month").isoformat()
    '2025-01-01T00:00:00+00:00'
    """
    start = start_of(moment, by)
    try:
        return start_of(start + timedelta(days=1 if by == "day" else 32), by)
    except OverflowError:
        return _LAST


def widened(since: datetime | None, until: datetime | None, by: By) -> tuple[datetime | None, datetime | None]:
    """The bounds widened to whole ranges, since a file always holds a complete day or month.

    >>> day = datetime(2024, 10, 31, tzinfo=UTC)
    >>> [moment.isoformat()[:10] for moment in widened(day + timedelta(hours=3), day + timedelta(hours=4), "day")]
    ['2024-10-31', '2024-11-01']
    >>> widened(day, day, "day") == (day, day)
    True
    """
    first = None if since is None else start_of(since, by)
    last = None if until is None or until == start_of(until, by) else end_of(until, by)
    return first, until if last is None else last


def labelled(label: str, by: By) -> datetime:
    """The start of the range with this label.

    >>> labelled("2024-10", "month").isoformat()
    '2024-10-01T00:00:00+00:00'
    """
    return datetime.strptime(label, PATTERNS[by]).replace(tzinfo=UTC)
