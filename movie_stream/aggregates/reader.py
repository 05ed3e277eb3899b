"""Decodes records into a batch of views: vectorized if they have a known layout, else one by one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from movie_stream.aggregates.batch import Batch
from movie_stream.aggregates.local_time import LocalHours
from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.columnar.columns import Ints
from movie_stream.events.chunk import Chunk
from movie_stream.events.contract import MISSING
from movie_stream.events.event import Refusal, columns_of, decode, is_ahead
from movie_stream.events.layout import unread
from movie_stream.events.views import Views


class _Ids(NamedTuple):
    """The numbers of the strings of views."""

    movies: Ints
    titles: Ints
    genres: Ints
    users: Ints


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

        It adds no users, since a view may not count: see `add_users`.
        """
        batch, rest = self._by_layout(chunk)
        if not len(rest):
            return batch, []
        decoded = decode(chunk.values.take(rest).tolist(), chunk.times_ms[rest], self._future_tolerance_ms)
        refusals = [Refusal(int(rest[refusal.index]), refusal.reason) for refusal in decoded.refusals]
        if not decoded.views:
            return batch, refusals
        views, vocabulary = columns_of(decoded.views), self._vocabulary
        ids = _Ids(
            vocabulary.movies.numbered(views.texts["movie_id"]),
            vocabulary.titles.numbered(views.texts["title"]),
            vocabulary.genre_ids(views.texts["genre"]),
            self._users.find(views.texts["user_id"]),
        )
        batch = batch.concat(self._batch(chunk, rest[decoded.index], views, ids))
        return batch.take(np.argsort(batch.index, kind="stable")), refusals

    def add_users(self, batch: Batch) -> None:
        """Adds the users of these views."""
        batch.ids["user_id"] = self._users.add(batch.user_names, batch.ids["user_id"])

    def _by_layout(self, chunk: Chunk) -> tuple[Batch, Ints]:
        """The views that their layout decodes unambiguously, and the indices of the other records."""
        views, read = chunk.by_layout or unread(chunk.values)
        read = read & ~is_ahead(views.timestamp_ms, chunk.times_ms, self._future_tolerance_ms)
        rows = np.flatnonzero(read)
        if len(rows) < len(read):
            views = views.take(rows)
        users, usable = self._users.look_up(views.texts["user_id"])
        movies, known = self._vocabulary.movies.look_up(views.texts["movie_id"])
        usable &= known
        titles, known = self._vocabulary.titles.look_up(views.texts["title"])
        usable &= known
        genres, known = self._vocabulary.look_up_genres(views.texts["genre"])
        usable &= known
        ids = _Ids(movies, titles, genres, users)
        if not usable.all():
            read[rows[~usable]] = False
            rows, views, ids = rows[usable], views.take(usable), _Ids(*(column[usable] for column in ids))
        ids = ids._replace(
            movies=self._vocabulary.movies.add(views.texts["movie_id"], ids.movies),
            titles=self._vocabulary.titles.add(views.texts["title"], ids.titles),
        )
        return self._batch(chunk, rows, views, ids), np.flatnonzero(~read)

    def _batch(self, chunk: Chunk, rows: Ints, views: Views, ids: _Ids) -> Batch:
        """The views of these rows of a chunk."""
        spelling, slug = self._vocabulary.genres(ids.genres)
        price = views.numbers["price"]
        return Batch(
            vocabulary=self._vocabulary,
            users=self._users,
            index=rows,
            offset=chunk.offsets[rows],
            timestamp_ms=views.timestamp_ms,
            local_hour=self._hours.of(views.timestamp_ms),
            ids={
                "genre": slug,
                "spelling": spelling,
                "movie_id": ids.movies,
                "title": ids.titles,
                "user_id": ids.users,
            },
            user_names=views.texts["user_id"],
            numbers={
                "rating": views.numbers["rating"],
                "duration": views.numbers["duration"],
                "price": price,
                "revenue": np.where(price == MISSING, self._revenue_per_view_micro, price),
            },
        )
