"""What accumulators hold things in; what they count is tested with the whole core."""

from __future__ import annotations

import numpy as np

from movie_stream.aggregates.accumulators import TextColumn


def text(number: int) -> str:
    """A string that is an object of its own each time."""
    return f"title {number}"


def test_equal_texts_are_held_once_and_those_of_no_row_not_for_long() -> None:
    column = TextColumn()
    column.grow(300)
    rows = np.arange(300)
    column.load(rows, [None, *(text(i % 3) for i in range(299))], rows)
    assert len({id(held) for held in column.values.tolist()}) == 4
    for at in range(0, 10_000, 300):
        fresh = [text(number) for number in range(at, at + 300)]
        column.load(rows, fresh, rows)
        assert column.values.tolist() == fresh
        assert len(column._once) <= 2 * 300 + 1_000 + 300
    column.keep(rows[:2])
    assert list(column._once) == column.values.tolist() == [text(9_900), text(9_901)]
