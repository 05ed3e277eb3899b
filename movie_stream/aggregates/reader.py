"""Decodes records into a batch of views: the plain ones are decoded already, the others are one by one."""

from __future__ import annotations

import numpy as np

from movie_stream.aggregates.batch import Batch
from movie_stream.aggregates.local_time import LocalHours
from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.events.chunk import Chunk
from movie_stream.events.contract import MISSING
from movie_stream.events.event import Refusal, columns_of, decode, is_ahead
from movie_stream.events.views import Views, placeholders


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
        self._vocabulary.bound_genres()
        views, valid, genres = self._plain(chunk)
        refusals: list[Refusal] = []
        rest = np.flatnonzero(~valid)
        if len(rest):
            decoded = decode(chunk.values.take(rest).tolist(), chunk.times_ms[rest], self._future_tolerance_ms)
            refusals = [Refusal(int(rest[refusal.index]), refusal.reason) for refusal in decoded.refusals]
            if decoded.views:
                others, rows = columns_of(decoded.views), rest[decoded.index]
                views, valid[rows] = views.put(rows, others), True
                genres[rows] = self._vocabulary.genre_ids(others.texts["genre"])
        rows = np.flatnonzero(valid)
        if len(rows) < len(chunk):
            views, genres = views.take(rows), genres[rows]
        return self._batch(chunk, rows, views, genres), refusals

    def add_users(self, batch: Batch) -> None:
        """Adds the numbers of the users of these views; new users get new ones."""
        batch.ids["user_id"] = self._users.numbered(batch.names["user_id"])

    def _plain(self, chunk: Chunk) -> tuple[Views, Bools, Ints]:
        """The views of the plain records, the mask of the valid ones, and the numbers of their genres; rows outside the
        mask hold placeholders.
        """
        genres = np.zeros(len(chunk), np.int64)
        if chunk.plain is None:
            return placeholders(len(chunk)), np.zeros(len(chunk), np.bool_), genres
        views, plain = chunk.plain
        valid = plain & ~is_ahead(views.timestamp_ms, chunk.times_ms, self._future_tolerance_ms)
        rows = slice(None) if valid.all() else np.flatnonzero(valid)
        genres[rows], valid[rows] = self._vocabulary.look_up_genres(views.texts["genre"].take(rows))
        return views, valid, genres

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
