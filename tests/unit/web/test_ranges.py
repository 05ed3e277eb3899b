"""Times by RFC 3339, and ranges by the clock or by the stream."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.web.problems import Problem
from movie_stream.web.ranges import TimeRange, parse_time, resolved

NOW = datetime(2026, 11, 29, 6, 0, 30, 500, tzinfo=UTC)
NEWEST = datetime(2024, 10, 31, 14, 31, tzinfo=UTC)
OFFSETS = st.integers(-23 * 60, 23 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))


def choice(**given_: Any) -> dict[str, Any]:
    return {"since": None, "until": None, "last": None, "anchor": None, **given_}


async def meant(stream_time: datetime | None = NEWEST, **given_: Any) -> TimeRange:
    async def asked() -> datetime | None:
        return stream_time

    return await resolved(choice(**given_), NOW, asked)


@given(st.datetimes(datetime(2, 1, 1), datetime(9998, 12, 31), timezones=OFFSETS))
def test_a_time_is_that_of_python_rounded_up_to_a_millisecond(time: datetime) -> None:
    got = parse_time(time.isoformat())
    assert got.utcoffset() == timedelta()
    assert timedelta() <= got - time < timedelta(milliseconds=1)
    assert got.microsecond % 1_000 == 0


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2024-10-31T14:00:00Z", datetime(2024, 10, 31, 14, tzinfo=UTC)),
        ("2024-10-31t14:00:00z", datetime(2024, 10, 31, 14, tzinfo=UTC)),
        ("2024-10-31T15:00:00 01:00", datetime(2024, 10, 31, 14, tzinfo=UTC)),
        ("2024-10-31T14:00:00.000000001Z", datetime(2024, 10, 31, 14, 0, 0, 1_000, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
    ],
)
def test_ways_to_write_a_time(text: str, wanted: datetime) -> None:
    assert parse_time(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        *("", "now", "2h", "2024-10-31", "2024-10-31T14:00:00", "2024-10-31T14:00Z", "2024-02-30T00:00:00Z"),
        *(
            "9999-12-31T23:59:59-01:00",
            "0001-01-01T00:00:00+01:00",
            "9999-12-31T23:59:59.9999Z",
            "10000-01-01T00:00:00Z",
        ),
        *("2024-10-31T25:00:00Z", "2024-10-31T14:00:00+99:00", "٢٠٢٤-10-31T14:00:00Z", "2024-10-31T14:00:00Z\n"),
    ],
)
def test_other_texts_are_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="RFC 3339"):
        parse_time(text)


async def test_the_last_minutes_end_with_the_minute_that_it_is() -> None:
    end = datetime(2026, 11, 29, 6, 1, tzinfo=UTC)
    assert await meant(last="15min") == TimeRange(end - timedelta(minutes=15), end)
    assert await meant(last="15min", anchor="now") == TimeRange(end - timedelta(minutes=15), end)


async def test_the_stream_has_a_time_of_its_own() -> None:
    assert await meant(last="6h", anchor="stream") == TimeRange(NEWEST - timedelta(hours=6), NEWEST)
    assert (await meant(None, last="6h", anchor="stream")).until == datetime(2026, 11, 29, 6, 1, tzinfo=UTC)


async def test_all_time_and_what_is_not_said_has_no_bound() -> None:
    assert await meant(last="all") == await meant(last="all", anchor="stream") == await meant() == TimeRange()
    assert await meant(since=NOW) == TimeRange(NOW, None)
    assert await meant(since=NOW, until=NOW) == TimeRange(NOW, NOW)


@pytest.mark.parametrize(
    ("parameter", "contradiction"),
    [
        ("since", {"since": NOW, "until": NEWEST}),
        ("last", {"since": NOW, "last": "1h"}),
        ("last", {"until": NOW, "last": "all"}),
        ("anchor", {"anchor": "stream"}),
        ("anchor", {"anchor": "now", "since": NOW}),
    ],
)
async def test_contradictions_are_named(parameter: str, contradiction: dict[str, Any]) -> None:
    with pytest.raises(Problem) as caught:
        await meant(**contradiction)
    assert caught.value.status == 422
    assert [fault.parameter for fault in caught.value.errors] == [parameter]


def test_windows_that_a_range_touches() -> None:
    within = TimeRange(datetime(2024, 10, 31, 14, 20, tzinfo=UTC), NEWEST)
    touched = within.overlap_filter("timestamp", 3_600_000)
    assert touched == {"timestamp": {"$gte": datetime(2024, 10, 31, 14, tzinfo=UTC), "$lt": NEWEST}}
    assert TimeRange().overlap_filter("timestamp", 3_600_000) == {}
    assert TimeRange(datetime(1, 1, 1, tzinfo=UTC)).overlap_filter("t", 86_400_000)["t"]["$gte"].year == 1
