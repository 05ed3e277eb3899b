"""The naive reference itself, against figures worked out by hand from the text of the contract."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.reference import (
    A_VIEW,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    SKETCHES,
    BadRecord,
    Document,
    Documents,
    Rules,
    expected,
    parse,
    same,
    views,
)

Event = Mapping[str, object]

T = 1_730_385_000_000
"""2024-10-31T14:30:00Z, a Thursday."""


def documents(*events: Event, **rules: Any) -> Documents:
    return expected([views(*events)], Rules(**rules)).documents


def only(collection: dict[str, Document]) -> Document:
    (document,) = collection.values()
    return document


# ---- the event -------------------------------------------------------------------------------------------


def test_a_view_with_everything() -> None:
    view = parse(json.dumps({**A_VIEW, "rating": 4.5, "duration": 117, "price": 3.99, "more": [1]}).encode())
    assert (view.rating_micro, view.duration_min, view.price_micro) == (4_500_000, 117, 3_990_000)


def test_absent_and_null_are_the_same() -> None:
    assert parse(json.dumps({**A_VIEW, "rating": None, "duration": None, "price": None}).encode()) == parse(
        json.dumps(A_VIEW).encode()
    )


@pytest.mark.parametrize(
    ("fields", "rating_micro"),
    [
        ('"rating": 5', 5_000_000),
        ('"rating": 5e0', 5_000_000),
        ('"rating": -0.0', 0),
        ('"rating": 0.0000005', 0),
        ('"rating": 0.0000015', 2),
        ('"rating": 1, "rating": 2', 2_000_000),
    ],
)
def test_numbers_are_millionths_half_to_even(fields: str, rating_micro: int) -> None:
    assert parse(f"{json.dumps(A_VIEW)[:-1]}, {fields}}}".encode()).rating_micro == rating_micro


@pytest.mark.parametrize(
    "fields",
    [
        '"rating": 5.1',
        '"rating": -0.1',
        '"rating": "4.5"',
        '"rating": true',
        '"rating": NaN',
        '"rating": Infinity',
        '"rating": 1e400',
        '"duration": 30.0',
        '"duration": 3e1',
        '"duration": 1441',
        '"duration": -1',
        '"duration": false',
        '"price": 1000000000.1',
        '"price": []',
        '"timestamp": 0',
        '"timestamp": null',
        '"timestamp": "1730385000000"',
        '"timestamp": 1730385000000.0',
        '"timestamp": 253402214400000',
        f'"timestamp": {"9" * 5000}',
        '"movie_id": ""',
        '"movie_id": 7',
        '"user_id": null',
        f'"user_id": "{"u" * 129}"',
        f'"title": "{"t" * 513}"',
        '"title": "\\ud800"',
        '"genre": " \\u00a0\\t "',
        f'"genre": "{"g" * 65}"',
        '"genre": true',
        f'"more": {"[" * 200}{"]" * 200}',
        f'"more": {"[" * 100_000}{"]" * 100_000}',
        '"more": NaN',
    ],
)
def test_a_broken_rule(fields: str) -> None:
    with pytest.raises(BadRecord):
        parse(f"{json.dumps(A_VIEW)[:-1]}, {fields}}}".encode())


@pytest.mark.parametrize(
    "value",
    [
        None,
        b"",
        b"null",
        b"[1]",
        b"{",
        b"{}",
        json.dumps(A_VIEW).encode() + b"x",
        json.dumps({**A_VIEW, "title": "Am\u00e9lie"}, ensure_ascii=False).encode("latin-1"),
        *(json.dumps({k: v for k, v in A_VIEW.items() if k != field}).encode() for field in A_VIEW),
    ],
)
def test_an_invalid_view(value: bytes | None) -> None:
    with pytest.raises(BadRecord):
        parse(value)


def test_the_longest_that_is_allowed() -> None:
    fields = {
        "movie_id": "\U0001f3ac" * 128,
        "title": "t" * 512,
        "genre": f" {'g' * 64}\u2003",
        "user_id": "u" * 128,
    }
    value = json.dumps({**A_VIEW, **fields, "timestamp": 253_402_214_399_999, "price": 1e9, "duration": 1440})
    assert parse(value.encode()).price_micro == 10**15
    deep = "[" * 199 + "]" * 199
    assert parse(f'{json.dumps(A_VIEW)[:-1]}, "more": {deep}}}'.encode()).title == "Alien"


def test_the_future_is_measured_from_the_records_own_time() -> None:
    hour_ahead = {"timestamp": T + HOUR_MS}
    more_ahead = {"timestamp": T + HOUR_MS + 1}
    assert expected([views(hour_ahead, more_ahead, record_time_ms=T)]).dead_letters == {(0, 1, "bad")}
    assert expected([views(more_ahead, record_time_ms=-1)]).dead_letters == set()
    assert expected([views(more_ahead)]).dead_letters == set()


# ---- late ------------------------------------------------------------------------------------------------


def test_late_is_decided_record_by_record() -> None:
    outcome = expected(
        [
            views(
                {"timestamp": T},
                {"timestamp": T - DAY_MS},  # just in time
                {"timestamp": T - DAY_MS - 1},  # late
                {"timestamp": T + 10 * DAY_MS, "rating": 6},  # bad: moves no watermark
                {"timestamp": T - DAY_MS},  # so this is in time still
                {"timestamp": T + 2},
                {"timestamp": T - DAY_MS + 1},  # late now
                first_offset=100,
            )
        ]
    )
    assert outcome.dead_letters == {(0, 102, "late"), (0, 103, "bad"), (0, 106, "late")}
    assert only(outcome.documents["category_stats"])["total_views"] == 4


def test_a_late_record_moves_no_watermark_and_each_partition_has_its_own() -> None:
    outcome = expected([views({"timestamp": T}), [], views({"timestamp": T - 9 * DAY_MS}, {"timestamp": T})])
    assert outcome.dead_letters == set()
    shorter = expected([views({"timestamp": T}, {"timestamp": T - 1})], Rules(allowed_lateness_ms=0))
    assert shorter.dead_letters == {(0, 1, "late")}


# ---- by genre --------------------------------------------------------------------------------------------


def test_a_minute_window() -> None:
    result = documents(
        {"timestamp": T, "rating": 4.5, "duration": 100, "user_id": "a"},
        {"timestamp": T + 59_999, "rating": 3, "user_id": "a"},
        {"timestamp": T + 30_000, "duration": 7, "user_id": "b"},
        {"timestamp": T + 60_000},
        {"timestamp": T - 1},
    )["movies_aggregates"]
    assert set(result) == {f"sci-fi_2024-10-31T14:{minute}:00Z" for minute in (29, 30, 31)}
    assert result["sci-fi_2024-10-31T14:30:00Z"] == {
        "_id": "sci-fi_2024-10-31T14:30:00Z",
        "genre": "Sci-Fi",
        "slug": "sci-fi",
        "window_start": datetime(2024, 10, 31, 14, 30, tzinfo=UTC),
        "window_end": datetime(2024, 10, 31, 14, 31, tzinfo=UTC),
        "total_views": 3,
        "unique_users": 2,
        "rated_views": 2,
        "avg_rating": 3.75,
        "max_rating": 4.5,
        "min_rating": 3.0,
        "total_duration": 107,
    }


def test_nothing_rated_is_null() -> None:
    window = only(documents({})["movies_aggregates"])
    assert [window[field] for field in ("avg_rating", "max_rating", "min_rating")] == [None, None, None]
    assert window["total_duration"] == 0


def test_spellings_are_one_genre_shown_by_the_smallest_of_the_document() -> None:
    result = documents(
        {"genre": " sci  fi"}, {"genre": "Sci \u00a0 Fi"}, {"genre": "SCI FI", "timestamp": T + MINUTE_MS}
    )
    assert {name: window["genre"] for name, window in result["movies_aggregates"].items()} == {
        "sci fi_2024-10-31T14:30:00Z": "Sci Fi",
        "sci fi_2024-10-31T14:31:00Z": "SCI FI",
    }
    assert only(result["category_stats"])["genre"] == "SCI FI"
    assert set(result["daily_stats"]) == {"sci fi_2024-10-31"}


def test_genre_of_all_time() -> None:
    result = documents(
        {"timestamp": T, "price": 2.5, "rating": 1, "movie_id": "a"},
        {"timestamp": T - 100, "price": 0, "rating": 2, "movie_id": "b"},
        {"timestamp": T - 200, "movie_id": "b"},
        revenue_per_view=0.25,
    )["category_stats"]
    assert result == {
        "genre_stats_sci-fi": {
            "_id": "genre_stats_sci-fi",
            "genre": "Sci-Fi",
            "slug": "sci-fi",
            "timestamp": datetime(2024, 10, 31, 14, 30, tzinfo=UTC),
            "total_views": 3,
            "unique_movies": 2,
            "unique_users": 1,
            "rated_views": 2,
            "avg_rating": 1.5,
            "total_revenue": 2.75,
            "peak_hour": "14:00",
        }
    }


def test_revenue_beyond_64_bits() -> None:
    many = documents(*({"price": 1e9} for _ in range(10_000)))
    assert 10_000 * 10**15 > 2**63
    assert only(many["category_stats"])["total_revenue"] == 1e13


def test_an_average_is_one_division_of_exact_sums() -> None:
    ratings = [0.1, 0.1, 0.1]
    assert sum(ratings) / 3 != 0.1
    result = documents(*({"rating": rating} for rating in ratings))
    assert only(result["hourly_metrics"])["avg_rating"] == 0.1


def test_peak_hour_is_the_earliest_of_the_fullest_in_the_time_zone() -> None:
    at_three_and_four = ({"timestamp": T + HOUR_MS}, {"timestamp": T + 2 * HOUR_MS}, {"timestamp": T})
    for timezone, hour in {"UTC": "14:00", "Asia/Kolkata": "20:00", "America/New_York": "10:00"}.items():
        assert only(documents(*at_three_and_four, timezone=timezone)["category_stats"])["peak_hour"] == hour
    # 19:30 and 00:30 the next day: 00 is the earlier hour of the day.
    across = ({"timestamp": T + 5 * HOUR_MS}, {"timestamp": T + 10 * HOUR_MS})
    assert only(documents(*across)["category_stats"])["peak_hour"] == "00:00"


def test_peak_hour_follows_summer_time() -> None:
    # Berlin leaves summer time on 2024-10-27 at 01:00Z: 00:30Z and 01:30Z are both 02:30 there.
    changed = 1_729_989_000_000
    both = ({"timestamp": changed}, {"timestamp": changed + HOUR_MS}, {"timestamp": changed - HOUR_MS})
    assert only(documents(*both, timezone="Europe/Berlin")["category_stats"])["peak_hour"] == "02:00"


def test_a_day_by_genre() -> None:
    result = documents(
        {"timestamp": T, "rating": 4, "duration": 10, "user_id": "a", "price": 2.5},
        {"timestamp": T + 9 * HOUR_MS, "duration": 5, "user_id": "b"},
        {"timestamp": T + 10 * HOUR_MS},
        revenue_per_view=0.5,
    )["daily_stats"]
    assert set(result) == {"sci-fi_2024-10-31", "sci-fi_2024-11-01"}
    assert result["sci-fi_2024-10-31"] == {
        "_id": "sci-fi_2024-10-31",
        "genre": "Sci-Fi",
        "slug": "sci-fi",
        "date": "2024-10-31",
        "timestamp": datetime(2024, 10, 31, tzinfo=UTC),
        "daily_views": 2,
        "unique_users": 2,
        "rated_views": 1,
        "avg_daily_rating": 4.0,
        "total_watch_time": 15,
        "daily_revenue": 3.0,
    }


def test_an_hour() -> None:
    result = documents(
        {"timestamp": T, "rating": 4, "duration": 10, "genre": "Crime"},
        {"timestamp": T + 30 * MINUTE_MS - 1, "user_id": "b", "rating": 3.5, "price": 0.25},
    )["hourly_metrics"]
    assert result == {
        "hourly_2024-10-31T14:00:00Z": {
            "_id": "hourly_2024-10-31T14:00:00Z",
            "timestamp": datetime(2024, 10, 31, 14, tzinfo=UTC),
            "total_views": 2,
            "unique_users": 2,
            "rated_views": 2,
            "avg_rating": 3.75,
            "total_duration": 10,
            "total_revenue": 0.25,
        }
    }


# ---- top lists -------------------------------------------------------------------------------------------


def test_top_movies_and_their_ties() -> None:
    films = [{"movie_id": f"m{n:02}", "title": f"Film {n}"} for n in range(12)]
    result = documents(*films, {"movie_id": "m11", "rating": 2}, {"movie_id": "m11", "rating": 5})["top_movies"]
    listed = result["top_movies_2024-10-31T14:00:00Z"]["top_movies"]
    sci_fi, unrated = {"genre": "Sci-Fi"}, {"rated_views": 0, "avg_rating": None}
    assert [film["movie_id"] for film in listed] == ["m11", *(f"m{n:02}" for n in range(9))]
    assert listed[0] == {"movie_id": "m11", "title": "Alien", **sci_fi, "views": 3, "rated_views": 2, "avg_rating": 3.5}
    assert listed[1] == {"movie_id": "m00", "title": "Film 0", **sci_fi, "views": 1, **unrated}


def test_top_movies_of_days_and_of_all_time() -> None:
    films = [{"movie_id": f"m{n:03}"} for n in range(102)]
    late = {"movie_id": "m101", "timestamp": T + 10 * HOUR_MS, "genre": "Crime", "title": "New", "rating": 1}
    result = documents(*films, late)
    days = result["top_movies_daily"]
    assert [(day["_id"], day["date"], len(day["top_movies"])) for day in days.values()] == [
        ("top_movies_2024-10-31", "2024-10-31", 100),
        ("top_movies_2024-11-01", "2024-11-01", 1),
    ]
    midnights = [datetime(2024, 10, 31, tzinfo=UTC), datetime(2024, 11, 1, tzinfo=UTC)]
    assert [day["timestamp"] for day in days.values()] == midnights
    of_all_time = only(result["top_movies_all_time"])
    assert of_all_time["_id"] == "top_movies_all_time"
    assert of_all_time["timestamp"] == datetime(2024, 11, 1, 0, 30, tzinfo=UTC)
    assert [film["movie_id"] for film in of_all_time["top_movies"]] == ["m101", *(f"m{n:03}" for n in range(99))]
    assert of_all_time["top_movies"][0] == {
        "movie_id": "m101",
        "title": "New",
        "genre": "Crime",
        "views": 2,
        "rated_views": 1,
        "avg_rating": 1.0,
    }


def test_title_and_genre_are_those_of_the_newest_view_in_the_hour() -> None:
    result = documents(
        {"title": "Newest B", "genre": " B  c", "timestamp": T + 5},
        {"title": "Newest A", "genre": "D", "timestamp": T + 5},
        {"title": "A older", "timestamp": T + 4},
        {"title": "Next hour", "timestamp": T + HOUR_MS},
    )["top_movies"]
    assert [hour["top_movies"][0]["title"] for hour in result.values()] == ["Newest A", "Next hour"]
    assert [hour["top_movies"][0]["genre"] for hour in result.values()] == ["B c", "Sci-Fi"]


def test_top_users_and_their_ties() -> None:
    result = documents(
        *({"user_id": f"u{n:02}", "duration": 3} for n in range(12)), {"user_id": "u11"}, {"user_id": "u11"}
    )["top_users"]
    assert set(result) == {"top_users_2024-10-31"}
    day = result["top_users_2024-10-31"]
    assert (day["date"], day["timestamp"]) == ("2024-10-31", datetime(2024, 10, 31, tzinfo=UTC))
    assert [user["user_id"] for user in day["top_users"]] == ["u11", *(f"u{n:02}" for n in range(9))]
    assert day["top_users"][0] == {"user_id": "u11", "watch_count": 3, "watch_time": 3}


# ---- users -----------------------------------------------------------------------------------------------


def day_of_users(*events: Event, day: str = "2024-10-31", **rules: Any) -> Document:
    document: Document = documents(*events, **rules)["active_users"][f"active_users_{day}"]
    return document


def test_users_of_a_day() -> None:
    events = (
        {"user_id": "a", "timestamp": T - DAY_MS},
        {"user_id": "a", "timestamp": T, "duration": 10},
        {"user_id": "b", "timestamp": T, "duration": 5},
        {"user_id": "b", "timestamp": T + 1},
    )
    assert day_of_users(*events) == {
        "_id": "active_users_2024-10-31",
        "date": "2024-10-31",
        "timestamp": datetime(2024, 10, 31, tzinfo=UTC),
        "total_users": 2,
        "new_users": 1,
        "returning_users": 1,
        "sessions": 2,
        "avg_session_duration": 7.5,
    }


def test_a_late_view_changes_a_past_day() -> None:
    events = ({"timestamp": T}, {"timestamp": T - DAY_MS})
    assert day_of_users(*events[:1])["new_users"] == 1
    assert day_of_users(*events)["new_users"] == 0
    assert day_of_users(*events)["returning_users"] == 1
    assert day_of_users(*events, day="2024-10-30")["new_users"] == 1


def test_a_dead_letter_is_no_first_view() -> None:
    assert day_of_users({"timestamp": T}, {"timestamp": T - 2 * DAY_MS})["new_users"] == 1


def minutes(at: float, duration: int | None = None) -> Event:
    return {"timestamp": T + round(at * MINUTE_MS), "duration": duration}


def average_session(*events: Event, **rules: Any) -> object:
    return day_of_users(*events, **rules)["avg_session_duration"]


def test_a_session_lasts_until_a_longer_pause_than_the_gap() -> None:
    assert average_session(minutes(0, 10), minutes(40, 5)) == 45  # starts 30 min after the end: joined
    assert average_session(minutes(0, 10), minutes(40.001, 5)) == 7.5  # two of 10 and 5
    assert average_session(minutes(0), minutes(30)) == 30
    assert average_session(minutes(0), minutes(6), session_gap_ms=5 * MINUTE_MS) == 0


def test_a_session_ends_at_the_furthest_end_not_the_last() -> None:
    assert average_session(minutes(0, 120), minutes(10, 1), minutes(149, 2)) == 151


def test_a_view_between_bridges_two_sessions() -> None:
    apart = (minutes(0, 10), minutes(80, 10))
    assert average_session(*apart) == 10
    assert average_session(*apart, minutes(35, 20)) == 90


def test_sessions_are_the_users_own() -> None:
    assert average_session({**minutes(0, 10), "user_id": "a"}, {**minutes(5, 20), "user_id": "b"}) == 15


def test_a_session_belongs_to_the_day_it_began_on() -> None:
    night = (minutes(9 * 60 + 20, 60), minutes(9 * 60 + 75))  # 23:50, an hour; and 00:45 on the next day
    result = documents(*night)["active_users"]
    assert result["active_users_2024-10-31"]["avg_session_duration"] == 60
    assert result["active_users_2024-11-01"]["avg_session_duration"] is None
    assert result["active_users_2024-11-01"]["total_users"] == 1


# ---- the whole -------------------------------------------------------------------------------------------


def test_an_empty_log_has_no_documents() -> None:
    outcome = expected([[], []])
    assert not any(outcome.documents.values())
    assert len(outcome.documents) == 10


def test_partitions_add_up() -> None:
    events: list[Event] = [{"user_id": f"u{n % 3}", "timestamp": T + n * 1000} for n in range(9)]
    spread = [views(*(event for event in events if event["user_id"] == f"u{n}")) for n in range(3)]
    spread_out, together = expected(spread).documents, expected([views(*events)]).documents
    quality = spread_out.pop("data_quality")
    assert {(one["partition"], one["records"]) for one in quality.values()} == {(0, 3), (1, 3), (2, 3)}
    assert [one["records"] for one in together.pop("data_quality").values()] == [9]
    assert spread_out == together


def test_same_says_what_differs() -> None:
    wanted = documents({"rating": 4})
    assert same(wanted, wanted) == []
    assert same({name: list(held.values()) for name, held in wanted.items()}, wanted) == []
    assert same({**wanted, "top_users": {}}, wanted) == ["top_users top_users_2024-10-31: missing"]
    assert same(wanted, {**wanted, "top_users": {}}) == ["top_users top_users_2024-10-31: not expected"]

    hour = {**only(wanted["hourly_metrics"]), "avg_rating": 4, "_rev": [1], "_run": 1, "more": None}
    del hour["total_views"]
    where = "hourly_metrics hourly_2024-10-31T14:00:00Z"
    assert same({**wanted, "hourly_metrics": {hour["_id"]: hour}}, wanted) == [
        f"{where} avg_rating: 4 is not 4.0",
        f"{where} more: not expected",
        f"{where} total_views: missing",
    ]


def test_same_allows_a_sketch_its_error_above_300_only() -> None:
    def with_users(count: int) -> Documents:
        hour = {**only(documents({})["hourly_metrics"]), "unique_users": count}
        return {"hourly_metrics": {hour["_id"]: hour}}

    assert same(with_users(300), with_users(300)) == []
    assert same(with_users(301), with_users(300)) != []
    assert same(with_users(1_045), with_users(1_000)) == []
    assert same(with_users(1_046), with_users(1_000)) != []
    assert SKETCHES["movies_aggregates", "unique_users"] == 0.017
