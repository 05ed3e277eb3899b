"""The steps of a series, and what a range is put together of, against naive references."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from movie_stream.web.figures import DAY_MS, HOUR_MS, MINUTE_MS, Figures
from movie_stream.web.rollup import parts
from movie_stream.web.series import MOST_POINTS, SERIES_STEPS, TREND_POINTS, TREND_STEPS, Axis

TIMES = st.integers(0, 200 * 365 * DAY_MS)
STEPS = st.sampled_from([None, MINUTE_MS, 5 * MINUTE_MS, HOUR_MS, 3 * HOUR_MS, DAY_MS, 7 * DAY_MS])
LENGTHS = {"minutes": MINUTE_MS, "hours": HOUR_MS, "days": DAY_MS}


@given(TIMES, st.integers(1, 400 * DAY_MS), st.integers(10, MOST_POINTS))
def test_the_finest_step_with_few_enough_points(start_ms: int, length_ms: int, points: int) -> None:
    axis = Axis.of(start_ms, start_ms + length_ms, SERIES_STEPS, points)
    last_ms = axis.first_ms + axis.count * axis.step_ms
    assert 1 <= axis.count <= points
    assert axis.first_ms % axis.step_ms == 0
    assert axis.first_ms <= start_ms < axis.first_ms + axis.step_ms
    assert last_ms - axis.step_ms < start_ms + length_ms <= last_ms
    finer = [step for step in SERIES_STEPS if step < axis.step_ms]
    assert all(-(-(start_ms + length_ms) // step) - start_ms // step > points for step in finer)


@given(TIMES, st.integers(1, 40 * 365 * DAY_MS))
def test_a_trend_has_few_points(start_ms: int, length_ms: int) -> None:
    axis = Axis.of(start_ms, start_ms + length_ms, TREND_STEPS, TREND_POINTS)
    assert 1 <= axis.count <= TREND_POINTS
    assert axis.first_ms <= start_ms
    assert start_ms + length_ms <= axis.first_ms + axis.count * axis.step_ms, "all of the range is shown"


@given(TIMES, st.integers(0, 40 * DAY_MS), STEPS)
def test_the_parts_are_the_range_and_lie_within_steps(start_ms: int, length_ms: int, step_ms: int | None) -> None:
    found = list(parts(start_ms, start_ms + length_ms, step_ms))
    ends = [start_ms, *(end for _, _, end in found)]
    assert [first for _, first, _ in found] == ends[:-1], "one begins where the one before ends"
    assert ends[-1] == start_ms + length_ms
    for kind, first, last in found:
        assert first < last
        if kind != "minutes":
            assert first % LENGTHS[kind] == last % LENGTHS[kind] == 0
            assert step_ms is None or step_ms % LENGTHS[kind] == 0
    assert len(found) <= 5


@given(
    st.lists(
        st.tuples(st.integers(0, 59), st.sampled_from("abc"), st.integers(0, 9), st.none() | st.integers(0, 5)),
        max_size=40,
    )
)
def test_totals_are_sums(given_rows: list[tuple[int, str, int, int | None]]) -> None:
    rows = [
        Figures(at * MINUTE_MS, slug, slug, views, rating is not None, (rating or 0) * 1_000_000, rating, rating)
        for at, slug, views, rating in given_rows
    ]
    axis = Axis(0, 5 * MINUTE_MS, 12)
    totals = axis.totals(rows)
    for step, total in enumerate(totals):
        within = [row for row in given_rows if row[0] // 5 == step]
        ratings = [rating for _, _, _, rating in within if rating is not None]
        assert total.views == sum(views for _, _, views, _ in within)
        assert total.avg_rating == (sum(ratings) / len(ratings) if ratings else None)
        assert (total.least, total.most) == (min(ratings, default=None), max(ratings, default=None))
        if ratings:  # and a part that is rated, of which nobody has kept them
            total.add(Figures(step * 5 * MINUTE_MS, "a", "a", 1, 1, 2_000_000))
            assert (total.least, total.most) == (None, None)
        total.add(Figures(step * 5 * MINUTE_MS, "a", "a", 1, 1, 3_000_000, 3.0, 3.0))
        assert (total.least, total.most) == ((None, None) if ratings else (3.0, 3.0))
    *lines, others = axis.views(rows, ["a", "b"])
    assert [sum(line) for line in (*lines, others)] == [
        sum(views for _, slug, views, _ in given_rows if slug == name) for name in "abc"
    ]
