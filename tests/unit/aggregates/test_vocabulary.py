"""Names that texts of JSON are looked up in: which stand for themselves, and how genres are forgotten."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates import vocabulary
from movie_stream.aggregates.vocabulary import Names, Spellings, Vocabulary, usable_texts
from movie_stream.columnar.spans import Spans
from movie_stream.events.event import display_form
from tests.support.input.odd_records import STRINGS

LONGEST = 12
text = st.sampled_from(STRINGS) | st.binary(max_size=16) | st.text(max_size=16).map(lambda text: text.encode())
texts = st.lists(text.filter(lambda text: b'"' not in text), max_size=20)  # a quote would have ended it
names = st.lists(st.text(max_size=14) | st.sampled_from(["a\\b", "\\", '"', "\n", "\x7f", "\u00e9" * 12]), max_size=12)


def stands_for_itself(text: bytes) -> bool:
    """Whether JSON takes it, between quotes, as it is."""
    try:
        decoded = str(text, "utf-8")
        return 1 <= len(decoded) <= LONGEST and bool(json.loads(b'"' + text + b'"') == decoded)
    except ValueError:
        return False


@given(texts)
def test_usable_is_what_json_takes_as_it_is(some: list[bytes]) -> None:
    assert usable_texts(Spans.of(some), LONGEST).tolist() == [stands_for_itself(text) for text in some]


@given(st.lists(st.tuples(names, texts, st.booleans()), max_size=5))
def test_what_is_known_is_no_more_usable_for_it(rounds: list[tuple[list[str], list[bytes], bool]]) -> None:
    known = Names(LONGEST)
    for added, asked, restarted in rounds:
        known.ids(added)
        if restarted:
            known.restart(known.texts(np.arange(len(known)))[::2])
        asked = [*asked, *(name.encode() for name in added)]
        found, usable = known.look_up(Spans.of(asked))
        of = {name.encode(): number for number, name in enumerate(known.texts(np.arange(len(known))))}
        assert found.tolist() == [of.get(text, -1) for text in asked]
        plain = [(text, one) for text, one in zip(asked, usable.tolist(), strict=True) if b'"' not in text]
        assert [one for _, one in plain] == [stands_for_itself(text) for text, _ in plain]


@given(st.lists(names, max_size=5))
def test_spellings_are_ranked_by_code_points(rounds: list[list[str]]) -> None:
    spellings = Spellings()
    for some in rounds:
        ids = spellings.ids(some)
        ordered = spellings.texts(spellings.by_rank)
        assert ordered == sorted(ordered)
        assert spellings.texts(spellings.by_rank[spellings.rank[ids]]) == some


genres = st.sampled_from(
    ["Drama", " drama ", "Film  Noir", "film noir", "\u2003Noir", "\u00c9t\u00e9", " ", "", "x" * 65]
)


@given(st.lists(st.tuples(st.lists(genres, max_size=6), st.booleans()), max_size=8))
def test_genres_keep_their_meaning_whatever_is_forgotten(rounds: list[tuple[list[str], bool]]) -> None:
    words = Vocabulary()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vocabulary, "GENRES_KEPT", 2)
        for some, one_by_one in rounds:
            found, usable = words.look_up_genres(Spans.of([genre.encode() for genre in some]))
            assert usable.tolist() == [display_form(genre) is not None and len(genre) <= 64 for genre in some]
            good = [genre for genre, one in zip(some, usable.tolist(), strict=True) if one]
            ids = words.genre_ids(Spans.of([genre.encode() for genre in good])) if one_by_one else found[usable]
            assert ids.tolist() == found[usable].tolist()
            spelling, slug = words.genres(ids)
            shown = [" ".join(genre.split()) for genre in good]
            assert words.spellings.texts(spelling) == shown
            assert words.slugs.texts(slug) == [genre.lower() for genre in shown]


def test_the_smaller_of_two_names() -> None:
    known = Names(9)
    one, other = known.ids(["\uffff", "\U00010000"]).tolist()
    assert known.smaller(one, other) == known.smaller(other, one) == one, "by code points, not by UTF-16"
