"""Records become views whose strings are numbers: by their layout where they have one, else one by one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.columnar.spans import Spans
from movie_stream.events.chunk import Chunk
from movie_stream.events.event import Decoded, Refusal, decode, is_ahead
from movie_stream.events.layout import unread


@dataclass(frozen=True)
class Views:
    """The valid records of a chunk as columns of equal length, in the order of the log."""

    index: Ints
    """Where each record stands in its chunk."""
    ids: dict[str, Ints]
    """movie_id, title and genre (as it came): numbers in the vocabulary."""
    users: Spans
    user_ids: Ints
    """Their numbers, -1 where one is not known: nobody becomes known by a view that does not count."""
    timestamp_ms: Ints
    numbers: dict[str, Ints]
    """rating and price in millionths, duration in minutes; MISSING where there is none."""

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: Ints | Bools) -> Views:
        """These rows, in this order."""
        return Views(
            self.index[rows],
            {name: ids[rows] for name, ids in self.ids.items()},
            self.users.take(rows),
            self.user_ids[rows],
            self.timestamp_ms[rows],
            {name: number[rows] for name, number in self.numbers.items()},
        )

    def and_then(self, others: Views) -> Views:
        """These views and then the others."""
        return Views(
            np.concatenate([self.index, others.index]),
            {name: np.concatenate([ids, others.ids[name]]) for name, ids in self.ids.items()},
            self.users.and_then(others.users),
            np.concatenate([self.user_ids, others.user_ids]),
            np.concatenate([self.timestamp_ms, others.timestamp_ms]),
            {name: np.concatenate([number, others.numbers[name]]) for name, number in self.numbers.items()},
        )


class Reader:
    """Reads the records of one partition."""

    def __init__(self, vocabulary: Vocabulary, users: Names, future_tolerance_ms: int) -> None:
        self._vocabulary, self._users, self._future_tolerance_ms = vocabulary, users, future_tolerance_ms

    def read(self, chunk: Chunk) -> tuple[Views, list[Refusal]]:
        """The views among the records; and what is refused, by its index in the chunk."""
        views, rest = self._by_layout(chunk)
        if not len(rest):
            return views, []
        decoded = decode(chunk.values.take(rest).tolist(), chunk.times_ms[rest], self._future_tolerance_ms)
        refusals = [Refusal(int(rest[refusal.index]), refusal.reason) for refusal in decoded.refusals]
        if not len(decoded.views):
            return views, refusals
        views = views.and_then(self._one_by_one(decoded, rest))
        return views.take(np.argsort(views.index, kind="stable")), refusals

    def users_of(self, views: Views) -> Ints:
        """The number of each view's user, who is known from now on."""
        return self._users.add(views.users, views.user_ids)

    def _by_layout(self, chunk: Chunk) -> tuple[Views, Ints]:
        """What can be read so without doubt, and the indices of the other records."""
        columns, read = chunk.by_layout or unread(chunk.values)
        read = read & ~is_ahead(columns.timestamp_ms, chunk.times_ms, self._future_tolerance_ms)
        rows = np.flatnonzero(read)
        if len(rows) < len(read):
            columns = columns.take(rows)
        texts = columns.texts
        users, usable = self._users.look_up(texts["user_id"])
        movies, known = self._vocabulary.movies.look_up(texts["movie_id"])
        usable &= known
        titles, known = self._vocabulary.titles.look_up(texts["title"])
        usable &= known
        genres, known = self._vocabulary.look_up_genres(texts["genre"])
        usable &= known
        ids = {"movie_id": movies, "title": titles, "genre": genres}
        views = Views(rows, ids, texts["user_id"], users, columns.timestamp_ms, columns.numbers)
        if not usable.all():
            views = views.take(usable)
            texts = {name: text.take(usable) for name, text in texts.items()}
            read[rows[~usable]] = False
        views.ids["movie_id"] = self._vocabulary.movies.add(texts["movie_id"], views.ids["movie_id"])
        views.ids["title"] = self._vocabulary.titles.add(texts["title"], views.ids["title"])
        return views, np.flatnonzero(~read)

    def _one_by_one(self, decoded: Decoded, rest: Ints) -> Views:
        """Decoded views, of the records with these indices."""
        views, vocabulary = decoded.views, self._vocabulary
        users = Spans.of([user.encode() for user in views.user_id])
        return Views(
            rest[views.index],
            {
                "movie_id": vocabulary.movies.ids(views.movie_id),
                "title": vocabulary.titles.ids(views.title),
                "genre": vocabulary.genre_ids(views.genre),
            },
            users,
            self._users.find(users),
            views.timestamp_ms,
            {"rating": views.rating_micro, "duration": views.duration_min, "price": views.price_micro},
        )
