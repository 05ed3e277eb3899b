"""`show workers`: the heartbeats of the last minute, one row each."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.commands.show.command import Choice, show
from movie_stream.commands.show.workers import row_of
from movie_stream.mongo.workers import WORKERS
from movie_stream.settings import Settings
from tests.support.whole_path import database

NOON = datetime(2024, 10, 31, 12, tzinfo=UTC)
LONG = "analytics-" * 12 + "\x1b[2J"


def heartbeat(settings: Settings, host: str, pid: int, **more: Any) -> dict[str, Any]:
    partition = {"partition": 0, "position": 10, "lag": 1_234, "watermark": NOON}
    return {
        "_id": f"{host}-{pid}-f00",
        "host": host,
        "pid": pid,
        "version": "0.1.0",
        "group": settings.kafka_group,
        "run": 1_730_385_000_000,
        "started": NOON,
        "seen": datetime.now(UTC),
        "last_flush": None,
        "state": "running",
        "partitions": [
            {**partition, "topic": "movie-events"},
            {**partition, "topic": "movie-events", "partition": 1, "watermark": NOON - timedelta(hours=1), "lag": 1},
            {**partition, "topic": "movie-partials", "lag": None, "watermark": None},
        ],
        **more,
    }


def put(settings: Settings, *workers: dict[str, Any]) -> None:
    with database(settings) as db:
        db[WORKERS].insert_many(workers)


def shown(settings: Settings, capsys: pytest.CaptureFixture[str], **how: Any) -> list[str]:
    show(settings, what="workers", **how)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def test_nobody_runs(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    put(settings, heartbeat(settings, "gone", 1, seen=datetime.now(UTC) - timedelta(seconds=70)))
    first, remedy = shown(settings, capsys)
    assert first == f"No worker of {settings.mongodb_database} was seen within the last 60 s."
    assert remedy == "Start one with: movie-stream worker"
    assert shown(settings, capsys, json=True) == ["[]"]


def test_a_row_for_each_that_was_seen_of_late(
    settings: Settings, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    idle: dict[str, Any] = {"state": "waiting for partitions", "partitions": [], "run": None}
    recent = {"seen": datetime.now(UTC) + timedelta(seconds=40)}  # its clock is ahead
    put(
        settings,
        heartbeat(settings, "b", 7, delay_ms=212.4, events=90, refused={"late": 2, "title: missing": 1}, **recent),
        heartbeat(settings, "a", 12, **idle),
        heartbeat(settings, "gone", 1, seen=datetime.now(UTC) - timedelta(minutes=3)),
    )
    title, header, *rows = shown(settings, capsys)
    assert title == f"Workers of {settings.mongodb_database} (UTC)"
    assert header.split()[:5] == ["worker", "state", "lag", "partitions", "seen"]
    assert rows[0].split()[:5] == ["a", "waiting", "for", "-", "none"]
    assert rows[1].split() == ["pid", "12", "partitions"]
    assert " ".join(rows[2].split()) == "b running 1,235 movie-events 0-1 0 s ago 2024-10-31 11:00 212 ms"
    assert rows[3].split() == ["pid", "7", "movie-partials", "0"]
    for width in (80, 40):
        monkeypatch.setenv("COLUMNS", str(width))
        put(settings, heartbeat(settings, LONG, width, state="waiting for partitions"))
        printed = shown(settings, capsys)
        assert max(map(len, printed)) <= width
        assert "\x1b" not in "".join(printed)
        assert any(f"pid {width}" in row for row in printed)


def test_other_groups_are_named(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    put(settings, heartbeat(settings, "a", 1), heartbeat(settings, "b", 2, group="others"))
    _, header, *rows = shown(settings, capsys)
    assert "group" in header.split()
    assert "others" in rows[2].split()


def test_json_as_stored_and_csv_in_full(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    told = {"events": 90, "refused": {"late": 2, "title: missing": 1}, "delay_ms": 212.4}
    put(settings, heartbeat(settings, "a", 1, **told), heartbeat(settings, "b", 2))
    [line] = shown(settings, capsys, json=True)
    first, second = json.loads(line)
    assert set(first) == set(heartbeat(settings, "a", 1, **told))
    assert first["refused"] == told["refused"]
    assert (second["_id"], second["partitions"][1]["watermark"]) == ("b-2-f00", "2024-10-31T11:00:00Z")
    row, older = csv.DictReader(io.StringIO("\n".join(shown(settings, capsys, csv=True))))
    assert row["partitions"] == "movie-events 0-1; movie-partials 0"
    assert (row["lag"], row["watermark"], row["run"]) == ("1235", "2024-10-31T11:00:00Z", "1730385000000")
    assert (row["events"], row["refused"], row["delay_ms"]) == ("90", "3", "212.4")
    assert (older["events"], older["refused"], older["delay_ms"]) == ("", "", "")


def test_the_limit_says_what_it_leaves_out(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    put(settings, *(heartbeat(settings, "a", pid) for pid in range(3)))
    assert shown(settings, capsys, choice=Choice(limit=2))[-1] == "2 shown, there are more; see --limit"
    assert len(shown(settings, capsys)) == 2 + 2 * 3 + 1


@given(st.sets(st.tuples(st.sampled_from(["events", "partials"]), st.integers(0, 12))))
def test_partitions_in_words_name_each_once(owned: set[tuple[str, int]]) -> None:
    words = row_of({"partitions": [{"topic": topic, "partition": number} for topic, number in owned]}, None)[
        "partitions"
    ]
    named = [
        (topic, number)
        for topic, ranges in (part.split(" ") for part in words.split("; ") if part)
        for ends in (list(map(int, part.split("-"))) for part in ranges.split(","))
        for number in range(ends[0], ends[-1] + 1)
    ]
    assert named == sorted(owned)
    assert words.count("; ") == max(len({topic for topic, _ in owned}) - 1, 0)
