"""What aggregators hold things in; what they count is tested with the whole core."""

from __future__ import annotations

import numpy as np

from movie_stream.aggregates.aggregators import NewestView, Part
from movie_stream.aggregates.vocabulary import Vocabulary


def test_columns_share_names_and_copy_only_picked_rows() -> None:
    words = Vocabulary()
    one, other = (NewestView().column(words, live=False) for _ in range(2))
    one.grow(2)
    titles, genres = words.titles.ids(["Alien", "Zulu"]), words.spellings.ids(["Drama", "Sci-Fi"])
    one.time_ms.values[:], one.title.ids.values[:], one.genre.ids.values[:] = [7, 9], titles, genres
    other.grow(3)
    other.load(np.array([2, 0]), one.export(np.array([0, 1])), np.array([1]))
    assert other.time_ms.values.tolist() == [9, -1, -1]
    assert (other.title.ids.values.tolist(), other.genre.ids.values.tolist()) == ([1, -1, -1], [1, -1, -1])
    assert (len(words.titles), len(words.spellings)) == (2, 2)


def test_of_the_newest_views_the_smallest_title_and_the_smallest_genre() -> None:
    words, parts = Vocabulary(), list[Part]()
    for time_ms, title, genre in ((1, "A", "a"), (2, "C", "b"), (2, "B", "c")):
        column = NewestView().column(words, live=False)
        column.grow(1)
        column.time_ms.values[0], column.title.ids.values[:] = time_ms, words.titles.ids([title])
        column.genre.ids.values[:] = words.spellings.ids([genre])
        parts.append(Part(column, np.array([0]), np.array([1])))
    parts.append(Part(parts[0].column, np.array([0]), np.array([0])))
    newest = NewestView().merge(parts, 2)
    assert (newest.title.tolist(), newest.genre.tolist()) == ([b"A", b"B"], [b"a", b"b"])
