"""Decodes records into a batch of views: the plain ones are decoded already, the others are one by one."""

from __future__ import annotations

import numpy as np

from movie_stream.aggregates.batch import Batch
from movie_stream.aggregates.local_time import LocalHours
from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.columnar.columns import Ints
from movie_stream.events.chunk import Chunk
from movie_stream.events.contract import MISSING
from movie_stream.events.event import Refusal, columns_of, decode, is_ahead
from movie_stream.events.views import Views


class Reader:
    """Reads the records of one partition."""

    def __init__(
        self,
        vocabulary: Vocabulary,
        users: Names,
        hours: LocalHours,
        future_tolerance_ms: int,
        revenue_per_view_micro: int,
    ) -> None:
        self._vocabulary, self._users, self._hours = vocabulary, users, hours
        self._future_tolerance_ms, self._revenue_per_view_micro = future_tolerance_ms, revenue_per_view_micro

    def read(self, chunk: Chunk) -> tuple[Batch, list[Refusal]]:
        """The valid views among the records, in log order, and the refusals, by index in the chunk.

        Their users have no numbers yet, since a view may not count: see `add_users`.
        """
        views, rows, genres = self._plain(chunk)
        refusals: list[Refusal] = []
        if len(rows) < len(chunk):
            rest = np.flatnonzero(~np.isin(np.arange(len(chunk)), rows))
            decoded = decode(chunk.values.take(rest).tolist(), chunk.times_ms[rest], self._future_tolerance_ms)
            refusals = [Refusal(int(rest[refusal.index]), refusal.reason) for refusal in decoded.refusals]
            if decoded.views:
                others = columns_of(decoded.views)
                rows = np.concatenate([rows, rest[decoded.index]])
                genres = np.concatenate([genres, self._vocabulary.genre_ids(others.texts["genre"])])
                order = np.argsort(rows, kind="stable")
                views, rows, genres = views.concat(others).take(order), rows[order], genres[order]
        return self._batch(chunk, rows, views, genres), refusals

    def add_users(self, batch: Batch) -> None:
        """Adds the numbers of the users of these views; new users get new ones."""
        batch.ids["user_id"] = self._users.numbered(batch.names["user_id"])

    def _plain(self, chunk: Chunk) -> tuple[Views, Ints, Ints]:
        """The valid views among the plain records, their indices in the chunk, and the numbers of their genres."""
        if chunk.plain is None:
            return columns_of([]), np.zeros(0, np.int64), np.zeros(0, np.int64)
        views, plain = chunk.plain
        rows = np.flatnonzero(plain & ~is_ahead(views.timestamp_ms, chunk.times_ms, self._future_tolerance_ms))
        if len(rows) < len(plain):
            views = views.take(rows)
        genres, valid = self._vocabulary.look_up_genres(views.texts["genre"])
        return (views, rows, genres) if valid.all() else (views.take(valid), rows[valid], genres[valid])

    def _batch(self, chunk: Chunk, rows: Ints, views: Views, genres: Ints) -> Batch:
        """The views of these rows of a chunk."""
        spelling, slug = self._vocabulary.genres(genres)
        price = views.numbers["price"]
        return Batch(
            vocabulary=self._vocabulary,
            index=rows,
            offset=chunk.offsets[rows],
            timestamp_ms=views.timestamp_ms,
            local_hour=self._hours.of(views.timestamp_ms),
            ids={
                "genre": slug,
                "spelling": spelling,
                "movie_id": self._vocabulary.movies.numbered(views.texts["movie_id"]),
                "title": self._vocabulary.titles.numbered(views.texts["title"]),
            },
            names={name: views.texts[name] for name in ("movie_id", "user_id")},
            numbers={
                "rating": views.numbers["rating"],
                "duration": views.numbers["duration"],
                "price": price,
                "revenue": np.where(price == MISSING, self._revenue_per_view_micro, price),
            },
        )
