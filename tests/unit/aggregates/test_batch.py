"""The groups of a batch against dictionaries of lists, figure by figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.aggregates.aggregators import NewestView, ViewsByHour
from movie_stream.aggregates.batch import Batch, GroupedBatch
from movie_stream.aggregates.vocabulary import Names, Vocabulary
from movie_stream.aggregates.window import ALL_TIME, DAY, HOUR, Window
from movie_stream.columnar.spans import Spans
from movie_stream.events.contract import MISSING
from movie_stream.kernels.grouping import group_views

LARGEST = np.iinfo(np.int64).max


class View(NamedTuple):
    time_ms: int
    key: int
    title: str
    spelling: str
    price: int


views = st.builds(
    View,
    st.integers(1, 4).map(lambda hour: 1_730_332_800_000 + hour * 1_800_000) | st.integers(1, 253_402_214_399_999),
    st.integers(0, 3) | st.sampled_from([65_535, 65_536, 2**31 - 1]),
    st.sampled_from(["Alien", "Zulu", "alien", "\uffff", "\U00010000"]),
    st.sampled_from(["Drama", "drama", "DRAMA"]),
    st.just(MISSING) | st.integers(0, 10**15) | st.sampled_from([0, 2**32 - 1, 2**32]),
)


def batch_of(some: Sequence[View]) -> Batch:
    words, users = Vocabulary(), Names()
    of_user = [str(view.key) for view in some]
    times, keys, prices = (np.array([view[at] for view in some], np.int64) for at in (0, 1, 4))
    return Batch(
        words,
        np.arange(len(some)),
        np.arange(len(some)) * 2 + 5,
        times,
        times % 24,
        {
            "key": keys,
            "movie_id": words.movies.ids([view.title for view in some]),
            "title": words.titles.ids([view.title for view in some]),
            "spelling": words.spellings.ids([view.spelling for view in some]),
            "user_id": users.ids(of_user),
        },
        {
            "movie_id": Spans.of([view.title.encode() for view in some]),
            "user_id": Spans.of([user.encode() for user in of_user]),
        },
        {"price": prices},
    )


@given(st.lists(views, min_size=1, max_size=40), st.sampled_from([HOUR, DAY, ALL_TIME]), st.booleans())
def test_every_figure_of_every_group(some: list[View], window: Window, by_key: bool) -> None:
    batch = batch_of(some)
    grouped = GroupedBatch(batch, window, "key" if by_key else None)
    groups: dict[tuple[int, int], list[int]] = {}
    for row, view in enumerate(some):
        start = 0 if window.length_ms is None else view.time_ms - view.time_ms % window.length_ms
        groups.setdefault((start, view.key if by_key else 0), []).append(row)
    rows = list(groups.values())
    assert list(zip(grouped.starts.tolist(), grouped.keys.tolist(), strict=True)) == list(groups)
    assert (len(grouped), grouped.counts.tolist()) == (len(rows), [*map(len, rows)])
    assert [np.flatnonzero(grouped.group_of == at).tolist() for at in range(len(grouped))] == rows
    assert grouped.label.tolist() == [group[-1] * 2 + 5 for group in rows]
    assert grouped.newest.tolist() == [max(some[row].time_ms for row in group) for group in rows]
    assert grouped.tally(np.arange(0, len(some), 2)).tolist() == [sum(row % 2 == 0 for row in of) for of in rows]
    assert batch.vocabulary.spellings.texts(grouped.spelling) == [min(some[r].spelling for r in of) for of in rows]
    titles = NewestView().column(batch.vocabulary, live=True)
    titles.grow(len(rows) + 1)
    for _ in range(2):  # the second time they are those held
        NewestView().update(titles, np.arange(len(rows)) + 1, grouped)
        newest = [
            [some[row] for row in group if some[row].time_ms == time]
            for group, time in zip(rows, grouped.newest.tolist(), strict=True)
        ]
        at = np.arange(len(rows)) + 1
        assert titles.time_ms.values[at].tolist() == [of[0].time_ms for of in newest]
        assert titles.title.names.texts(titles.title.ids.values[at]) == [min(v.title for v in of) for of in newest]
        assert titles.genre.names.texts(titles.genre.ids.values[at]) == [min(v.spelling for v in of) for of in newest]
    hours = ViewsByHour().column(batch.vocabulary, live=True)
    hours.grow(len(rows))
    ViewsByHour().update(hours, np.arange(len(rows))[::-1].copy(), grouped)
    assert hours.values[::-1].tolist() == [
        [sum(some[row].time_ms % 24 == hour for row in group) for hour in range(24)] for group in rows
    ]
    prices = [[some[row].price for row in group if some[row].price != MISSING] for group in rows]
    for _ in range(2):  # the second time they are remembered
        assert grouped.sum("price").tolist() == [*map(sum, prices)]
        high, low = (half.tolist() for half in grouped.wide_sum("price"))
        assert [(upper << 32) + lower for upper, lower in zip(high, low, strict=True)] == [*map(sum, prices)]
        assert grouped.count("price").tolist() == [*map(len, prices)]
        assert grouped.largest("price").tolist() == [max(of, default=MISSING) for of in prices]
        assert grouped.smallest("price").tolist() == [min(of, default=LARGEST) for of in prices]


def test_nobody_can_choose_windows_that_collide() -> None:
    """By another secret they are at other places of the table; the groups are the same."""
    times_ms, keys, tables = np.arange(100) * 60_000, np.zeros(100, np.int64), list[list[int]]()
    for secret in np.random.default_rng(7).integers(0, 2**64, (2, 3), np.uint64) | np.uint64(1):
        table, groups, group_of = np.full(256, -1, np.int32), np.empty((4, 100), np.int64), np.empty(100, np.int64)
        assert group_views(times_ms, keys, 60_000, secret, table, groups, group_of) == 100
        assert group_of.tolist() == [*range(100)]
        tables.append(table.tolist())
    assert tables[0] != tables[1]
