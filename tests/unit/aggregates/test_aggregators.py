"""What aggregators hold things in; what they count is tested with the whole core."""

from __future__ import annotations

import numpy as np

from movie_stream.aggregates.aggregators import NewestNames, NewestView, newest_of
from movie_stream.aggregates.vocabulary import Vocabulary


def test_columns_share_names_and_copy_only_picked_rows() -> None:
    words = Vocabulary()
    one, other = (NewestView().column(words, live=False) for _ in range(2))
    one.grow(2)
    titles, genres = words.titles.ids(["Alien", "Zulu"]), words.spellings.ids(["Drama", "Sci-Fi"])
    one.time_ms.values[:], one.title.ids.values[:], one.genre.ids.values[:] = [7, 9], titles, genres
    other.grow(3)
    other.load(np.array([2, 0]), one.export(np.array([0, 1])), np.array([1]))
    assert other.read(np.array([0])) == [NewestNames(9, "Zulu", "Sci-Fi")]
    assert other.title.ids.values.tolist() == [1, -1, -1]
    assert (len(words.titles), len(words.spellings)) == (2, 2)


def test_of_the_newest_views_the_smallest_title_and_the_smallest_genre() -> None:
    views = [NewestNames(1, "A", "a"), NewestNames(2, "B", "c"), NewestNames(2, "C", "b")]
    assert newest_of(views) == NewestNames(2, "B", "b")
