"""The schedule is smooth."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.kafka.produce.pace import MOST_BEHIND_SECONDS, SLICE_SECONDS, ConstantRate


@given(st.floats(0.1, 1e6), st.integers(1, 5_000))
def test_a_slice_is_short(rate: float, available: int) -> None:
    events = ConstantRate(rate, 0).slice_events(available)
    assert 1 <= events <= available
    assert events == 1 or events / rate <= SLICE_SECONDS


@given(st.floats(1, 1e5), st.lists(st.integers(1, 500), min_size=1, max_size=50))
def test_who_is_in_time_sends_at_the_rate(rate: float, slices: list[int]) -> None:
    pace, now, sent = ConstantRate(rate, 100.0), 100.0, 0
    for events in slices:
        now += pace.delay(events, now)
        assert now - 100.0 == pytest.approx(sent / rate, abs=1e-6)
        sent += events


def test_a_long_delay_is_not_made_up_for_by_a_burst() -> None:
    pace = ConstantRate(100, 0.0)
    late = [pace.delay(5, 60.0) for _ in range(20)]
    assert late.count(0.0) == round(MOST_BEHIND_SECONDS / SLICE_SECONDS) + 1
    assert sum(delay > 0 for delay in late) == 20 - late.count(0.0)


def test_without_a_rate_all_goes_at_once() -> None:
    pace = ConstantRate(0, 0.0)
    assert (pace.slice_events(5_000), pace.delay(5_000, 1.0)) == (5_000, 0.0)
