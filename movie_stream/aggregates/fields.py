"""What a field of a result document can be: the aggregators it needs, and its value made of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Literal, NamedTuple, Protocol

import numpy as np

from movie_stream.aggregates.aggregators import (
    Aggregator,
    CountOf,
    LargestOf,
    Members,
    NewestTime,
    NewestView,
    SmallestOf,
    SmallestSpelling,
    SumOf,
    TopUsersOf,
    UserFigure,
    ViewCount,
    ViewsByHour,
    WideSumOf,
)
from movie_stream.aggregates.window import Window, formatted
from movie_stream.columnar.bson_columns import Lists, Values
from movie_stream.columnar.columns import Ints
from movie_stream.columnar.spans import Spans
from movie_stream.events.contract import MICRO
from movie_stream.kernels.sketches import EXACT_UP_TO

Figures = Mapping[str, Any]
"""By aggregator name the merged values of all documents; or of all components of a Top."""
COMPONENTS: Final = "components"
"""The name of the Components of a Top."""
Schema = Mapping[str, Any]

SCALE: Final = {"rating": MICRO, "revenue": MICRO, "duration": 1}
"""How many of a number's integer units make one of the unit that people read."""

UNIT: Final = {"rating": "points, 0 to 5", "duration": "minutes", "revenue": "the unit of `price`"}
"""What a number is measured in."""

_DATE: Final[Schema] = {"bsonType": "date"}
COUNT: Final[Schema] = {"bsonType": ["int", "long"], "minimum": 0}
TEXT: Final[Schema] = {"bsonType": "string"}
_NUMBER: Final[Schema] = {"bsonType": ["double", "int", "long"], "minimum": 0}
_NUMBER_OR_NULL: Final[Schema] = {"bsonType": ["double", "int", "long", "null"], "minimum": 0}


class Keys(NamedTuple):
    """Which documents: the starts of their windows in Unix milliseconds (0 for all time), and the values of the column
    that the result is grouped by (of a genre its slug), or "".
    """

    window: Window
    starts_ms: Sequence[int] | Ints
    values: Sequence[str]


class Components(NamedTuple):
    """The components in the Top of each document, one document's after the other's."""

    counts: Ints
    """The number of components in each document."""
    names: Spans
    figures: Figures


class Description(NamedTuple):
    """What a field means to those who read it, in words; documentation, OpenAPI and types say it from here."""

    meaning: str
    """What it is; whether it is an estimate, and when it is null. Else it is exact, and always there."""
    unit: str = ""
    entry: Mapping[str, Description] = {}
    """Of a list: what the fields of its entries mean, in their order."""

    @property
    def in_words(self) -> str:
        """The meaning, with the unit behind it where it does not say that itself.

        >>> Description("The mean.", "minutes").in_words, Description("The number of users.", "users").in_words
        ('The mean. Unit: minutes.', 'The number of users.')
        """
        return f"{self.meaning} Unit: {self.unit}." if self.unit and self.unit not in self.meaning else self.meaning


class Field(Protocol):
    """One field of a document."""

    @property
    def stored(self) -> str:
        """Its name and parameters in the fingerprint of a run; see Result.stored."""
        ...

    @property
    def needs(self) -> tuple[Aggregator, ...]: ...
    @property
    def schema(self) -> Schema:
        """A MongoDB JSON schema of the value."""
        ...

    @property
    def description(self) -> Description: ...

    def values(self, keys: Keys, figures: Figures) -> Values:
        """The field's value in each of the documents."""
        ...


@dataclass(frozen=True, slots=True)
class Genre:
    """The genre as it is shown."""

    stored: ClassVar[str] = "Genre()"
    needs: ClassVar[tuple[Aggregator, ...]] = (SmallestSpelling(),)
    schema: ClassVar[Schema] = TEXT
    description: ClassVar[Description] = Description(
        "The genre as it is shown: of the spellings in the group the first by code points."
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[SmallestSpelling.name]


@dataclass(frozen=True, slots=True)
class Slug:
    """The genre as it groups."""

    stored: ClassVar[str] = "Slug()"
    needs: ClassVar[tuple[Aggregator, ...]] = ()
    schema: ClassVar[Schema] = TEXT
    description: ClassVar[Description] = Description(
        "The genre in small letters, with single blanks: what groups spellings of one genre."
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return keys.values


@dataclass(frozen=True, slots=True)
class Member:
    """The movie_id or user_id that the result is grouped by."""

    needs: ClassVar[tuple[Aggregator, ...]] = ()
    stored: ClassVar[str] = "Member()"
    schema: ClassVar[Schema] = TEXT
    description: ClassVar[Description] = Description("The `movie_id` or `user_id` that the document is about.")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return keys.values


@dataclass(frozen=True, slots=True)
class Start:
    """The start of the window, a date."""

    stored: ClassVar[str] = "Start()"
    needs: ClassVar[tuple[Aggregator, ...]] = ()
    schema: ClassVar[Schema] = _DATE
    description: ClassVar[Description] = Description("The start of the window.", "UTC")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return keys.starts_ms


@dataclass(frozen=True, slots=True)
class End:
    """The end of the window, exclusive, a date."""

    stored: ClassVar[str] = "End()"
    needs: ClassVar[tuple[Aggregator, ...]] = ()
    schema: ClassVar[Schema] = _DATE
    description: ClassVar[Description] = Description("The end of the window, exclusive.", "UTC")

    def values(self, keys: Keys, figures: Figures) -> Values:
        length_ms = keys.window.length_ms
        assert length_ms is not None, "all time has no end"
        return np.add(keys.starts_ms, length_ms)


@dataclass(frozen=True, slots=True)
class Date:
    """The day as text, 2024-10-31."""

    stored: ClassVar[str] = "Date()"
    needs: ClassVar[tuple[Aggregator, ...]] = ()
    schema: ClassVar[Schema] = {"bsonType": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"}
    description: ClassVar[Description] = Description("The day, as 2024-10-31.", "day in UTC")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return formatted(keys.starts_ms, "D")


@dataclass(frozen=True, slots=True)
class Newest:
    """The newest timestamp of the group, a date."""

    stored: ClassVar[str] = "Newest()"
    needs: ClassVar[tuple[Aggregator, ...]] = (NewestTime(),)
    schema: ClassVar[Schema] = _DATE
    description: ClassVar[Description] = Description("The time of the newest view that counts here.", "UTC")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[NewestTime.name]


@dataclass(frozen=True, slots=True)
class Count:
    """The number of views."""

    stored: ClassVar[str] = "Count()"
    needs: ClassVar[tuple[Aggregator, ...]] = (ViewCount(),)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description("The number of views.", "views")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[ViewCount.name]


@dataclass(frozen=True, slots=True)
class Sum:
    """The sum of `duration` (minutes) over the views that have one."""

    number: Literal["duration"]
    schema: ClassVar[Schema] = COUNT

    @property
    def stored(self) -> str:
        return f"Sum(number={self.number!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return (SumOf(self.number),)

    @property
    def description(self) -> Description:
        return Description(f"The sum of `{self.number}` over the views that have one.", UNIT[self.number])

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[f"{self.number}.sum"]


@dataclass(frozen=True, slots=True)
class Revenue:
    """The sum of the prices."""

    stored: ClassVar[str] = "Revenue()"
    needs: ClassVar[tuple[Aggregator, ...]] = (WideSumOf("revenue"),)
    schema: ClassVar[Schema] = _NUMBER
    description: ClassVar[Description] = Description(
        "The sum of `price`; a view without one counts REVENUE_PER_VIEW.", UNIT["revenue"]
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return [revenue / MICRO for revenue in figures["revenue.wide_sum"]]


@dataclass(frozen=True, slots=True)
class Mean:
    """The mean of a number over the views that have it, None if none has: one division of exact integers."""

    number: Literal["rating", "duration"]
    schema: ClassVar[Schema] = _NUMBER_OR_NULL

    @property
    def stored(self) -> str:
        return f"Mean(number={self.number!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return SumOf(self.number), CountOf(self.number)

    @property
    def description(self) -> Description:
        return Description(
            f"The mean of `{self.number}` over the views that have one; null where none has.", UNIT[self.number]
        )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return means(figures[f"{self.number}.sum"], figures[f"{self.number}.count"], SCALE[self.number])


@dataclass(frozen=True, slots=True)
class Rated:
    """How many views have a rating: what their mean is over."""

    stored: ClassVar[str] = "Rated()"
    needs: ClassVar[tuple[Aggregator, ...]] = (CountOf("rating"),)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description(
        "The number of views that have a rating: what the mean rating is over.", "views"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures["rating.count"]


@dataclass(frozen=True, slots=True)
class Max:
    """The largest number, None if no view has one."""

    number: Literal["rating", "duration", "revenue"]
    schema: ClassVar[Schema] = _NUMBER_OR_NULL

    @property
    def stored(self) -> str:
        return f"Max(number={self.number!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return (LargestOf(self.number),)

    @property
    def description(self) -> Description:
        return Description(f"The largest {self.number}; null where no view has one.", UNIT[self.number])

    def values(self, keys: Keys, figures: Figures) -> Values:
        return scaled(figures[f"{self.number}.max"], SCALE[self.number])


@dataclass(frozen=True, slots=True)
class Min:
    """The smallest number, None if no view has one."""

    number: Literal["rating", "duration", "revenue"]
    schema: ClassVar[Schema] = _NUMBER_OR_NULL

    @property
    def stored(self) -> str:
        return f"Min(number={self.number!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return (SmallestOf(self.number),)

    @property
    def description(self) -> Description:
        return Description(f"The smallest {self.number}; null where no view has one.", UNIT[self.number])

    def values(self, keys: Keys, figures: Figures) -> Values:
        return scaled(figures[f"{self.number}.min"], SCALE[self.number])


@dataclass(frozen=True, slots=True)
class Distinct:
    """How many distinct members (user_id or movie_id): exact up to 300, then estimated from 2**lg_k registers."""

    member: Literal["user_id", "movie_id"]
    lg_k: int = 14
    schema: ClassVar[Schema] = COUNT

    @property
    def stored(self) -> str:
        return f"Distinct(member={self.member!r}, lg_k={self.lg_k!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return (Members(self.member, self.lg_k),)

    @property
    def description(self) -> Description:
        return Description(
            f"The number of distinct {'users' if self.member == 'user_id' else 'films'}: exact up to {EXACT_UP_TO}, "
            f"above that an estimate with a relative standard error of {104 / 2 ** (self.lg_k / 2):.1f} %.",
            "users" if self.member == "user_id" else "films",
        )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[f"{self.member}.sketch{self.lg_k}"]


@dataclass(frozen=True, slots=True)
class PeakHour:
    """The local hour of the day with most views, of equals the earliest, as 20:00."""

    stored: ClassVar[str] = "PeakHour()"
    needs: ClassVar[tuple[Aggregator, ...]] = (ViewsByHour(),)
    schema: ClassVar[Schema] = {"bsonType": "string", "pattern": r"^\d{2}:00$"}
    description: ClassVar[Description] = Description(
        "The hour of the day with most views, as 20:00; of equals the earliest.", "hour in TIMEZONE"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return [f"{hour:02}:00" for hour in figures[ViewsByHour.name].argmax(axis=1).tolist()]


@dataclass(frozen=True, slots=True)
class Title:
    """The title of the newest view, of equals the smallest."""

    stored: ClassVar[str] = "Title()"
    needs: ClassVar[tuple[Aggregator, ...]] = (NewestView(),)
    schema: ClassVar[Schema] = TEXT
    description: ClassVar[Description] = Description(
        "The title in the film's newest view; of views of one time the smallest."
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[NewestView.name].title


@dataclass(frozen=True, slots=True)
class NewestGenre:
    """The genre of the newest view as it is shown, of equals the smallest."""

    stored: ClassVar[str] = "NewestGenre()"
    needs: ClassVar[tuple[Aggregator, ...]] = (NewestView(),)
    schema: ClassVar[Schema] = TEXT
    description: ClassVar[Description] = Description(
        "The genre in the film's newest view, as it is shown; of views of one time the smallest."
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[NewestView.name].genre


@dataclass(frozen=True, slots=True)
class Top:
    """A list of the components (movies) with most views; for ties see PackedNames.most_viewed."""

    limit: int
    of: Literal["movie_id"]
    columns: Mapping[str, Field] = field(hash=False)
    needs: ClassVar[tuple[Aggregator, ...]] = ()

    @property
    def stored(self) -> str:
        columns = ", ".join(f"{name!r}: {column.stored}" for name, column in self.columns.items())
        return f"Top(limit={self.limit}, of={self.of!r}, columns={{{columns}}})"

    @property
    def held(self) -> tuple[Aggregator, ...]:
        """What each component holds."""
        return (ViewCount(), *(need for column in self.columns.values() for need in column.needs))

    @property
    def schema(self) -> Schema:
        properties = {self.of: TEXT, **{name: column.schema for name, column in self.columns.items()}}
        return array_of(properties, self.limit)

    @property
    def description(self) -> Description:
        return Description(
            f"The films with most views, {self.limit} at most, the most viewed first.",
            entry={
                self.of: Description("The film."),
                **{name: column.description for name, column in self.columns.items()},
            },
        )

    def values(self, keys: Keys, figures: Figures) -> Values:
        counts, names, held = figures[COMPONENTS]
        members = Keys(keys.window, np.repeat(keys.starts_ms, counts), [""] * len(names))
        return Lists(counts, [names, *(column.values(members, held) for column in self.columns.values())])


TOTAL_USERS: Final = UserFigure("users")
NEW_USERS: Final = UserFigure("new_users")
SESSIONS: Final = UserFigure("sessions")
SESSION_MS: Final = UserFigure("session_ms")


@dataclass(frozen=True, slots=True)
class Users:
    """Users with a view on the day."""

    stored: ClassVar[str] = "Users()"
    needs: ClassVar[tuple[Aggregator, ...]] = (TOTAL_USERS,)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description("The number of users with a view on the day.", "users")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[TOTAL_USERS.name]


@dataclass(frozen=True, slots=True)
class NewUsers:
    """Users whose first view ever is on the day."""

    stored: ClassVar[str] = "NewUsers()"
    needs: ClassVar[tuple[Aggregator, ...]] = (NEW_USERS,)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description(
        "The number of users whose first view ever is on the day.", "users"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[NEW_USERS.name]


@dataclass(frozen=True, slots=True)
class ReturningUsers:
    """Users with a view on the day and an earlier one on another."""

    stored: ClassVar[str] = "ReturningUsers()"
    needs: ClassVar[tuple[Aggregator, ...]] = (TOTAL_USERS, NEW_USERS)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description(
        "The number of users with a view on the day and an earlier one on another day.", "users"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[TOTAL_USERS.name] - figures[NEW_USERS.name]


@dataclass(frozen=True, slots=True)
class Sessions:
    """The sessions that began on the day."""

    stored: ClassVar[str] = "Sessions()"
    needs: ClassVar[tuple[Aggregator, ...]] = (SESSIONS,)
    schema: ClassVar[Schema] = COUNT
    description: ClassVar[Description] = Description("The number of sessions that began on the day.", "sessions")

    def values(self, keys: Keys, figures: Figures) -> Values:
        return figures[SESSIONS.name]


@dataclass(frozen=True, slots=True)
class SessionMinutes:
    """The mean length of the sessions that began on the day, in minutes; None where none did."""

    stored: ClassVar[str] = "SessionMinutes()"
    needs: ClassVar[tuple[Aggregator, ...]] = (SESSIONS, SESSION_MS)
    schema: ClassVar[Schema] = _NUMBER_OR_NULL
    description: ClassVar[Description] = Description(
        "The mean length of the sessions that began on the day; null where none did.", "minutes"
    )

    def values(self, keys: Keys, figures: Figures) -> Values:
        return means(figures[SESSION_MS.name], figures[SESSIONS.name], 60_000)


@dataclass(frozen=True, slots=True)
class TopUsers:
    """The users with most views on the day; for ties see aggregators.rank_of."""

    limit: int

    @property
    def stored(self) -> str:
        return f"TopUsers(limit={self.limit!r})"

    @property
    def needs(self) -> tuple[Aggregator, ...]:
        return (TopUsersOf(self.limit),)

    @property
    def schema(self) -> Schema:
        return array_of({"user_id": TEXT, "watch_count": COUNT, "watch_time": COUNT}, self.limit)

    @property
    def description(self) -> Description:
        return Description(
            f"The users with most views on the day, {self.limit} at most, the most active first.",
            entry={
                "user_id": Description("The user."),
                "watch_count": Count.description,
                "watch_time": Sum("duration").description,
            },
        )

    def values(self, keys: Keys, figures: Figures) -> Values:
        tops = [[(user, views, minutes) for views, minutes, user in top] for top in figures[TopUsersOf.name]]
        return Lists.of(tops, 3)


def array_of(properties: Mapping[str, Schema], limit: int) -> Schema:
    """The schema of a list of up to `limit` objects with these fields."""
    item = {"bsonType": "object", "required": list(properties), "properties": dict(properties)}
    return {"bsonType": "array", "maxItems": limit, "items": item}


def means(sums: Sequence[int], counts: Sequence[int], scale: int) -> list[float | None]:
    """Of each document the mean in units of `scale`; None where nothing was counted."""
    pairs = zip(*(np.asarray(numbers).tolist() for numbers in (sums, counts)), strict=True)  # as integers of any size
    return [total / (count * scale) if count else None for total, count in pairs]


def scaled(values: Iterable[int | None], scale: int) -> list[float | None]:
    """Each value in units of `scale`."""
    return [None if value is None else value / scale for value in values]
