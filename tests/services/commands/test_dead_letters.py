"""`movie-stream dead-letters` as an operator uses it: real records, a real worker, and copies that count once."""

from __future__ import annotations

import asyncio
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from movie_stream.cli import app
from movie_stream.commands.dead_letters.list import as_plain
from movie_stream.dead_letters.letters import Letter
from movie_stream.kafka.cluster import client, topics
from movie_stream.settings import Settings
from tests.services.kafka.test_headers import send as send_as_is
from tests.support import reference
from tests.support.in_process import initialize, said_in_process
from tests.support.whole_path import (
    COMMAND,
    PATIENCE_S,
    command,
    copies_of,
    database,
    documents,
    environment,
    log_of,
    succeed,
)

NOW_MS = time.time_ns() // 1_000_000
HOUR_MS = 3_600_000
FIX = """
import json, sys
for line in sys.stdin:
    view = json.loads(line)
    view["rating"] = float(view["rating"])
    print(json.dumps(view))
"""
THROUGH = f"{sys.executable} -c {shlex.quote(FIX)}"
DROPS = THROUGH.replace('float(view["rating"])', "None")


def view(number: int, **changes: object) -> dict[str, Any]:
    event = {"movie_id": f"m{number % 3}", "title": "Alien", "genre": "Drama", "user_id": f"u{number % 7}"}
    return event | {"timestamp": NOW_MS - HOUR_MS + number, "rating": 4} | changes


async def _send(settings: Settings, values: list[tuple[bytes, bytes]]) -> None:
    producer = await client.start_producer(settings)
    try:
        for key, value in values:
            await producer.send(settings.kafka_topic, value, key=key)
        await producer.flush()
    finally:
        await producer.stop()


def send(settings: Settings, *events: dict[str, Any] | bytes) -> None:
    """Records keyed by their user, and those that are bytes by `u1`."""
    keyed = [
        (b"u1", event) if isinstance(event, bytes) else (str(event["user_id"]).encode(), json.dumps(event).encode())
        for event in events
    ]
    asyncio.run(_send(settings, keyed))


def letters_command(settings: Settings, *arguments: str) -> str:
    """What `movie-stream dead-letters` prints, run in this process."""
    done = CliRunner().invoke(app, ["dead-letters", *arguments], env={**settings.environment(), "COLUMNS": "80"})
    assert done.exit_code == 0, done.exception
    return done.stdout


def listed(settings: Settings, *options: str) -> list[dict[str, Any]]:
    """What `list --json` brings."""
    lines = letters_command(settings, "list", "--json", "--limit", "0", *options).splitlines()
    return [json.loads(line) for line in lines]


def assert_counted(settings: Settings) -> None:
    """Every document is as the reference has it, copies included."""
    rules = reference.Rules(future_tolerance_ms=settings.future_tolerance // timedelta(milliseconds=1))
    wanted = reference.expected(log_of(settings), rules, copies_of(settings))
    with database(settings) as db:
        assert reference.same(documents(db), wanted.documents) == []


STRANGE = b'{"title": "\x1b[2J\xff'


@pytest.mark.long
@pytest.mark.timeout(240)
def test_a_copy_counts_once_however_often_it_is_sent_and_whatever_the_rules_become(settings: Settings) -> None:
    initialize(settings)
    ahead = [view(number, timestamp=NOW_MS + 3 * HOUR_MS) for number in range(5)]
    text = [view(number, rating="4.5") for number in range(40)]
    send(settings, *map(view, range(50)), *ahead, *text, view(9, timestamp=NOW_MS // 1000), STRANGE)
    succeed(settings, "worker", "--until-end")

    # What there is.
    reasons = listed(settings, "--by-reason")
    assert [(of["letters"], of["kind"], of["reason"].split(":")[0]) for of in reasons] == [
        (40, "bad", "rating"),
        (5, "bad", "timestamp"),
        (1, "late", "late"),
        (1, "bad", "not UTF-8"),
    ] or reasons[2]["kind"] == "bad"
    letters = listed(settings)
    assert len(letters) == 47
    assert [letter["time"] for letter in letters] == sorted((letter["time"] for letter in letters), reverse=True)
    [strange] = [letter for letter in letters if "value_base64" in letter]
    assert (strange["key"], strange["kind"]) == ("u1", "bad")
    assert len(listed(settings, "--kind", "late")) == 1
    place = ("--partition", str(strange["partition"]), "--from", str(strange["offset"]))
    assert listed(settings, *place, "--to", str(strange["offset"] + 1)) == [strange]
    assert listed(settings, "--to", "2020-01-01") == []
    shown = letters_command(settings, "list", "--reason", "utf-8")
    assert r"{\"title\": \"\x1b[2J\xff".replace('\\"', '"') in shown
    assert "\x1b" not in shown
    piped = subprocess.run(
        ["bash", "-c", f"{COMMAND} dead-letters list --json --limit 0 | head -n 1"],
        env=environment(settings),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (piped.stdout.count("\n"), piped.stderr) == (1, ""), "a reader that goes away is no error"
    assert max(map(len, shown.splitlines())) <= 80

    # Nothing of it would count as it is.
    said = letters_command(settings, "replay")
    assert said.splitlines()[:2] == [
        f"Sent 0 letters again to {settings.kafka_topic}.",
        "Not sent, since they would not count: 47",
    ]
    assert "ALLOWED_LATENESS, then: movie-stream rebuild" in said

    # With another rating it does: three times, twice of that at the same time, before anyone counts it.
    fix = ("replay", "--reason", "rating", "--through", THROUGH)
    forecast = letters_command(settings, *fix, "--dry-run")
    assert forecast.startswith("Would send 40 letters again")
    assert "The command changed 40 of them: rating of 40\n" in forecast
    assert [line.strip() for line in forecast.splitlines()].count('rating: "4.5" -> 4.5') == 3
    assert "Careful" not in forecast
    emptied = letters_command(settings, *fix[:-1], DROPS, "--dry-run")
    assert [line.strip() for line in emptied.splitlines()].count('rating: "4.5" -> null') == 3
    assert "\nCareful: the command removed what was there: rating of 40\n" in emptied
    assert max(map(len, (forecast + emptied).splitlines())) <= 80
    assert copies_of(settings) == {}
    letters_command(settings, *fix)
    both = [
        subprocess.Popen([COMMAND, "dead-letters", *fix], env=environment(settings), stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate(timeout=PATIENCE_S)[0].split()[1] for process in both] == ["40", "40"]
    assert len(copies_of(settings)) == 120
    succeed(settings, "worker", "--until-end")
    assert_counted(settings)
    with database(settings) as db:
        assert sum(of["total_views"] for of in db["category_stats"].find()) == 90
    assert len(listed(settings)) == 7
    assert letters_command(settings, *fix).startswith("Sent 0 letters")

    # The five that were ahead of time count from where they stand once that is allowed; a copy of one does not.
    send(settings, view(1))
    tolerant = settings.model_copy(update={"future_tolerance": timedelta(hours=4)})
    refused = command(tolerant, "dead-letters", "replay")
    assert refused.returncode == 1
    assert refused.stderr.endswith("count the whole topic afresh with: movie-stream rebuild\n")
    succeed(tolerant, "rebuild", "--yes")
    succeed(tolerant, "worker", "--until-end")
    assert_counted(tolerant)
    with database(tolerant) as db:
        assert sum(of["total_views"] for of in db["category_stats"].find()) == 96
    assert len(listed(tolerant)) == 2
    assert len(listed(tolerant, "--all-runs", "--reason", "FUTURE_TOLERANCE")) == 5
    earlier = letters_command(tolerant, "replay", "--all-runs", "--reason", "FUTURE_TOLERANCE")
    assert earlier.startswith("Sent 5 letters")
    succeed(tolerant, "worker", "--until-end")
    assert_counted(tolerant)
    with database(tolerant) as db:
        assert sum(of["total_views"] for of in db["category_stats"].find()) == 96, "their originals count already"
    assert listed(tolerant, "--all-runs", "--reason", "FUTURE_TOLERANCE") == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["list", "--from", "yesterday"], "error: --from: expected an offset such as 120, or a time such as"),
        (["list", "--to", "120"], "error: --to: expected --partition beside an offset, or a time, got '120'"),
        (["replay", "--partition", "7"], "error: --partition: expected one of the 3 of movie-events"),
        (["replay"], "error: replay: expected a run, which the first worker begins: movie-stream worker"),
    ],
)
def test_what_cannot_be_meant_is_one_line(settings: Settings, tmp_path: Path, options: list[str], words: str) -> None:
    asyncio.run(topics.ensure(settings))
    done = said_in_process("dead-letters", *options, cwd=tmp_path, **settings.environment())
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


@pytest.mark.long
def test_obstacles_to_a_replay_are_reported_and_nothing_is_sent(settings: Settings) -> None:
    initialize(settings)
    assert "Nothing has been counted yet" in letters_command(settings, "list")
    strange: Sequence[tuple[bytes, bytes | None]] = [(b"\xff\xfe", b"x"), (b"kind", b"\xff"), (b"kind", None)]
    strangers = [(None, b"{}", strange), (None, None, [(b"n" * 20_000, None)] * 101), (b"k", b"{}", [])]
    asyncio.run(send_as_is(settings, settings.dead_letters_topic, strangers))
    note = f"3 records of {settings.dead_letters_topic} are no letters of a worker."
    assert note in letters_command(settings, "list")
    send(settings, view(1), view(2, rating="4.5", timestamp=NOW_MS + 10 * HOUR_MS))
    succeed(settings, "worker", "--until-end")
    replayed = letters_command(settings, "replay", "--through", THROUGH)
    assert "1  timestamp: lies" in replayed
    assert note in replayed
    done = command(settings, "dead-letters", "replay", "--through", "echo no >&2; exit 1")
    assert done.returncode == 2
    assert done.stderr == (
        "error: --through: expected a command that answers the 1 lines it is given with as many, "
        "got 'exit code 1: no'\n"
    )
    assert copies_of(settings) == {}


@pytest.mark.parametrize(
    ("time_ms", "shown"),
    [
        (1_730_383_200_001, "2024-10-31T14:00:00.001Z"),
        (1_730_383_200_000_000, "9999-12-31T23:59:59.999Z"),
        (2**63 - 1, "9999-12-31T23:59:59.999Z"),
        (-1, "1970-01-01T00:00:00.000Z"),
        (-(2**63), "1970-01-01T00:00:00.000Z"),
    ],
)
def test_a_time_that_cannot_be_shown_is_the_nearest_that_can(time_ms: int, shown: str) -> None:
    letter = Letter(0, 0, 0, 0, time_ms, "bad", "because", 7, "cluster/topic", None, b"{}")
    assert as_plain(letter)["time"] == shown
