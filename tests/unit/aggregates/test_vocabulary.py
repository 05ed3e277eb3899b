"""Names by code points, and how genres are dropped."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates import vocabulary
from movie_stream.aggregates.vocabulary import Names, Spellings, Vocabulary
from movie_stream.columnar.spans import Spans
from movie_stream.events.event import display_form

names = st.lists(st.text(max_size=14) | st.sampled_from(["\uffff", "\U00010000"]), max_size=12)


@given(st.lists(names, max_size=5))
def test_spellings_are_ranked_by_code_points(rounds: list[list[str]]) -> None:
    spellings = Spellings()
    for some in rounds:
        ids = spellings.ids(some)
        ordered = spellings.texts(spellings.by_rank)
        assert ordered == sorted(ordered)
        assert spellings.texts(spellings.by_rank[spellings.rank[ids]]) == some


genres = st.sampled_from(
    ["Drama", " drama ", "Film  Noir", "film noir", "\u2003Noir", "\u00c9t\u00e9", " ", "\u2003", ""]
)


@given(st.lists(st.tuples(st.lists(genres, max_size=6), st.booleans()), max_size=8))
def test_genres_keep_their_meaning_whatever_is_forgotten(rounds: list[tuple[list[str], bool]]) -> None:
    words = Vocabulary()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "GENRES_KEPT", 2)
        for some, one_by_one in rounds:
            words.bound_genres()
            found, usable = words.look_up_genres(Spans.of([genre.encode() for genre in some]))
            assert usable.tolist() == [display_form(genre) is not None for genre in some]
            good = [genre for genre, one in zip(some, usable.tolist(), strict=True) if one]
            ids = words.genre_ids(Spans.of([genre.encode() for genre in good])) if one_by_one else found[usable]
            assert ids.tolist() == found[usable].tolist()
            spelling, slug = words.genres(ids)
            shown = [" ".join(genre.split()) for genre in good]
            assert words.spellings.texts(spelling) == shown
            assert words.slugs.texts(slug) == [genre.lower() for genre in shown]


def test_the_smaller_of_two_names() -> None:
    known = Names()
    one, other = known.ids(["\uffff", "\U00010000"]).tolist()
    assert known.smaller(one, other) == known.smaller(other, one) == one, "by code points, not by UTF-16"
