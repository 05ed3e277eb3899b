"""Faults among made-up views: the same in any chunks, as many as asked for, and refused each."""

import csv
import io
from collections import Counter
from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.events.event import decode
from movie_stream.replay.synthetic.damage import DAMAGES
from movie_stream.replay.synthetic.faults import ALLOWED, FaultyRows
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews, csv_lines, records

ALLOWED_MS = ALLOWED // timedelta(milliseconds=1)
SHARES = st.floats(0, 0.5)


def flat(views: SyntheticViews, chunk_rows: int) -> list[tuple[bytes, bytes]]:
    """Each view as a line of a CSV and as a record."""
    return [
        pair
        for rows in views.chunks(chunk_rows)
        for pair in zip(rows.lines(csv_lines), rows.lines(records), strict=True)
    ]


def whole(views: SyntheticViews) -> FaultyRows:
    """All the views in one chunk."""
    [rows] = views.chunks(views.count)
    return rows


@given(st.integers(0, 300), st.integers(-5, 2**70), st.integers(1, 400), SHARES, SHARES)
def test_they_are_the_same_in_any_chunks(count: int, seed: int, chunk_rows: int, late: float, bad: float) -> None:
    views = SyntheticViews(count=count, seed=seed, late=late, bad=bad)
    assert flat(views, chunk_rows) == flat(views, 1_000)


@given(st.integers(0, 200), st.integers(0, 99), SHARES, SHARES)
def test_the_others_are_as_without_faults(count: int, seed: int, late: float, bad: float) -> None:
    plain = flat(SyntheticViews(count=count, seed=seed), 100)
    faulty = flat(SyntheticViews(count=count, seed=seed, late=late, bad=bad), 100)
    assert len(plain) == len(faulty)
    rows = list(SyntheticViews(count=count, seed=seed, late=late, bad=bad).chunks(100))
    wrong = {100 * at + row for at, part in enumerate(rows) for row in (*part.late.tolist(), *part.damages)}
    assert {at for at, (one, other) in enumerate(zip(plain, faulty, strict=True)) if one != other} == wrong


@pytest.mark.parametrize(("late", "bad"), [(0.01, 0), (0, 0.01), (0.2, 0.3), (0.6, 0.4), (0, 1)])
def test_so_many_are_late_and_bad(late: float, bad: float) -> None:
    count = 50_000
    rows = whole(SyntheticViews(count=count, seed=1, late=late, bad=bad))
    for found, share in ((len(rows.late), late), (len(rows.damages), bad)):
        spread = (count * share * (1 - share)) ** 0.5
        assert abs(found - count * share) <= 5 * spread + count * max(0, late + bad - 0.95)
    assert set(rows.late.tolist()).isdisjoint(rows.damages)


def test_the_ways_to_spoil_a_view_take_turns() -> None:
    counts = Counter(damage.name for damage in whole(SyntheticViews(count=2_000, bad=0.05)).damages.values())
    assert len(counts) == len(DAMAGES)
    assert max(counts.values()) - min(counts.values()) <= 1


@given(st.integers(0, 2**32), st.booleans())
def test_each_spoilt_record_is_refused_and_no_other(seed: int, prices: bool) -> None:
    rows = whole(SyntheticViews(count=60, seed=seed, bad=0.5, prices=prices))
    refused = {refusal.index for refusal in decode(rows.lines(records), None, 0).refusals}
    assert refused == set(rows.damages)


@given(st.integers(0, 2**32))
def test_a_spoilt_line_spoils_no_other(seed: int) -> None:
    rows = whole(SyntheticViews(count=60, seed=seed, bad=0.5))
    lines = [line.decode("utf-8", "surrogateescape") for line in rows.lines(csv_lines)]
    parsed = list(csv.reader(io.StringIO("\n".join(lines), newline="")))
    good: list[Any] = [list(next(csv.reader([line]))) for line in lines]
    assert parsed == good


@given(
    st.integers(1_000, 3_000),  # of fewer, one may be the first of its partition
    st.integers(0, 99),
    st.sampled_from([timedelta(minutes=5), timedelta(days=2), timedelta(days=900)]),
)
def test_a_late_view_is_older_than_its_partition_allows(count: int, seed: int, span: timedelta) -> None:
    rows = whole(SyntheticViews(count=count, seed=seed, span=span, late=0.1)).rows
    late = set(whole(SyntheticViews(count=count, seed=seed, span=span, late=0.1)).late.tolist())
    partitions = partitions_of([user.encode() for user in rows.user_id], 3)
    newest = dict.fromkeys(range(3), 0)
    found = set()
    for row, (partition, timestamp_ms) in enumerate(zip(partitions.tolist(), rows.timestamp, strict=True)):
        if timestamp_ms < newest[partition] - ALLOWED_MS:
            found.add(row)
        newest[partition] = max(newest[partition], timestamp_ms)
    sparse = span / count > ALLOWED / 10  # then a view may be as late without being meant to be
    assert found >= late if sparse else found == late


def test_the_first_ones_come_in_time() -> None:
    assert whole(SyntheticViews(count=20_000, late=0.9)).late.min() >= 1_000
    assert np.array_equal(whole(SyntheticViews(count=10, late=1)).late, np.arange(5, 10))
