"""Generates views that look real: popular and rare films, regular and rare users, evenings and sessions.

Every value of a view is a hash of the seed and the number of the view. So the same arguments make the same views, in
chunks of any size, in constant memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.replay.synthetic.catalogue import Catalogue, catalogue
from movie_stream.replay.synthetic.chance import random_numbers

CHUNK_ROWS: Final = 10_000
COLUMNS: Final = ("movie_id", "title", "genre", "user_id", "timestamp", "rating", "duration", "price")
END: Final = datetime(2024, 11, 1, tzinfo=UTC)
SPAN: Final = timedelta(days=2)

HOURLY_WEIGHTS: Final = (9, 5, 3, 2, 1, 1, 2, 3, 4, 5, 6, 7, 9, 9, 9, 10, 11, 14, 19, 26, 30, 29, 23, 15)
"""The relative number of views by hour of the day (UTC)."""
RHYTHM_STEP_MS: Final = 900_000

VIEWS_A_USER: Final = 10
FEWEST_USERS: Final = 20
REGULARS: Final = 1.6
"""The higher this is, the more views are by few users; at 1 all users would be alike."""
BETWEEN_VIEWS: Final = timedelta(minutes=115)
"""The approximate time from one view of a session to the next: a film and a pause."""
FEWEST_AT_ONCE: Final = 8
LONGEST_SESSION: Final = 4
ENDS_AFTER_A_VIEW: Final = 0.55
UNRATED: Final = 0.3
WATCHED_TO_THE_END: Final = 0.75
UNKNOWN_DURATION: Final = 0.02
INCLUDED: Final = 0.6
"""The share of views that a subscription includes, which have no price."""
QUOTED: Final = frozenset(',"\r\n')
"""A cell with one of these is quoted."""


@dataclass(frozen=True, slots=True)
class GeneratedRows:
    """Consecutive views in columns of equal length, named as in the CSV; None is an empty cell."""

    movie_id: list[str]
    title: list[str]
    genre: list[str]
    user_id: list[str]
    timestamp: list[int]
    rating: list[float | None]
    duration: list[int | None]
    price: list[float | None]

    def __len__(self) -> int:
        return len(self.movie_id)

    @property
    def columns(self) -> tuple[list[Any], ...]:
        """The columns, in the order of COLUMNS."""
        film = self.movie_id, self.title, self.genre
        return *film, self.user_id, self.timestamp, self.rating, self.duration, self.price

    def only(self, row: int) -> GeneratedRows:
        """The one row."""
        return GeneratedRows(*([column[row]] for column in self.columns))

    def csv_lines(self, columns: int = len(COLUMNS)) -> Iterator[str]:
        """The rows as lines of a CSV, without line breaks; the first `columns` of them."""
        film = [_cells(column) for column in (self.movie_id, self.title, self.genre)]
        numbers = [_cells(column) for column in (self.rating, self.duration, self.price)]
        cells = *film, self.user_id, map(str, self.timestamp), *numbers
        return map(",".join, zip(*cells[:columns], strict=True))


def generate_rows(
    count: int,
    seed: int,
    *,
    end: datetime = END,
    span: timedelta = SPAN,
    chunk_rows: int = CHUNK_ROWS,
    films: Catalogue | None = None,
    users: int | None = None,
) -> Iterator[GeneratedRows]:
    """`count` views in time order, spread over `span` up to `end` with the rhythm of the day.

    They are of the given films, or of made-up ones, and by at most `users` users; by default one for every ten views.

    >>> [len(rows) for rows in generate_rows(25, seed=1, chunk_rows=10)]
    [10, 10, 5]
    """
    users = max(FEWEST_USERS, count // VIEWS_A_USER) if users is None else users
    maker = _Maker(count, seed, end, span, catalogue() if films is None else films, users)
    for start in range(0, count, chunk_rows):
        yield maker.rows(np.arange(start, min(start + chunk_rows, count), dtype=np.uint64))


class _Cells(dict[Any, str]):
    """The cell of a CSV by value of a column."""

    def __missing__(self, value: str | float | None) -> str:
        cell = "" if value is None else str(value)
        if not QUOTED.isdisjoint(cell):
            cell = '"' + cell.replace('"', '""') + '"'
        self[value] = cell
        return cell


def _cells(column: Sequence[str | float | None]) -> Iterator[str]:
    """The cells of a column with few distinct values.

    >>> list(_cells(["Heat", "Days, Nights", None]))
    ['Heat', '"Days, Nights"', '']
    """
    return map(_Cells().__getitem__, column)


class _Maker:
    """Makes views by their numbers."""

    def __init__(self, count: int, seed: int, end: datetime, span: timedelta, films: Catalogue, users: int) -> None:
        self._count = count
        self._seed = seed
        self._films = films
        self._film_columns = [
            np.array(names, object) for names in (self._films.movie_id, self._films.title, self._films.genre)
        ]
        self._users = users
        self._lanes = np.uint64(max(FEWEST_AT_ONCE, round(count * (BETWEEN_VIEWS / span))))
        self._edges_ms, self._elapsed = _rhythm(end, span)

    def rows(self, number: NDArray[np.uint64]) -> GeneratedRows:
        """The views of these numbers."""
        film = np.searchsorted(self._films.popularity, self._chance(1, number), "right")
        user = (self._chance(2, self._session(number)) ** REGULARS * self._users).astype(np.int64)
        movie_id, title, genre = (names[film].tolist() for names in self._film_columns)
        return GeneratedRows(
            movie_id,
            title,
            genre,
            [f"user_{one:06d}" for one in user.tolist()],
            self._timestamps_ms(number).tolist(),
            self._ratings(number, film),
            self._durations(number, film),
            self._prices(number, film),
        )

    def _timestamps_ms(self, number: NDArray[np.uint64]) -> NDArray[np.int64]:
        """The timestamps: each view has its own slot of the span's activity, so they are in time order."""
        share = (number + self._chance(4, number)) / self._count
        return np.interp(share, self._elapsed, self._edges_ms).astype(np.int64)

    def _session(self, number: NDArray[np.uint64]) -> NDArray[np.uint64]:
        """The number of the view that began the session each view belongs to.

        As many people watch concurrently as there are lanes. Views follow each other in a lane if their numbers differ
        by the number of lanes; a session is some consecutive views of a lane.
        """
        began = number.copy()
        going_on = np.ones(len(number), np.bool_)
        for _ in range(LONGEST_SESSION - 1):
            going_on &= (began >= self._lanes) & (self._chance(5, began) >= ENDS_AFTER_A_VIEW)
            began[going_on] -= self._lanes
        return began

    def _ratings(self, number: NDArray[np.uint64], film: NDArray[np.intp]) -> list[float | None]:
        bell = self._chance(6, number) + self._chance(7, number) + self._chance(8, number) - 1.5
        stars = np.clip(np.rint((self._films.quality[film] + 1.6 * bell) * 2) / 2, 0.5, 5)
        return _or_none(stars, (self._chance(9, number) < UNRATED) | np.isnan(stars))

    def _durations(self, number: NDArray[np.uint64], film: NDArray[np.intp]) -> list[int | None]:
        watched = np.minimum(1, self._chance(10, number) / (1 - WATCHED_TO_THE_END))
        minutes = self._films.minutes[film]
        seen = np.maximum(1, minutes * watched).astype(np.int64)
        return _or_none(seen, (self._chance(11, number) < UNKNOWN_DURATION) | (minutes == 0))

    def _prices(self, number: NDArray[np.uint64], film: NDArray[np.intp]) -> list[float | None]:
        price = self._films.price[film]
        return _or_none(price, (self._chance(3, number) < INCLUDED) | np.isnan(price))

    def _chance(self, stream: int, number: NDArray[np.uint64]) -> NDArray[np.float64]:
        """A number from 0 to below 1 for each view."""
        return random_numbers(self._seed, stream, number)


def _rhythm(end: datetime, span: timedelta) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Points in time (Unix ms), and the share of the span's views before each."""
    end_ms = round(end.timestamp() * 1000)
    start_ms = end_ms - span // timedelta(milliseconds=1)
    edges = np.arange(start_ms, end_ms, RHYTHM_STEP_MS)
    edges_ms = np.append(edges, end_ms).astype(np.float64)
    hours = (edges_ms[:-1] // 3_600_000).astype(np.int64) % 24
    views = np.array(HOURLY_WEIGHTS, np.float64)[hours] * np.diff(edges_ms)
    return edges_ms, np.append(0.0, np.cumsum(views) / views.sum())


def _or_none(column: NDArray[Any], empty: NDArray[np.bool_]) -> list[Any]:
    values = column.astype(object)
    values[empty] = None
    return list(values)
