"""`show --watch` in a terminal and without one, while documents change and while MongoDB is away."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import termios
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from movie_stream.settings import Settings
from tests.support.mongo.mongo_server import MongoServer
from tests.support.whole_path import COMMAND, database, environment

LIMIT_S = 60.0
HOUR: dict[str, Any] = {
    "_id": "hourly_1",
    "timestamp": datetime(2024, 10, 31, 14, tzinfo=UTC),
    "total_views": 1,
    "unique_users": 1,
}


@contextmanager
def watching(settings: Settings, *arguments: str, stdout: int = subprocess.PIPE) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [COMMAND, "show", *arguments, "--watch"],
        env=environment(settings, TERM="xterm", LINES="24", NO_COLOR="1"),
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(stream: IO[str] | None) -> str:
    assert stream is not None
    return stream.readline().rstrip("\n")


def lines(process: subprocess.Popen[str], count: int) -> list[str]:
    return [line(process.stdout) for _ in range(count)]


def end(process: subprocess.Popen[str], number: signal.Signals) -> tuple[str, str]:
    process.send_signal(number)
    return process.communicate(timeout=LIMIT_S)


def put(db: Any, views: int) -> None:
    db["hourly_metrics"].replace_one({"_id": HOUR["_id"]}, {**HOUR, "total_views": views}, upsert=True)


def test_without_a_terminal_it_prints_what_has_changed(settings: Settings) -> None:
    with database(settings) as db:
        put(db, 1)
        with watching(settings, "hours") as process:
            title, header, row = lines(process, 3)
            assert title == "hourly_metrics by hour, newest first (UTC)"
            assert row.split()[2:] == ["1", "1", *["-"] * 4]
            put(db, 2)
            assert lines(process, 3) == ["", title, header]
            assert line(process.stdout).split()[2] == "2"
            assert end(process, signal.SIGTERM) == ("", "")
            assert process.returncode == 0


def test_json_is_a_line_for_each_change(settings: Settings) -> None:
    with database(settings) as db, watching(settings, "hours", "--json", "-l", "1") as process:
        assert line(process.stdout) == "[]"
        for views in (1, 2):
            put(db, views)
            [document] = json.loads(line(process.stdout))
            assert document["total_views"] == views
            assert document["timestamp"] == "2024-10-31T14:00:00Z"
        db["hourly_metrics"].insert_one(
            {**HOUR, "_id": "hourly_0", "timestamp": datetime(2024, 10, 31, 13, tzinfo=UTC)}
        )
        assert line(process.stdout).count("hourly_1") == 1
        assert line(process.stderr) == "1 shown, there are more; see --limit"
        assert end(process, signal.SIGINT) == ("", "")
        assert process.returncode == 0


def test_mongodb_may_go_away_and_come_back(settings: Settings, tmp_path: Path) -> None:
    with MongoServer(tmp_path) as server:
        uri = server.uri + "?serverSelectionTimeoutMS=300"
        mine = settings.with_services(bootstrap_servers="127.0.0.1:1", mongodb_uri=uri)

        def put_there(views: int) -> None:
            with server.client(server.uri) as client:
                put(client[settings.mongodb_database], views)

        put_there(1)
        with watching(mine, "hours", "--json") as process:
            assert '"total_views":1' in line(process.stdout)
            with server.failing("find", errorCode=50):
                assert "MongoDB has not answered a query of hourly_metrics within 20 s" in line(process.stderr)
            put_there(2)
            assert '"total_views":2' in line(process.stdout)
            server.kill()
            assert line(process.stderr).startswith(f"no MongoDB answers at mongodb://127.0.0.1:{server.port}")
            server.start()
            server.wait_until_ready()
            put_there(3)
            assert '"total_views":3' in line(process.stdout)
            server.kill()
            assert line(process.stderr).startswith("no MongoDB answers at ")
            assert end(process, signal.SIGINT) == ("", "")
            assert process.returncode == 0


def test_a_terminal_is_drawn_anew_and_left_with_the_last_table(settings: Settings) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    shown = ""

    def until(words: str) -> None:
        nonlocal shown
        while words not in shown:
            shown += os.read(ours, 1 << 16).decode()

    with database(settings) as db:
        put(db, 1)
        with watching(settings, "hours", stdout=theirs) as process:
            until("14:00      1 ")
            put(db, 2345)
            until("14:00  2,345 ")
            assert "UTC; Ctrl-C ends" in shown
            assert end(process, signal.SIGINT)[1] == ""
            assert process.returncode == 0
            until("\x1b[?1049l")
            shown = shown.partition("\x1b[?1049l")[2]
            until("14:00  2,345 ")
    os.close(ours)
    os.close(theirs)


def test_a_reader_that_goes_away_ends_it(settings: Settings) -> None:
    with database(settings) as db, watching(settings, "hours", "--json") as process:
        assert line(process.stdout) == "[]"
        assert process.stdout is not None
        process.stdout.close()
        put(db, 1)
        assert process.wait(LIMIT_S) > 0
        assert process.stderr is not None
        assert process.stderr.read() == ""
