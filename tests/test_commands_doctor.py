"""`movie-stream doctor`: each finding is a row, and nothing that is wrong keeps it from looking further."""

from __future__ import annotations

import subprocess
from pathlib import Path

from bson.int64 import Int64

from movie_stream.commands.doctor import SCRATCH
from movie_stream.embedded.launch import free_port
from movie_stream.settings import Settings
from tests.whole_path import COMMAND, command, database, succeed


def states(text: str) -> dict[str, str]:
    """The state of each check, and a look at the form: within 80 columns, without colour."""
    lines = text.splitlines()
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in text
    at = lines[0].index("state")
    return {line[:at].strip(): line[at:].split()[0] for line in lines[1:] if line[:at].strip() and line[at:].strip()}


def test_what_is_not_set_is_a_row(tmp_path: Path) -> None:
    done = subprocess.run([COMMAND, "doctor"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "")
    found = states(done.stdout)
    assert (found["Python"], found["libraries"], found["embedded broker"]) == ("ok", "ok", "ok")
    assert (found["broker"], found["MongoDB"]) == ("fail", "fail")
    assert "KAFKA_BOOTSTRAP_SERVERS is not set" in done.stdout
    assert "MONGODB_URI is not set" in done.stdout


def test_who_does_not_answer_is_a_row(settings: Settings) -> None:
    done = command(settings, "doctor", KAFKA_BOOTSTRAP_SERVERS=f"127.0.0.1:{free_port()}")
    assert (done.returncode, done.stderr) == (1, "")
    found = states(done.stdout)
    assert (found["broker"], found["MongoDB"], found["write to MongoDB"]) == ("fail", "ok", "ok")
    assert found["collections"] == "fail"
    assert "-> movie-stream init" in done.stdout


def test_all_is_fine_after_init_and_nothing_is_left(settings: Settings) -> None:
    before = states(command(settings, "doctor").stdout)
    assert (before["broker"], before["topics"], before["collections"]) == ("ok", "fail", "fail")
    succeed(settings, "init")
    text = succeed(settings, "doctor")
    assert set(states(text).values()) == {"ok"}
    assert text.endswith("All is fine.\n")
    with database(settings) as db:
        assert SCRATCH not in db.list_collection_names()
        assert db["_runs"].count_documents({}) == 0


def test_what_differs_from_init_is_named(settings: Settings) -> None:
    succeed(settings, "init")
    with database(settings) as db:
        db["category_stats"].drop_indexes()
        db.command("collMod", "top_users", validator={})
        db.drop_collection("top_movies_flat")
    done = command(settings, "doctor")
    assert done.returncode == 1
    text = " ".join(done.stdout.split())
    assert "category_stats.genre_1_timestamp_-1" in text
    assert "top_users, " in text or "top_users " in text
    assert "top_movies_flat" in text
    assert "movies_aggregates" not in text


def test_another_run_is_named(settings: Settings) -> None:
    succeed(settings, "init")
    with database(settings) as db:
        db["_runs"].insert_one({"_id": settings.kafka_group, "number": Int64(4), "fingerprint": "{}"})
    done = command(settings, "doctor")
    assert done.returncode == 1
    assert states(done.stdout)["run"] == "fail"
    assert "movie-stream rebuild" in done.stdout
