"""Strings arrive at their places, and nothing around them changes."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.spans import Spans
from movie_stream.kernels.strings import copy_strings


@given(st.lists(st.integers(0, 60), min_size=1, max_size=20), st.randoms(use_true_random=False))
def test_copies_in_any_order(sizes: list[int], chance: object) -> None:
    strings = Spans.of([bytes([65 + number]) * size for number, size in enumerate(sizes)])
    order = np.array(chance.sample(range(len(sizes)), len(sizes)))  # type: ignore[attr-defined]
    places = np.empty(len(sizes), np.int64)
    places[order] = np.cumsum(strings.lengths[order]) - strings.lengths[order]
    out = np.zeros(sum(sizes), np.uint8)
    copy_strings(strings.text, strings.begins, strings.lengths, places, out)
    assert out.tobytes() == b"".join(strings[int(row)] or b"" for row in order)
