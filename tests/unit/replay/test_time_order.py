"""The survey of a file's times agrees with one that keeps every row."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.replay.order.time_order import DAY_MS, FAR_DAYS, FarOff, TimeSurvey

YEAR = FAR_DAYS * DAY_MS
NOW = 1730383200000


def survey_of(*chunks: list[int]) -> TimeSurvey:
    survey = TimeSurvey()
    line = 2
    for chunk in chunks:
        survey.add(np.array(chunk, np.int64), np.arange(line, line + len(chunk)))
        line += len(chunk)
    return survey


def naive_far_lines(times: list[int]) -> list[int]:
    days = [time_ms // DAY_MS for time_ms in times]
    exceptions = max(len(days) // 1_000, min(3, len(days) // 4))
    usual_end = sorted(days)[len(days) - exceptions - 1] if days else 0
    return [2 + row for row, day in enumerate(days) if day > usual_end + FAR_DAYS]


@given(st.lists(st.lists(st.integers(0, 40).map(lambda n: NOW + n * 100 * DAY_MS))))
def test_the_survey_is_that_of_all_rows(chunks: list[list[int]]) -> None:
    times = [time_ms for chunk in chunks for time_ms in chunk]
    survey = survey_of(*chunks)
    far = naive_far_lines(times)
    assert survey.in_order == (times == sorted(times))
    assert survey.rows == len(times)
    far_off = survey.far_off()
    assert (far_off.rows, far_off.lines) == (len(far), far[:5]) if far_off else not far


def test_one_misdated_row_of_ten_is_found() -> None:
    far_off = survey_of([NOW] * 4 + [NOW + 2 * YEAR] + [NOW] * 5).far_off()
    assert far_off == FarOff(1, [6], np.datetime64("2024-10-31"))
    assert str(far_off).startswith("1 row lies more than a year after the rest, which ends on 2024-10-31 (line 6);")


def test_many_far_rows_are_counted_and_some_named() -> None:
    far_off = survey_of([NOW] * 10_000, [NOW + 2 * YEAR] * 9).far_off()
    assert str(far_off).startswith("9 rows lie more than a year after")
    assert "(lines 10002, 10003, 10004, 10005, 10006, ...)" in str(far_off)


@pytest.mark.parametrize("times", [[], [NOW], [NOW, NOW + 9 * YEAR], [NOW + i * YEAR // 12 for i in range(40)]])
def test_nothing_is_far_off(times: list[int]) -> None:
    assert survey_of(times).far_off() is None


def test_order_is_seen_across_chunks() -> None:
    assert survey_of([1, 2], [], [2, 3]).in_order
    assert not survey_of([1, 3], [], [2, 3]).in_order
