"""Up to when results are complete, held against a loop over minutes; and who is still."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from movie_stream.alerts.frontier import LIVE_WITHIN_MS, MINUTE_MS, Inactivity, complete_until, reached

HOUR_MS = 3_600_000
times = st.integers(0, 10).map(lambda minute: minute * MINUTE_MS // 2)
tables = st.dictionaries(st.integers(0, 2), st.dictionaries(st.integers(0, 2), times), max_size=3)


@given(tables, st.sets(st.integers(0, 2)))
def test_a_minute_is_complete_once_everybody_has_left_it_behind(
    watermarks: dict[int, dict[int, int]], quiet: set[int]
) -> None:
    found = complete_until(watermarks, 3, 3, quiet)

    def published(source: int, until_ms: int) -> bool:
        return all(watermarks.get(target, {}).get(source, -1) >= until_ms for target in range(3))

    active = {0, 1, 2} - quiet
    told = all(target in watermarks for target in range(3))
    whole = [minute * MINUTE_MS for minute in range(10)]
    if active:
        wanted = [minute for minute in whole if told and all(published(source, minute) for source in active)]
    else:
        wanted = [minute for minute in whole if told and any(published(source, minute) for source in range(3))]
    assert found == max(wanted, default=None)


def test_time_goes_on_by_the_clock_only_for_a_live_stream() -> None:
    at = {0: {0: HOUR_MS}}
    for moved_ms, wanted in ((HOUR_MS + LIVE_WITHIN_MS, 5 * HOUR_MS), (HOUR_MS + LIVE_WITHIN_MS + 1, HOUR_MS)):
        assert complete_until(at, 1, 1, {0}, 5 * HOUR_MS, moved_ms) == wanted
    assert complete_until(at, 1, 1, (), 5 * HOUR_MS, HOUR_MS) == HOUR_MS, "somebody is still counted"
    assert complete_until(at, 1, 1, {0}, HOUR_MS // 2, HOUR_MS) == HOUR_MS, "it never goes back"


def test_nothing_is_complete_before_it_is_over() -> None:
    ahead, now_ms = {0: {0: 2 * HOUR_MS, 1: HOUR_MS}}, HOUR_MS + 90_000
    assert complete_until(ahead, 2, 1, {1}, 0, HOUR_MS, now_ms) == HOUR_MS + MINUTE_MS, "the other one is idle"
    assert complete_until(ahead, 2, 1, {0, 1}, 0, HOUR_MS, now_ms) == HOUR_MS + MINUTE_MS, "all are idle"
    assert complete_until({0: {0: 2 * HOUR_MS}}, 1, 1, (), None, None, now_ms) == HOUR_MS + MINUTE_MS
    assert complete_until(ahead, 2, 1, (), 0, HOUR_MS, now_ms) == HOUR_MS, "who is behind holds up all"


def test_what_is_published_in_all_partitions() -> None:
    assert reached({0: {0: 5, 1: 7}, 1: {0: 6}}, 2, 2) == {0: 5, 1: None}


def test_who_has_not_moved_for_how_long() -> None:
    inactivity = Inactivity()
    assert inactivity.inactive_for(0, 100.0) == 0.0
    inactivity.look({0: {0: 1}}, 2, 100.0)
    inactivity.look({0: {0: 1, 1: 1}}, 2, 130.0)
    assert (inactivity.inactive_for(0, 140.0), inactivity.inactive_for(1, 140.0)) == (40.0, 10.0)
