"""`show` on real documents: tables that fit, JSON for scripts, and one line where there is nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from movie_stream.commands.show import SHOWN, show
from movie_stream.embedded.launch import free_port
from movie_stream.errors import MongoUnreachable, UsageError
from movie_stream.mongo.client import opened
from movie_stream.mongo.schema import ensure
from movie_stream.settings import Settings
from tests.reference import HOUR_MS, expected, views
from tests.stored import store

T = 1_730_385_000_000
LONG = "The Incredibly Strange Creatures Who Stopped Living and Became Mixed-Up Zombies!!?"
EVENTS = (
    {"timestamp": T, "rating": 4.5, "duration": 117, "price": 1234567.891, "movie_id": "tt0078748"},
    {"timestamp": T + 100, "rating": 4, "user_id": "[red]ana[/red]"},
    {"timestamp": T + 200, "genre": "Comedy" * 10, "title": LONG, "movie_id": "m" * 128, "user_id": "u" * 128},
    {"timestamp": T - HOUR_MS, "genre": "Crime", "title": "Heat\x1b[2J", "movie_id": "tt0113277"},
    {"timestamp": T - 23 * HOUR_MS, "genre": "Crime", "duration": 170},
)


@pytest.fixture(autouse=True)
def _narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


@pytest.fixture
def filled(settings: Settings) -> Settings:
    async def fill() -> None:
        async with opened(settings) as db:
            await ensure(db)
            await store(db, expected([views(*EVENTS)]).documents)

    asyncio.run(fill())
    return settings


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


@pytest.mark.parametrize("what", SHOWN)
def test_a_table_fits_80_columns(filled: Settings, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled, what=what, limit=100)
    printed = lines(capsys)
    assert len(printed) >= 3
    assert max(map(len, printed)) <= 80
    assert "\x1b" not in "".join(printed)
    assert any("UTC" in line for line in printed)


def test_windows(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled, what="windows", limit=1)
    title, header, row = lines(capsys)
    assert title.strip() == "Minute windows, newest first (UTC)"
    assert header.split() == ["minute", "genre", "views", "users", "rating", "best", "worst", "minutes"]
    assert row.split() == ["2024-10-31", "14:30", "Sci-Fi", "2", "2", "4.25", "4.50", "4.00", "117"]


def test_genres_name_the_time_zone_of_the_peak_hour(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled.model_copy(update={"timezone": "Asia/Kolkata"}), what="genres")
    printed = lines(capsys)
    assert [line.split()[0] for line in printed[2:4]] == ["Crime", "Sci-Fi"]
    assert printed[3].split() == ["Sci-Fi", "2", "2", "2", "4.25", "1,234,567.89", "14:00"]
    assert "Asia/Kolkata" in printed[-1]


def test_top_movies_of_the_latest_hour_or_of_several(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled, what="top-movies")
    printed = lines(capsys)
    assert printed[0].strip() == "Films with most views in the hour from 2024-10-31 14:00 UTC"
    assert printed[2].split() == ["1", "Alien", "m1", "1", "4.00"]
    assert printed[3].split()[-3:] == [f"{'m' * 29}\u2026", "1", "-"]
    assert len(printed) == 5

    show(filled, what="top-movies", limit=2)
    printed = lines(capsys)
    assert sum("hour from" in line for line in printed) == 2
    assert "Heat\ufffd[2J" in printed[-1]


def test_text_is_no_markup(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled, what="top-users")
    assert any("[red]ana[/red]" in line for line in lines(capsys))


def test_json_is_one_array_of_documents_with_iso_dates(filled: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    show(filled, what="active-users", as_json=True)
    (line,) = lines(capsys)
    newest, oldest = json.loads(line)
    assert newest == {
        "_id": "active_users_2024-10-31",
        "date": "2024-10-31",
        "timestamp": "2024-10-31T00:00:00Z",
        "total_users": 3,
        "new_users": 2,
        "returning_users": 1,
        "avg_session_duration": newest["avg_session_duration"],
    }
    assert oldest["_id"] == "active_users_2024-10-30"


@pytest.mark.parametrize("what", SHOWN)
def test_json_has_the_stored_fields_and_no_guard(
    filled: Settings, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    show(filled, what=what, limit=1, as_json=True)
    ((document,),) = [json.loads(line) for line in lines(capsys)]
    assert "_id" in document
    assert not {"_rev", "_run"} & document.keys()


@pytest.mark.parametrize("what", SHOWN)
def test_nothing_there_yet(settings: Settings, what: str, capsys: pytest.CaptureFixture[str]) -> None:
    show(settings, what=what)
    (line,) = lines(capsys)
    assert line.startswith(f"No {SHOWN[what].noun} in {settings.mongodb_database} yet. ")
    assert "movie-stream worker" in line
    show(settings, what=what, as_json=True)
    assert lines(capsys) == ["[]"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"what": "movies"}, "WHAT: expected one of windows, genres"),
        ({"what": "hours", "limit": 0}, "--limit: expected a whole number from 1, got '0'"),
    ],
)
def test_arguments_that_cannot_be_meant(settings: Settings, arguments: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words):
        show(settings, **arguments)


def test_no_mongodb(settings: Settings) -> None:
    uri = f"mongodb://127.0.0.1:{free_port()}/?serverSelectionTimeoutMS=200"
    away = settings.with_services(bootstrap_servers="127.0.0.1:1", mongodb_uri=uri)
    with pytest.raises(MongoUnreachable, match="no MongoDB answers at"):
        show(away, what="windows")
