"""`show` on real documents: tables that fit, JSON and CSV for programs, and words where there is nothing."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import Decimal128, ObjectId
from typer.testing import CliRunner

from movie_stream import cli
from movie_stream.aggregates import results
from movie_stream.aggregates.fields import Count, Date, Mean, Newest, Start, Title, Top
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.window import ALL_TIME, DAY
from movie_stream.commands.show.command import Choice, show
from movie_stream.embedded.launch import free_port
from movie_stream.errors import MongoUnreachable, UsageError
from movie_stream.mongo.client import opened
from movie_stream.mongo.query import SHORT_NAMES, result_named
from movie_stream.settings import Settings
from tests.support.reference import HOUR_MS, expected, views
from tests.support.stored import store

T = 1_730_385_000_000
NAMES = [result.collection for result in results.RESULTS]
ODD = '=1+1, "quoted"\nand more\u202e'
LONG = "The Incredibly Strange Creatures Who Stopped Living and Became Mixed-Up Zombies!!?"
EVENTS = (
    {"timestamp": T, "rating": 4.5, "duration": 117, "price": 1234567.891, "movie_id": "tt0078748"},
    {"timestamp": T + 100, "rating": 4, "user_id": "[red]ana[/red]"},
    {"timestamp": T + 200, "genre": "Comedy" * 10, "title": LONG, "movie_id": "m" * 128, "user_id": "u" * 128},
    {"timestamp": T - HOUR_MS, "genre": "Crime", "title": "Heat\x1b[2J", "movie_id": "tt0113277"},
    {"timestamp": T - 23 * HOUR_MS, "genre": "Crime", "duration": 170, "title": ODD},
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


async def _fill(settings: Settings, *events: dict[str, Any]) -> None:
    async with opened(settings) as db:
        await store(db, expected([[(-1, None, b"rubbish, without a time"), *views(*events)]]).documents)


@pytest.fixture
def filled(settings: Settings) -> Settings:
    asyncio.run(_fill(settings, *EVENTS))
    return settings


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def table(settings: Settings, capsys: pytest.CaptureFixture[str], what: str, **choice: Any) -> list[str]:
    show(settings, what=what, choice=Choice(**choice))
    return lines(capsys)


def cells(header: str, row: str, first: int = 1) -> dict[str, str]:
    """The cells by their headings, except for the first column, which has this number of words."""
    return dict(zip(header.replace("peak hour", "peak_hour").split()[1:], row.split()[first:], strict=True))


@pytest.mark.parametrize("width", [80, 40])
def test_a_table_fits(
    filled: Settings, width: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    for what in NAMES:
        printed = table(filled, capsys, what, limit=100)
        assert len(printed) >= 3
        assert max(map(len, printed)) <= width
        assert not any(char in "\x1b\r\x9b" for line in printed for char in line)
        assert any("UTC" in line for line in printed)


def test_windows_and_what_the_limit_leaves_out(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    title, header, row, more = table(filled, capsys, "windows", limit=1)
    assert title == "movies_aggregates by minute and genre, newest first (UTC)"
    assert header.startswith("minute            genre ")
    assert row.startswith("2024-10-31 14:30  Sci-Fi ")
    wanted = {"views": "2", "users": "2", "rating": "4.25", "best": "4.50", "worst": "4.00", "minutes": "117"}
    assert cells(header, row, 2).items() >= wanted.items()
    assert more == "1 shown, there are more; see --limit"
    assert len(table(filled, capsys, "windows", limit=4)) == 2 + 4


def test_genres_name_the_time_zone_of_the_peak_hour(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    printed = table(filled.model_copy(update={"timezone": "Asia/Kolkata"}), capsys, "genres")
    assert [line.split()[0] for line in printed[2:4]] == ["Crime", "Sci-Fi"]
    wanted = {
        "views": "2",
        "films": "2",
        "users": "2",
        "rating": "4.25",
        "revenue": "1,234,567.89",
        "peak_hour": "14:00",
    }
    assert cells(printed[1], printed[3]).items() >= wanted.items()
    assert "Asia/Kolkata" in printed[-1]


def test_top_movies_of_the_latest_hour_or_of_several(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    printed = table(filled, capsys, "top-movies")
    assert printed[0] == "top_movies of the hour 2024-10-31 14:00 UTC"
    assert (
        cells(printed[1], printed[2]).items()
        >= {"film": "m1", "title": "Alien", "views": "1", "rating": "4.00"}.items()
    )
    rank, film, title, *_, rating = printed[3].split()
    assert (rank, film[:9], film[-1], title, rating) == ("2", "m" * 9, "\u2026", "The", "-")
    assert printed[-1] == "1 hour shown, there are more; see --limit"

    printed = table(filled, capsys, "top_movies", limit=2)
    assert sum("of the hour" in line for line in printed) == 2
    assert any("Heat\ufffd[2J" in line for line in printed)


def test_text_is_no_markup(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    assert any("[red]ana[/red]" in line for line in table(filled, capsys, "top-users"))


def test_a_narrow_terminal_says_what_has_no_room(
    filled: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    printed = table(filled, capsys, "windows", limit=100)
    assert printed[2].split() == ["minute", "genre", "views", "users"]
    said = " ".join(" ".join(printed[-2:]).split())
    assert said.startswith("No room here for: ")
    assert said.endswith("rating, best, worst, minutes")


def test_by_genre_and_time(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = table(filled, capsys, "windows", genre=" crime", since="2024-10-31T15:00+02:00", until="2024-10-31 14:00")
    assert [line.split()[:3] for line in chosen[2:]] == [["2024-10-31", "13:30", "Crime"]]


def test_times_may_be_ages(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    now_ms = time.time_ns() // 1_000_000
    asyncio.run(_fill(settings, *({"timestamp": now_ms - hours * HOUR_MS} for hours in (1, 5, 20))))
    for since, until, hours in (("3h", None, 1), ("2d", "3h", 2), (None, "now", 3), ("600min", None, 2)):
        assert len(table(settings, capsys, "hours", since=since, until=until)) == 2 + hours, (since, until)


# ---- where there is nothing ------------------------------------------------------------------------------------------


def test_nothing_there_yet(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    for what in NAMES:
        no_collection, remedy = table(settings, capsys, what)
        assert no_collection == f"{settings.mongodb_database} has no collection {what} yet."
        assert remedy.endswith("movie-stream init")
        show(settings, what=what, json=True)
        assert lines(capsys) == ["[]"]
        show(settings, what=what, csv=True)
        assert len(lines(capsys)) == 1


def test_an_empty_collection_says_how_to_fill_it(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    async def make() -> None:
        async with opened(settings) as db:
            await db.create_collection("hourly_metrics")

    asyncio.run(make())
    empty, remedy = table(settings, capsys, "hours", since="2h")
    assert empty == f"Nothing in hourly_metrics of {settings.mongodb_database} yet."
    assert "movie-stream worker" in remedy


def test_nothing_of_a_genre_or_time_says_what_there_is(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    *nothing, newest, genres = table(filled, capsys, "days", genre="No\x1b[2J", until="2024-10-31T02:00+02:00")
    assert " ".join(" ".join(nothing).split()).endswith(
        " of the genre 'No\\x1b[2J' that starts before 2024-10-31 00:00 UTC."
    )
    assert newest == "The newest is of the day 2024-10-31 UTC."
    assert genres.endswith("movie-stream show genres")


# ---- for programs ----------------------------------------------------------------------------------------------------


def test_json_is_one_array_of_documents_with_iso_dates(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled, what="active-users", json=True)
    (line,) = lines(capsys)
    newest, oldest = json.loads(line)
    wanted = {
        "_id": "active_users_2024-10-31",
        "date": "2024-10-31",
        "timestamp": "2024-10-31T00:00:00Z",
        "total_users": 3,
        "new_users": 2,
        "returning_users": 1,
    }
    assert newest.items() >= wanted.items()
    assert set(newest) == {"_id", *result_named("active-users").fields}
    assert oldest["_id"] == "active_users_2024-10-30"


def test_json_has_the_stored_fields_and_no_guard(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    for what in (*SHORT_NAMES, *NAMES):
        show(filled, what=what, choice=Choice(limit=1), json=True)
        out, more = capsys.readouterr()
        ((document,),) = [json.loads(line) for line in out.splitlines()]
        assert set(document) == {"_id", *result_named(what).fields}
        assert more.startswith("1 ")
        assert more.endswith(" shown, there are more; see --limit\n")


def test_csv_has_every_figure_as_it_is_stored(filled: Settings, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    show(filled, what="windows", csv=True)
    header, *rows = csv.reader(io.StringIO(capsysbinary.readouterr().out.decode(), newline=""))
    assert header == ["_id", *result_named("windows").fields]
    show(filled, what="windows", json=True)
    documents = json.loads(capsysbinary.readouterr().out)
    assert rows == [
        ["" if document[field] is None else str(document[field]) for field in header] for document in documents
    ]


def test_csv_has_a_row_for_each_entry_and_unaltered_text(
    filled: Settings, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    show(filled, what="top_movies", choice=Choice(limit=9), csv=True)
    text = capsysbinary.readouterr().out.decode()
    assert text.endswith("\r\n")
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [row["title"] for row in rows] == ["Alien", LONG, "Alien", "Heat\x1b[2J", ODD]
    assert rows[0]["_id"] == "top_movies_2024-10-31T14:00:00Z_1"
    assert list(rows[0])[:3] == ["_id", "timestamp", "rank"]


# ---- results that are added ------------------------------------------------------------------------------------------


def added(*more: Result) -> tuple[Result, ...]:
    return (*results.RESULTS, *more)


FILMS = Top(100, "movie_id", {"title": Title(), "views": Count(), "avg_rating": Mean("rating")})


def test_a_result_that_is_added_is_shown(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """As docs/how-to/aggregation.md adds one; nothing but its entry says how it looks."""
    daily = Result("daily_movies", DAY, prefix="d", fields={"date": Date(), "timestamp": Start(), "movies": FILMS})
    newest = Top(100, "movie_id", {**FILMS.columns, "newest": Newest()})
    ever = Result("all_movies", ALL_TIME, prefix="all_movies", fields={"timestamp": Newest(), "movies": newest})
    monkeypatch.setattr(results, "RESULTS", added(daily, ever))
    films = [{"movie_id": f"m{n}", "title": f"T{n}", "views": 100 - n, "avg_rating": None} for n in range(100)]
    ever_films = [{**film, "newest": None} for film in films]
    day = datetime(2024, 10, 31, tzinfo=UTC)

    async def fill() -> None:
        async with opened(settings) as db:
            await db["daily_movies"].insert_one({"_id": "d", "date": "2024-10-31", "timestamp": day, "movies": films})
            await db["all_movies"].insert_one(
                {"_id": "a", "timestamp": day + timedelta(hours=14), "movies": ever_films}
            )

    asyncio.run(fill())
    printed = table(settings, capsys, "daily-movies", since="2024-10-31")
    assert printed[:3] == [
        "daily_movies of the day 2024-10-31 UTC",
        "  #  film  title  views  rating",
        "  1  m0    T0       100       -",
    ]
    assert len(printed) == 2 + 100
    printed = table(settings, capsys, "all_movies", limit=5)
    assert printed[0] == "all_movies, up to 2024-10-31 14:00 UTC"
    assert printed[2:] == [*printed[2:7], "5 shown, there are more; see --limit"]
    assert (
        len(table(settings, capsys, "all_movies")) == len(table(settings, capsys, "all_movies", limit=100)) == 2 + 100
    )
    with pytest.raises(UsageError, match="--since: expected a result by minute, hour, day, got 'all_movies'"):
        show(settings, what="all_movies", choice=Choice(since="1h"))


def test_documents_of_somebody_else_are_shown_as_far_as_they_go(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    """A database may hold what another program has written there before there were validators."""
    odd = {"_id": ObjectId(), "timestamp": "2024-10-31\x1b[2J", "total_views": "many", "avg_rating": Decimal128("4.5")}
    lists: list[Any] = [None, "none", [1, {"views": {}, "title": 7}]]

    async def fill() -> None:
        async with opened(settings) as db:
            await db["hourly_metrics"].insert_one({**odd})
            await db["top_movies"].insert_many([{"timestamp": 1.5, "top_movies": held} for held in lists])

    asyncio.run(fill())
    assert {"2024-10-31\ufffd[2J", "many", "4.5", "-"} == set(table(settings, capsys, "hours")[2].split())
    shown = table(settings, capsys, "top_movies", limit=3)
    assert [line for line in shown if line.startswith("top")] == ["top_movies of the hour 1.5 UTC"] * 3
    assert sum("7" in line.split() for line in shown) == 1
    show(settings, what="hours", json=True)
    [document] = json.loads(lines(capsys)[0])
    assert (document["_id"], document["avg_rating"]) == (str(odd["_id"]), "4.5")
    for what in ("hours", "top_movies"):
        show(settings, what=what, choice=Choice(limit=3), csv=True)
        assert len(lines(capsys)) == 2


# ---- what cannot be meant --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("movies",), "RESULT: expected one of movies_aggregates, top_movies, .*, windows, .*, workers, got 'movies'"),
        (("hours", "--limit", "0"), "--limit: expected a whole number from 1 to 100,000, got '0'"),
        (("hours", "--limit", "-1"), "--limit: expected a whole number from 1 to 100,000, got '-1'"),
        (("hours", "--limit", "100001"), "--limit: expected a whole number from 1 to 100,000, got '100001'"),
        (("genres", "--limit", "9" * 20), f"--limit: expected a whole number from 1 to 100,000, got '{'9' * 20}'"),
        (("hours", "--since", "yesterday"), "--since: expected a time .* or how long ago, .* got 'yesterday'"),
        (("hours", "--until", "2h ago"), "--until: expected a time .* or how long ago, .* got '2h ago'"),
        (("hours", "--since", "1h", "--until", "1d"), "--until: expected a time after --since 1h, got '1d'"),
        (("hours", "--since", "0001-01-01T00:00+01:00"), "--since: expected a time from the year 1 to 9999 in UTC"),
        (("hours", "--genre", "Drama"), "--genre: expected a result by genre .* got 'hourly_metrics'"),
        (("workers", "--genre", "Drama"), "--genre: expected a result, got 'workers'"),
        (("hours", "--csv", "--json"), "--csv: expected only one of --csv and --json, got 'both'"),
        (("hours", "--csv", "--watch"), "--watch: expected no --csv besides; with --json it prints"),
    ],
)
def test_what_cannot_be_meant_is_one_line(arguments: tuple[str, ...], words: str, tmp_path: Path) -> None:
    """Before MongoDB is asked: none answers there."""
    uri = "mongodb://127.0.0.1:1"
    done = CliRunner().invoke(cli.app, ["show", *arguments], env={"MONGODB_URI": uri})
    assert isinstance(done.exception, UsageError)
    assert done.exception.exit_code == 2
    assert re.match(words, str(done.exception))


def test_no_mongodb(settings: Settings) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    away = settings.with_services(bootstrap_servers="127.0.0.1:1", mongodb_uri=uri)
    for watching in (False, True):
        with pytest.raises(MongoUnreachable, match="no MongoDB answers at"):
            show(away, what="windows", watching=watching)
