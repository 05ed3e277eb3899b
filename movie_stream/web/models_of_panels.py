"""The models of the dashboard's panels, for OpenAPI."""

from __future__ import annotations

from datetime import datetime

from pydantic import BaseModel

from movie_stream.alerts.expectations import Light


class Ranged(BaseModel):
    """An answer of a range, which it names."""

    since: datetime | None
    until: datetime | None


class GenreOf(BaseModel):
    """A genre; its users are known of all time alone."""

    genre: str | None
    slug: str | None
    views: int | None
    avg_rating: float | None
    unique_users: int | None


class Genres(Ranged):
    """Most views first."""

    items: list[GenreOf]


class Film(BaseModel):
    """A film of an hour; its rank in the hour before is null where it had none."""

    rank: int
    previous_rank: int | None
    movie_id: str | None
    title: str | None
    genre: str | None
    views: int | None
    avg_rating: float | None


class TopMoviesPanel(BaseModel):
    """The films of an hour; `previous` is the newest hour before it that there is."""

    hour: datetime | None
    previous: datetime | None
    hours: list[datetime]
    items: list[Film]


class Activity(Ranged):
    """Each cell is a day of the week (0 is Monday), an hour of the day, and its views; those without views lack."""

    timezone: str
    cells: list[list[int]]


class DayOfAudience(BaseModel):
    """The users of a day."""

    date: str | None
    total_users: int | None
    new_users: int | None
    returning_users: int | None
    sessions: int | None
    avg_session_duration: float | None


class Audience(Ranged):
    """The newest 400 days of the range, the oldest of them first."""

    days: list[DayOfAudience]


class User(BaseModel):
    """A user of a day; `watch_time` is in minutes."""

    rank: int
    user_id: str | None
    watch_count: int | None
    watch_time: int | None


class TopUsersPanel(BaseModel):
    """The users of a day."""

    day: str | None
    days: list[str]
    items: list[User]


class Refused(BaseModel):
    """How many records were refused for one reason."""

    reason: str
    count: int


class DeadLetters(BaseModel):
    """What the running workers have refused since they were started."""

    total: int
    items: list[Refused]


class Judged(BaseModel):
    """A figure that was judged: a share, a number of an hour or seconds; `limit` is the one that it is beyond."""

    figure: str
    value: float
    light: Light
    limit: float | None


class Reason(BaseModel):
    """Why so many records were refused."""

    kind: str
    reason: str
    count: int


class QualityOf(BaseModel):
    """The records of a source partition, or of all of them; `completeness` is a share of the expected records of the
    `hours` that are over, of which the `empty_hours` had none. `heard` is the last hour with records before the end of
    the range, in the range or not, and `reasons` are the ten largest.
    """

    partition: int | None
    light: Light
    judged: list[Judged]
    records: int
    views: int
    bad: int
    late: int
    without_rating: int
    without_duration: int
    without_price: int
    new_genres: int
    retitled: int
    avg_delay_s: float | None
    max_delay_s: float | None
    completeness: float | None
    hours: int
    empty_hours: int
    heard: datetime | None
    reasons: list[Reason]


class QualityPanel(Ranged):
    """What the records of a range are worth; `newest` is the newest hour of stream time in it, `over_until` that of the
    whole stream, before which hours are over, and `light` the worst of all that are below.
    """

    newest: datetime | None
    over_until: datetime | None
    light: Light
    total: QualityOf | None
    partitions: list[QualityOf]


class PartitionOf(BaseModel):
    """A partition that a worker owns."""

    topic: str | None
    partition: int | None
    position: int | None
    lag: int | None
    watermark: datetime | None


class WorkerOf(BaseModel):
    """A worker as it was last heard of."""

    id: str
    host: str | None
    pid: int | None
    version: str | None
    state: str | None
    silent: bool
    started: datetime | None
    seen: datetime | None
    last_flush: datetime | None
    events: int | None
    lag: int | None
    delay_ms: float | None
    partitions: list[PartitionOf]


class Workers(BaseModel):
    """The longest running first."""

    items: list[WorkerOf]
