"""Fills a database with any number of minute windows, and all other documents that belong to them.

RESULTS defines the documents; only the figures are made up here, consistently: an hour is the sum of its minutes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient

from bench.stream import GENRES
from movie_stream.aggregates.aggregators import NewestNames
from movie_stream.aggregates.fields import COMPONENTS, Components, Keys
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.columnar.bson_columns import Layout
from movie_stream.columnar.spans import Spans
from movie_stream.events.event import slug_of
from movie_stream.settings import Settings

BEGINS_MS: Final = 1_704_067_200_000
"""2024-01-01T00:00:00Z, the start of the first window."""
_MINUTE_MS: Final = 60_000
_DAY_MINUTES: Final = 1_440
_AT_ONCE: Final = 5_000
_FILMS: Final = 2_000
_VIEWS: Final = 30.0
"""The approximate views of a genre in a minute."""
_MICRO: Final = 1_000_000
_OBJECTS: Final = ("spelling", "refused", "top_users", "rating.max", "rating.min")
"""Figures that are no numbers, or may be missing."""
Figures = Mapping[str, Any]
"""The figures by the names of their aggregators."""


@dataclass(frozen=True)
class Filled:
    """The content of the database."""

    windows: int
    newest_ms: int
    """The start of the newest minute window."""
    documents: int


class Made:
    """The figures of a number of minutes and all genres, as arrays of whole days; the last day may end empty."""

    def __init__(self, windows: int) -> None:
        self.genres = list(dict.fromkeys(GENRES))
        self.minutes = -(-windows // len(self.genres))
        self.newest_ms = BEGINS_MS + self.minutes * _MINUTE_MS - 1
        chance = np.random.default_rng(7)
        whole = -(-self.minutes // _DAY_MINUTES) * _DAY_MINUTES
        hours = np.arange(whole) % _DAY_MINUTES / 60
        rhythm = 1.1 + np.cos((hours - 20) / 12 * np.pi)
        popular = 1 / np.arange(1, len(self.genres) + 1) ** 0.7
        self.views = 1 + chance.poisson(_VIEWS * rhythm[:, None] * popular / popular.mean())
        self.views[self.minutes :] = 0
        self.rated = self.views * 7 // 10
        halves = np.round(self.rated * chance.normal(7.0, 0.4, self.views.shape)).astype(np.int64)
        self.rating_micro = np.clip(halves, self.rated, 10 * self.rated) * (_MICRO // 2)

    def sums(self, minutes: int) -> Made:
        """The figures summed up by longer windows."""
        longer = object.__new__(Made)
        longer.genres, longer.minutes, longer.newest_ms = self.genres, self.minutes // minutes, self.newest_ms
        for name in ("views", "rated", "rating_micro"):
            setattr(longer, name, getattr(self, name).reshape(-1, minutes, len(self.genres)).sum(axis=1))
        return longer


def fill(settings: Settings, windows: int, filled: Callable[[int], None]) -> Filled:
    """Fills the database of `init` with `windows` minute windows; `filled` is called every few thousand documents."""
    made, count = Made(windows), 0
    client: MongoClient[Any]
    with MongoClient(settings.require_mongodb(), w=1) as client, ThreadPoolExecutor(1) as writing:
        db: Any = client[settings.mongodb_database]
        under_way = writing.submit(int)
        for collection, documents in _documents(made):
            while some := list(islice(documents, _AT_ONCE)):
                under_way.result()
                insert = db[collection].insert_many
                under_way = writing.submit(insert, some, ordered=False, bypass_document_validation=True)
                filled(len(some))
                count += len(some)
        under_way.result()
        client.admin.command("fsync")  # pending writes would disturb the measurement
    return Filled(made.minutes * len(made.genres), BEGINS_MS + (made.minutes - 1) * _MINUTE_MS, count)


def _documents(made: Made) -> Iterator[tuple[str, Iterator[RawBSONDocument]]]:
    days, hours = made.sums(_DAY_MINUTES), made.sums(60)
    for result in RESULTS:
        match result.window.name:
            case "minute":
                spans = made
            case "hour":
                spans = hours
            case "day":
                spans = days
            case _:
                spans = made.sums(len(made.views))
        yield result.collection, _documents_of(result, spans)


def _documents_of(result: Result, made: Made) -> Iterator[RawBSONDocument]:
    """All documents of one result."""
    rows = np.flatnonzero(made.views.any(axis=1)).tolist()
    length_ms, films, layout = result.window.length_ms or 0, _Films(made.genres), result.layout(1)
    views, rated, micro = (array.tolist() for array in (made.views, made.rated, made.rating_micro))
    for row in rows:
        start_ms = BEGINS_MS + row * length_ms if length_ms else 0
        if result.by == "genre":
            for at, genre in enumerate(made.genres):
                if views[row][at]:
                    figures = _figures(views[row][at], rated[row][at], micro[row][at], genre, made.newest_ms)
                    yield _encoded(result, layout, Keys(result.window, [start_ms], [slug_of(genre)]), figures)
        else:
            figures = _figures(sum(views[row]), sum(rated[row]), sum(micro[row]), "", made.newest_ms)
            if result.top is not None:
                figures[COMPONENTS] = films.top(result.top.limit, row, figures["views"])
            value = "0" if result.aggregates_records else ""
            yield _encoded(result, layout, Keys(result.window, [start_ms], [value]), figures)


def _figures(views: int, rated: int, micro: int, genre: str, newest_ms: int) -> dict[str, Any]:
    users = 1 + views * 9 // 10
    return {
        "views": views,
        "spelling": genre,
        "newest": newest_ms,
        "rating.count": rated,
        "rating.sum": micro,
        "rating.max": 5 * _MICRO if rated else None,
        "rating.min": _MICRO // 2 if rated else None,
        "duration.sum": 95 * views,
        "revenue.wide_sum": 3_990_000 * views,
        **dict.fromkeys(("user_id.sketch12", "user_id.sketch14"), users),
        "movie_id.sketch14": min(views, _FILMS),
        "views_by_hour": [views // 24 + (hour == 20) for hour in range(24)],
        "users": users,
        "new_users": users // 5,
        "sessions": users * 5 // 4,
        "session_ms": users * 55 * _MINUTE_MS,
        "records": views + views // 100,
        **dict.fromkeys(("duration.count", "price.count", "timed"), views),
        "refused": [("bad", f"reason {at}", views // 500) for at in range(5)],
        **dict.fromkeys(("new_genres", "retitled"), 0),
        "delay_ms": 700 * views,
        "longest_delay_ms": 4_000,
        "top_users": [(40 - rank, 95 * (40 - rank), f"user-{rank}") for rank in range(10)],
    }


class _Films:
    """Lists of films."""

    def __init__(self, genres: Sequence[str]) -> None:
        self._genres = genres

    def top(self, limit: int, row: int, views: int) -> Components:
        """The films of one window, and their figures; consecutive windows have different lists."""
        films = [(rank * 7 + row) % _FILMS for rank in range(limit)]
        seen = [max(views // (20 + rank), 1) for rank in range(limit)]
        rated = {"rating.count": seen, "rating.sum": [4 * views * _MICRO for views in seen]}
        names = [
            Spans.of([text(film).encode() for film in films])
            for text in ("film-{}".format, "Film number {}".format, lambda film: self._genres[film % len(self._genres)])
        ]
        figures = {"views": seen, "newest_view": NewestNames(*names[1:]), **rated}
        return Components(np.array([limit]), names[0], figures)


def _encoded(result: Result, layout: Layout, keys: Keys, figures: Mapping[str, Any]) -> RawBSONDocument:
    """A document of one key as workers store it."""
    columns = {
        of: value if isinstance(value, Components) else [value] if of in _OBJECTS else np.array([value])
        for of, value in figures.items()
    }
    [encoded] = layout.encode([*result.columns(keys, columns), 1, 1], 1)
    return RawBSONDocument(encoded)
