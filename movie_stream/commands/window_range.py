"""The options `--since` and `--until`, as `show` and `export` take them."""

from __future__ import annotations

from datetime import datetime

from movie_stream.errors import UsageError
from movie_stream.events.moment import A_MOMENT_OR_AGE, parse_moment_or_age
from movie_stream.mongo.query import Query, check


def moment_of(option: str, text: str | None, now: datetime) -> datetime | None:
    """The moment that an option names, which may be so long before `now`. Raises UsageError."""
    if text is None:
        return None
    try:
        return parse_moment_or_age(text, now)
    except ValueError as error:
        raise UsageError(argument=option, expected=A_MOMENT_OR_AGE, got=text) from error


def checked(query: Query, since: str | None, until: str | None) -> Query:
    """The query, whose times were given as these texts. Raises UsageError if it cannot be meant."""
    check(query, "--")
    if query.since and query.until and query.since >= query.until:
        raise UsageError(argument="--until", expected=f"a time after --since {since}", got=until)
    return query
