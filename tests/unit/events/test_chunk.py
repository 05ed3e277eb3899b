"""Chunks: their later part, with holes in the offsets or without."""

from __future__ import annotations

import numpy as np
import pytest

from movie_stream.columnar.spans import Spans
from movie_stream.events.chunk import Chunk, chunk_of


def test_a_chunk_without_holes() -> None:
    chunk = chunk_of(2, 5, [b"a", None], keys=[b"k", None])
    assert (chunk.partition, chunk.start, chunk.end, len(chunk)) == (2, 5, 7, 2)
    assert chunk.offsets.tolist() == [5, 6]
    assert chunk.times_ms.tolist() == [-1, -1]
    assert chunk_of(0, 0, [b"a"], [7]).times_ms.tolist() == [7]
    assert list(chunk_of(0, 0, [b"a"]).keys) == [None]


HOLES = Chunk(
    *(np.array([11, 14, 15]), np.array([1, 4, 5])),
    *(Spans.of([b"k", None, b"l"]), Spans.of([b"a", b"b", b"c"])),
    replays={14: b"of"},
    partition=0,
    start=10,
    end=20,
)


@pytest.mark.parametrize(
    ("position", "start", "values"),
    [
        (3, 10, [b"a", b"b", b"c"]),
        (10, 10, [b"a", b"b", b"c"]),
        (11, 11, [b"a", b"b", b"c"]),
        (12, 12, [b"b", b"c"]),
        (15, 15, [b"c"]),
        (16, 16, []),
        (20, 20, []),
        (25, 20, []),
    ],
)
def test_the_part_from_an_offset_on(position: int, start: int, values: list[bytes]) -> None:
    part = HOLES.since(position)
    assert (part.start, part.end, list(part.values)) == (start, 20, values)
    assert len(part.offsets) == len(part.times_ms) == len(part.keys) == len(values)
    assert part.replays == ({14: b"of"} if 14 in part.offsets else {})


def test_all_but_some_records() -> None:
    part = HOLES.without({11, 15})
    assert (part.start, part.end, part.offsets.tolist(), part.times_ms.tolist()) == (10, 20, [14], [4])
    assert (list(part.keys), list(part.values), part.replays) == ([None], [b"b"], {14: b"of"})
    assert HOLES.without({14}).replays == {}
    assert HOLES.without(()) is HOLES
