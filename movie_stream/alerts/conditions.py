"""Tests the condition of a rule at the windows of a subject. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Final

import numpy as np

from movie_stream.alerts.expectations import LIGHTS
from movie_stream.alerts.rules import (
    Beyond,
    BeyondUsual,
    Climbing,
    Condition,
    Direction,
    LightAtLeast,
    Quality,
    RatingFalling,
)
from movie_stream.alerts.series import Floats, Series
from movie_stream.columnar.columns import Bools, Ints

WEEK_MS: Final = 7 * 86_400_000
MAD_OF_NORMAL: Final = 1.4826
"""The ratio of the standard deviation to the median absolute deviation of a normal distribution."""
_CELLS_AT_ONCE: Final = 1_000_000
"""The most earlier figures that are looked up at a time."""


@dataclass(frozen=True, slots=True)
class Windows:
    """The windows to test: windows of one length of one subject."""

    starts: Ints
    length_ms: int
    series: Series
    first_ms: int
    """The start of the first window with data: earlier ones are unknown, not empty."""
    others: Series | None = None
    """For films: the views of the last entry of each hour's full list, an upper bound for films not listed."""


@dataclass(frozen=True, slots=True)
class Judged:
    """The outcome at each window."""

    holds: Bools
    value: Floats
    threshold: Floats
    usual: Floats | None = None
    """The usual value, for conditions that compare with one."""


@singledispatch
def judge(condition: Condition, windows: Windows) -> Judged:
    """Tests the condition at each window."""
    raise TypeError(f"no such condition: {condition!r}")


def lookback_ranges(condition: Condition, window_ms: int) -> list[tuple[int, int]]:
    """The earlier figures that a condition needs for a range of windows: each (shift, more) is the range moved back by
    `shift` ms, with its begin `more` ms earlier.
    """
    match condition:
        case BeyondUsual(weeks=weeks):
            return [(week * WEEK_MS, 0) for week in range(1, weeks + 1)]
        case RatingFalling(over=over) | Climbing(over=over):
            return [(0, over * window_ms)]
        case _:
            return []


@judge.register
def _(condition: Beyond, windows: Windows) -> Judged:
    value = windows.series.at("views", windows.starts)
    return _compared(value, condition.direction, condition.limit)


@judge.register
def _(condition: BeyondUsual, windows: Windows) -> Judged:
    views = windows.series.at("views", windows.starts)
    before = windows.starts - WEEK_MS * np.arange(1, condition.weeks + 1)[:, None]
    past = np.array([windows.series.at("views", starts) for starts in before])
    past[before < windows.first_ms] = np.nan
    known = np.count_nonzero(~np.isnan(past), axis=0) >= condition.min_weeks
    usual = _median(past)
    deviation = condition.spread * MAD_OF_NORMAL * _median(np.abs(past - usual))
    if condition.direction == "above":
        threshold = np.maximum(condition.multiple * usual, usual + deviation)
        holds = known & (views > threshold) & (views >= condition.at_least)
    else:
        threshold = np.minimum(condition.multiple * usual, usual - deviation)
        holds = known & (views < threshold) & (usual >= condition.at_least)
    return Judged(holds, views, threshold, usual)


@judge.register
def _(condition: RatingFalling, windows: Windows) -> Judged:
    series, starts = windows.series, windows.starts
    rated, total = series.at("rated", starts), series.at("rating_sum", starts)
    before = starts - windows.length_ms * np.arange(1, condition.over + 1)[:, None]
    rated_before = sum((series.at("rated", shifted) for shifted in before), np.zeros(len(starts)))
    total_before = sum((series.at("rating_sum", shifted) for shifted in before), np.zeros(len(starts)))
    enough = (rated >= condition.at_least) & (rated_before >= condition.at_least)
    value, usual = _average(total, rated), _average(total_before, rated_before)
    threshold = np.round(usual - condition.by, 6)
    return Judged(enough & (value <= threshold), value, threshold, usual)


@judge.register
def _(condition: Climbing, windows: Windows) -> Judged:
    series, starts = windows.series, windows.starts
    assert windows.others is not None, "films need the views of the last entry of each list"
    views, listed = series.at("views", starts), np.flatnonzero(series.has(starts))
    usual, known = np.full(len(starts), np.nan), np.zeros(len(starts), np.bool_)
    # A film can only climb in hours that list it: ten films an hour, of all films.
    for portion in np.array_split(listed, len(listed) * condition.over // _CELLS_AT_ONCE + 1):
        before = starts[portion] - windows.length_ms * np.arange(1, condition.over + 1)[:, None]
        past = np.where(series.has(before), series.at("views", before), windows.others.at("views", before))
        known[portion] = (before >= windows.first_ms).all(axis=0)
        usual[portion] = _median(past)
    threshold = condition.times * usual
    return Judged(known & (views > threshold) & (views >= condition.at_least), views, threshold, usual)


@judge.register
def _(condition: Quality, windows: Windows) -> Judged:
    value = windows.series.known(condition.field, windows.starts)
    if condition.share_of is not None:
        whole = windows.series.known(condition.share_of, windows.starts)
        value = np.round(np.divide(value, whole, out=np.full(len(value), np.nan), where=whole > 0), 6)
    return _compared(value, condition.direction, condition.limit)


@judge.register
def _(condition: LightAtLeast, windows: Windows) -> Judged:
    value = windows.series.known("light", windows.starts)
    worst = float(LIGHTS.index(condition.light))
    return Judged(value >= worst, value, np.full(len(value), worst))


def _compared(value: Floats, direction: Direction, limit: float) -> Judged:
    """Compares with a limit; unknown values (NaN) are neither above nor below."""
    return Judged(value > limit if direction == "above" else value < limit, value, np.full(len(value), limit))


def _median(rows: Floats) -> Floats:
    """The median of the known values of each column; 0 for columns without any, which are not used."""
    unknown = np.isnan(rows).all(axis=0)
    median: Floats = np.nanmedian(np.where(unknown, 0.0, rows), axis=0)
    return median


def _average(total: Floats, count: Floats) -> Floats:
    """The average, rounded so that the order of summation does not matter."""
    average: Floats = np.round(np.divide(total, count, out=np.full(len(total), np.nan), where=count > 0), 6)
    return average
