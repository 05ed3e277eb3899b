"""A column of cells is the same as strings and as bytes, whatever is in a cell."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.spans import Spans
from movie_stream.replay.files.cells import HALVES, Cells, has_any, on_one_buffer, spans_of

TEXTS = st.lists(st.text(st.sampled_from("aN\n é한\udc00\udcff\0"), max_size=5), max_size=8)


def cells_of(texts: list[str]) -> Cells:
    return Cells(Spans.of([text.encode("utf-8", HALVES) for text in texts]))


@given(TEXTS)
def test_strings_and_bytes(texts: list[str]) -> None:
    cells = cells_of(texts)
    assert list(cells) == texts == list(Cells(spans_of(texts)))
    assert [cells[row] for row in range(len(cells))] == texts
    assert spans_of(cells) is cells.spans
    assert list(cells.where(np.array(["a" in text for text in texts], np.bool_))) == [t for t in texts if "a" in t]


@given(TEXTS, st.frozensets(st.text(st.sampled_from("aNé"), min_size=1, max_size=2), min_size=1))
def test_words_are_found(texts: list[str], words: frozenset[str]) -> None:
    assert has_any(texts, words) is has_any(cells_of(texts), words) is bool(words & set(texts))


@given(TEXTS, TEXTS)
def test_columns_of_several_buffers(one: list[str], other: list[str]) -> None:
    cells = cells_of(one)
    columns = on_one_buffer([cells.spans, spans_of(other), cells.spans])
    assert len({id(column.text) for column in columns}) == 1
    assert [list(Cells(column)) for column in columns] == [one, other, one]
