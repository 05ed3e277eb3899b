"""The options `--since` and `--until` of `show` and `export`."""

from __future__ import annotations

from datetime import datetime

from movie_stream.errors import UsageError
from movie_stream.events.timestamps import TIME_OR_AGE, parse_time_or_age
from movie_stream.mongo.query import Query, check


def time_of(option: str, text: str | None, now: datetime) -> datetime | None:
    """The time that an option gives: a time, or an age before `now`. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_time_or_age(text, now)
    except ValueError as error:
        raise UsageError(argument=option, expected=TIME_OR_AGE, got=text) from error


def checked(query: Query, since: str | None, until: str | None) -> Query:
    """Checks a query whose times were given as these texts. Raises UsageError if it is invalid."""
    check(query, "--")
    if query.since and query.until and query.since >= query.until:
        raise UsageError(argument="--until", expected=f"a time after --since {since}", got=until)
    return query
