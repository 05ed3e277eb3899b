"""Sorting on disk gives what sorting in memory gives."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.spans import Spans
from movie_stream.replay.order import sorted_runs
from movie_stream.replay.order.sorted_runs import SortedRuns
from movie_stream.replay.records.csv_records import ViewChunk

Row = tuple[int, int, bytes | None, bytes | None]


def chunks_of(times: list[list[int]]) -> list[ViewChunk]:
    chunks, line = [], 2
    for part in times:
        lines = np.arange(line, line + len(part))
        texts = [b"%d" % number for number in lines.tolist()]
        chunks.append(
            ViewChunk(
                Spans.of([b"k" + text for text in texts]),
                Spans.of([b"value " + text * 20 for text in texts]),
                np.array(part, np.int64),
                lines,
                [],
            )
        )
        line += len(part)
    return chunks


def rows_of(chunk: ViewChunk) -> list[Row]:
    return list(zip(chunk.timestamp_ms.tolist(), chunk.lines.tolist(), chunk.keys, chunk.values, strict=True))


@given(
    st.lists(st.lists(st.integers(0, 9), max_size=12), max_size=30),
    st.integers(1, 20),
    st.integers(1, 5),
    st.integers(2, 4),
)
def test_all_rows_come_back_in_time_order_and_ties_in_the_order_of_the_file(
    times: list[list[int]], run_rows: int, block_rows: int, fan_in: int
) -> None:
    chunks = chunks_of(times)
    runs = SortedRuns(io.BytesIO(), run_rows, block_rows, fan_in)
    for chunk in chunks:
        runs.add(chunk)
    merged = [row for chunk in runs.merged() for row in rows_of(chunk)]
    assert merged == sorted((row for chunk in chunks for row in rows_of(chunk)), key=lambda row: row[:2])


def test_little_is_sorted_in_memory() -> None:
    file = io.BytesIO()
    runs = SortedRuns(file)
    for chunk in chunks_of([[3, 1], [2]]):
        runs.add(chunk)
    assert [row[0] for chunk in runs.merged() for row in rows_of(chunk)] == [1, 2, 3]
    assert file.getvalue() == b""


def test_long_records_make_a_run_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sorted_runs, "RUN_BYTES", 10)
    file = io.BytesIO()
    runs = SortedRuns(file)
    for chunk in chunks_of([[5, 4, 3, 2], [1]] * 2):
        runs.add(chunk)
    assert [row[0] for chunk in runs.merged() for row in rows_of(chunk)] == [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]
    assert file.getvalue()
