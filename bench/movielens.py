"""Sparse views: ratings like those of MovieLens 20M, far apart in time, so that almost every one makes a document.

What GroupLens publishes of the data set (https://files.grouplens.org/datasets/movielens/ml-20m-README.html): 20,000,263
ratings of 27,278 films by 138,493 users, from 9 January 1995 to 31 March 2015. The ratings here are made up, of as many
films by as many users in the same time; `produce` sends the real ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Final

import numpy as np
from numpy.typing import NDArray

from bench.stream import ROWS, Records

RATINGS: Final = 20_000_263
"""The ratings of MovieLens 20M."""
FILMS: Final = 27_278
USERS: Final = 138_493
BEGIN_S: Final = 789_609_600
"""1995-01-09T00:00:00Z."""
END_S: Final = 1_427_846_400
"""2015-04-01T00:00:00Z, the end of its last day."""
SESSION: Final = 14.44
"""The mean of ratings in a session: the 144.4 that a user has on average, in ten sittings."""
APART_S: Final = 20.0
"""The mean time from one rating of a session to the next."""
POPULARITY: Final = 0.5
"""The film of rank r has 1 / r ** 0.5 of the ratings of the first."""
GENRES: Final = (
    *("Action", "Adventure", "Animation", "Children", "Comedy", "Crime", "Documentary", "Drama", "Fantasy"),
    *("Film-Noir", "Horror", "IMAX", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War", "Western"),
)


@dataclass(frozen=True)
class Ratings:
    """`events` ratings in sessions, each of one user at some time of the twenty years.

    2,000,000 are about one session of each user, 20,000,000 are ten.
    """

    events: int
    seed: int = 7

    @property
    def kind(self) -> str:
        return f"{USERS:,} users, {FILMS:,} films, twenty years"

    def chunks(self) -> Iterator[Records]:
        """All records in time order, ROWS at a time."""
        chance = np.random.default_rng(self.seed)
        user, time_s = self._sessions(chance)
        weight = np.cumsum(np.arange(1, FILMS + 1) ** -POPULARITY)
        for first in range(0, self.events, ROWS):
            rows = slice(first, first + ROWS)
            count = len(user[rows])
            film = np.searchsorted(weight, chance.random(count) * weight[-1], "right").tolist()
            half = chance.integers(1, 11, count).tolist()
            keys = [b"%d" % number for number in user[rows].tolist()]
            begins = self._begins
            yield (
                keys,
                [
                    b'%b%b","timestamp":%d000,"rating":%.1f}' % (begins[f], key, t, h / 2)
                    for f, key, t, h in zip(film, keys, time_s[rows].tolist(), half, strict=True)
                ],
            )

    def _sessions(self, chance: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The user and the time of each rating, in time order."""
        lengths = chance.geometric(1 / SESSION, self.events)  # more than are needed, since each has one rating at least
        sessions = int(np.searchsorted(np.cumsum(lengths), self.events)) + 1
        session = np.repeat(np.arange(sessions), lengths[:sessions])[: self.events]
        users = np.concatenate([chance.permutation(USERS) + 1 for _ in range(-(-sessions // USERS))])
        apart_s = np.cumsum(chance.exponential(APART_S, self.events))
        first = np.searchsorted(session, np.arange(sessions))
        since_s = (apart_s - apart_s[first][session]).astype(np.int64)
        time_s = chance.integers(BEGIN_S, END_S - 86_400, sessions)[session] + since_s
        order = np.argsort(time_s, kind="stable")
        return users[session][order], time_s[order]

    @cached_property
    def _begins(self) -> list[bytes]:
        """The beginning of a record, by film, as `produce` makes it of MovieLens' files."""
        genre = np.random.default_rng(self.seed).integers(0, len(GENRES), FILMS).tolist()
        return [
            b'{"movie_id":"%d","title":"Film number %d (1994)","genre":"%b","user_id":"'
            % (number + 1, number + 1, GENRES[genre[number]].encode())
            for number in range(FILMS)
        ]
