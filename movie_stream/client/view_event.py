"""One view of a film, validated on construction by the rules of the worker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Any, Final, Self

from movie_stream.errors import EventRefused
from movie_stream.events.contract import FIELD_RULES, FIELDS
from movie_stream.events.event import ENCODER, Refused, View, decode_checked

_VALUES: Final = attrgetter(*FIELDS)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND: Final = timedelta(milliseconds=1)
_LONGEST_QUOTE: Final = 60
"""The most characters of an invalid value that an error quotes."""


@dataclass(frozen=True, slots=True, init=False)
class ViewEvent:
    """One view of a film. Raises EventRefused for one that breaks a rule of the event contract.

    `timestamp` is given in Unix milliseconds or as an aware datetime, `duration` in minutes.

    >>> view = ViewEvent(
    ...     movie_id="m1", title="Alien", genre="Sci-Fi", user_id="u1",
    ...     timestamp=datetime(2024, 10, 31, 14, tzinfo=UTC), rating=5,
    ... )
    >>> view.timestamp, view.rating
    (1730383200000, 5.0)
    >>> ViewEvent(movie_id="m1", title="Alien", genre="Sci-Fi", user_id="", timestamp=1730383200000)
    Traceback (most recent call last):
    ...
    movie_stream.errors.EventRefused: this view cannot be sent: user_id: expected a string of 1 to 128 characters, \
got ""; correct it or leave it out
    """

    movie_id: str
    title: str
    genre: str
    user_id: str
    timestamp: int
    """Unix milliseconds; those of a datetime are rounded down."""
    rating: float | None
    duration: int | None
    """Minutes."""
    price: float | None

    def __init__(
        self,
        *,
        movie_id: str,
        title: str,
        genre: str,
        user_id: str,
        timestamp: int | datetime,
        rating: float | None = None,
        duration: int | None = None,
        price: float | None = None,
    ) -> None:
        self._become(
            {
                "movie_id": movie_id,
                "title": title,
                "genre": genre,
                "user_id": user_id,
                "timestamp": timestamp,
                "rating": rating,
                "duration": duration,
                "price": price,
            }
        )

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """The view with these fields, as decoded from JSON; others are ignored. Raises EventRefused.

        >>> ViewEvent.of({"movie_id": "m1", "title": "Alien", "genre": "Sci-Fi", "timestamp": 1730383200000})
        Traceback (most recent call last):
        ...
        movie_stream.errors.EventRefused: this view cannot be sent: user_id: missing; expected a string of 1 to 128 \
characters; correct it or leave it out
        """
        event = cls.__new__(cls)
        event._become(fields)
        return event

    @property
    def value(self) -> bytes:
        """The value of its record: the view as JSON, without fields that are null."""
        return ENCODER.encode(View(*_VALUES(self)))

    def _become(self, fields: Mapping[str, Any]) -> None:
        given = {name: value for name in FIELDS if (value := fields.get(name)) is not None}
        if isinstance(given.get("timestamp"), datetime):
            given["timestamp"] = _milliseconds(given["timestamp"])
        json = _json(given)
        try:
            view = decode_checked(json)
        except Refused as error:
            raise EventRefused(reason=str(error)) from error
        for name in FIELDS:
            read = getattr(view, name)
            if read != given.get(name):
                raise _unwritable(name, given[name])  # NaN, or bytes, which JSON would convert
            object.__setattr__(self, name, read)


def _milliseconds(when: datetime) -> int:
    if when.utcoffset() is None:
        raise EventRefused(reason=f"timestamp: expected a datetime with a time zone, got {when.isoformat()}")
    return (when - EPOCH) // MILLISECOND


def _json(given: Mapping[str, Any]) -> bytes:
    """The fields as JSON. Raises EventRefused for a value that JSON cannot represent."""
    try:
        return ENCODER.encode(given)
    except _NO_JSON:
        for name, value in given.items():
            try:
                ENCODER.encode(value)
            except _NO_JSON as error:
                raise _unwritable(name, value) from error
        raise


_NO_JSON: Final = (TypeError, ValueError, OverflowError, RecursionError)


def _unwritable(name: str, value: object) -> EventRefused:
    try:
        shown = repr(value)[:_LONGEST_QUOTE]
    except (ValueError, RecursionError):  # a number of thousands of digits, a list thousands deep
        shown = type(value).__name__
    return EventRefused(reason=f"{name}: expected {FIELD_RULES[name].words}, got {shown}")
