"""Local hours of whole columns, against zoneinfo record by record."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from movie_stream.aggregates import local_time
from movie_stream.aggregates.local_time import LocalHours
from movie_stream.events.contract import MAX_TIMESTAMP_MS
from tests.support.examples import examples

ZONES = ["UTC", "Etc/UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Monrovia"]
ZONES += ["Pacific/Apia", "Pacific/Kiritimati", "Europe/Dublin", "Africa/Casablanca", "America/Caracas"]


def wanted(zone: str, timestamp_ms: int) -> int:
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=timestamp_ms)).astimezone(ZoneInfo(zone)).hour


def ms(text: str) -> int:
    return (datetime.fromisoformat(text) - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


CHANGES = [
    ms("1972-01-07T00:44:30+00:00"),  # Africa/Monrovia: by 44 minutes and 30 seconds
    ms("2011-12-30T10:00:00+00:00"),  # Pacific/Apia: over the date line
    ms("2024-03-10T07:00:00+00:00"),
    ms("2024-04-06T15:00:00+00:00"),  # Australia/Lord_Howe: by half an hour
    ms("2024-11-03T06:00:00+00:00"),
    ms("2016-05-01T07:00:00+00:00"),
    ms("2450-03-13T07:00:00+00:00"),
]
times = (
    st.integers(1, MAX_TIMESTAMP_MS)
    | st.integers(1, ms("2040-01-01T00:00:00+00:00"))
    | st.builds(lambda change, by: change + by, st.sampled_from(CHANGES), st.integers(-4_000_000, 4_000_000))
    | st.sampled_from([1, MAX_TIMESTAMP_MS, *CHANGES, *(change - 1 for change in CHANGES)])
)


@settings(max_examples=examples(150))
@given(st.sampled_from(ZONES), st.lists(times, max_size=30), st.lists(times, max_size=5))
def test_hours_are_those_of_zoneinfo(zone: str, first: list[int], second: list[int]) -> None:
    hours = LocalHours(zone)
    for some in (first, second, first):
        assert hours.of(np.array(some, np.int64)).tolist() == [wanted(zone, each) for each in some]


@pytest.mark.parametrize("zone", ["Africa/Monrovia", "America/New_York", "Pacific/Apia"])
def test_each_minute_around_a_change(zone: str) -> None:
    column = np.array([change + minute * 60_000 + 30_000 for change in CHANGES for minute in range(-120, 120)])
    assert LocalHours(zone).of(column).tolist() == [wanted(zone, each) for each in column.tolist()]


def test_the_cache_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local_time, "_CACHED_BUCKETS", 3)
    column = np.arange(1, 40) * 3_600_000
    assert LocalHours("Asia/Kolkata").of(column).tolist() == [wanted("Asia/Kolkata", each) for each in column.tolist()]
