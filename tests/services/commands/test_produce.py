"""`movie-stream produce` as a user runs it."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import IO

import pytest

from movie_stream.embedded.launch import free_port
from movie_stream.replay.resume.bookmark import state_folder
from movie_stream.settings import Settings
from tests.services.replay.test_send import START_MS, csv_file, view
from tests.support.in_process import said_in_process
from tests.support.kafka.topics import create_topic

PATIENCE_S = 60.0
FOUND = "views.csv: views (format native)\n"
COMMAND = [sys.executable, "-c", "from movie_stream.cli import main; main()", "produce"]


@pytest.fixture
def environment(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The variables that name a broker and a topic that are there, and bookmarks of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    asyncio.run(create_topic(settings.require_broker(), settings.kafka_topic))
    servers = {"KAFKA_BOOTSTRAP_SERVERS": settings.require_broker(), "KAFKA_TOPIC": settings.kafka_topic}
    return {**os.environ, **servers}


def run(environment: dict[str, str], *options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What it ended with; without the line that says what the file is."""
    done = said_in_process("produce", *options, cwd=cwd, **environment)
    done.stderr = done.stderr.replace(FOUND, "", 1)
    return done


def test_it_sums_up_in_plain_lines(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, *(view(number, START_MS + number) for number in range(1_500)))
    done = subprocess.run(
        [*COMMAND, "--file", "views.csv"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, FOUND)
    assert done.stdout.startswith(f"Sent 1,500 views to the topic {environment['KAFKA_TOPIC']} in ")
    assert done.stdout.endswith("/s); 0 rows refused. They are of 2024-10-31 14:00:00 to 2024-10-31 14:00:01 UTC.\n")
    assert "\x1b" not in done.stdout


def test_bad_rows_are_named_then_counted(environment: dict[str, str], tmp_path: Path) -> None:
    bad = [view(1, START_MS, rating=f"[red]{number}") for number in range(25)]
    csv_file(tmp_path, view(1, START_MS), *bad, "too,short", view(1, START_MS))
    done = run(environment, "--file", "views.csv", cwd=tmp_path)
    lines = done.stderr.splitlines()
    assert done.returncode == 0
    assert lines[0] == 'views.csv, line 3: rating: expected a number from 0 to 5, or null, got "[red]0"'
    assert lines[19].startswith("views.csv, line 22: ")
    assert lines[20:] == [
        "views.csv: 5 more refused: rating: expected a number from 0 to 5, or null",
        "views.csv: 1 more refused: expected 8 cells, as many as the header has",
    ]
    assert "Sent 2 views" in done.stdout
    assert "26 rows refused" in done.stdout


def test_strict_stops_at_a_bad_row(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, view(1, START_MS), view(1, START_MS, rating="abc"))
    done = run(environment, "--file", "views.csv", "--strict", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        'error: views.csv, line 3: rating: expected a number from 0 to 5, or null, got "abc"; '
        "correct it, or leave out --strict\n"
    )


def test_a_row_far_off_is_warned_of(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, *[view(1, START_MS)] * 9, view(1, START_MS + 367 * 86_400_000))
    done = run(environment, "--file", "views.csv", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr.startswith("views.csv: 1 row lies more than a year after the rest")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("variables", "options", "words"),
    [
        (
            {"KAFKA_TOPIC": "nope"},
            ["--file", "views.csv"],
            "error: the topic nope does not exist on 127.0.0.1:",
        ),
        (
            {"KAFKA_BOOTSTRAP_SERVERS": "PORT"},
            ["--file", "views.csv"],
            "error: no Kafka broker answers at 127.0.0.1:",
        ),
    ],
)
def test_a_missing_requirement_is_one_line(
    environment: dict[str, str], tmp_path: Path, variables: dict[str, str], options: list[str], words: str
) -> None:
    csv_file(tmp_path, view(1, START_MS))
    changed = {name: value.replace("PORT", f"127.0.0.1:{free_port()}") for name, value in variables.items()}
    done = run(environment | changed, *options, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(words)
    assert done.stderr.count("\n") == 1


WITHOUT_A_BROKER = {"KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1"}


@pytest.mark.parametrize(
    ("file", "variables", "options", "words"),
    [
        ("nope.csv", WITHOUT_A_BROKER, (), "nope.csv: expected a CSV file, got 'no such file'; "),
        ("nope.csv", {}, (), "nope.csv: expected a CSV file, got 'no such file'; "),
        (".", WITHOUT_A_BROKER, ("--dry-run",), ".: expected a CSV file, got 'a directory'; "),
        ("odd.csv", WITHOUT_A_BROKER, (), "odd.csv, line 1: expected the columns movie_id, "),
        ("odd.csv", WITHOUT_A_BROKER, ("--dry-run",), "odd.csv, line 1: expected the columns movie_id, "),
        ("broken.csv.gz", WITHOUT_A_BROKER, ("--resume",), "broken.csv.gz: expected a whole file, "),
    ],
)
def test_a_wrong_file_is_told_first(
    tmp_path: Path, file: str, variables: dict[str, str], options: tuple[str, ...], words: str
) -> None:
    (tmp_path / "odd.csv").write_text("a,b\n1,2\n")
    (tmp_path / "broken.csv.gz").write_bytes(b"\x1f\x8b\x08 no more")
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    done = said_in_process("produce", "--file", file, *options, cwd=tmp_path, **state, **variables)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {words}")
    assert done.stderr.count("\n") == 1


def test_a_terminal_gets_a_bar(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, *(view(number, START_MS + number) for number in range(100)), "too,short")
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--file", "views.csv"], env=environment | {"TERM": "xterm"}, cwd=tmp_path, stderr=theirs
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    for words in (b"sending", b"100 sent", b"1 refused", b"views.csv, line 102: expected 8 cells"):
        assert words in shown


def started(environment: dict[str, str], *options: str, cwd: Path) -> subprocess.Popen[str]:
    """The command, once its first views are in the topic: then its bookmark is saved."""
    process = subprocess.Popen(
        [*COMMAND, *options], env=environment, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + PATIENCE_S
    while not list(state_folder().glob("views.csv-*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return process


STOPPED = re.compile(
    r"Stopped: ([\d,]+) views are known to stand in the topic; "
    r"go on with: (movie-stream produce --file views.csv --rate 500 --strict --resume)\n"
)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_when_stopped_it_reports_how_to_continue(
    environment: dict[str, str], tmp_path: Path, number: int, code: int
) -> None:
    csv_file(tmp_path, *(view(user, START_MS + user) for user in range(20_000)))
    with started(environment, "--file", "views.csv", "--rate", "500", "--strict", cwd=tmp_path) as process:
        process.send_signal(number)
        said, complained = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, said) == (code, "")
    assert complained.startswith(FOUND)
    assert STOPPED.fullmatch(complained.removeprefix(FOUND)), complained


def test_after_an_interruption_only_resuming_continues(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, *(view(user, START_MS + user) for user in range(20_000)))
    with started(environment, "--file", "views.csv", "--rate", "500", "--strict", cwd=tmp_path) as process:
        second = run(environment, "--file", "views.csv", "--resume", cwd=tmp_path)
        process.terminate()
        _, complained = process.communicate(timeout=PATIENCE_S)
    assert second.returncode == 1
    assert second.stderr.startswith(
        f"error: views.csv: another movie-stream produce is sending it (process {process.pid});"
    )
    stopped = STOPPED.fullmatch(complained.removeprefix(FOUND))
    assert stopped, complained

    started_over = run(environment, "--file", "views.csv", cwd=tmp_path)
    assert started_over.returncode == 1
    assert started_over.stderr.startswith(
        f"error: views.csv: an earlier run was interrupted; {stopped[1]} of its views are known to stand in the topic "
    )
    assert "go on with --resume, or send all of it from the beginning" in started_over.stderr
    assert started_over.stderr.count("\n") == 1

    whole = (tmp_path / "views.csv").read_text()
    (tmp_path / "views.csv").write_text(whole + view(1, START_MS + 99_999))
    other = run(environment, "--file", "views.csv", "--resume", cwd=tmp_path)
    assert other.returncode == 1
    assert re.fullmatch(r"error: views.csv: an earlier run .* expected the file of then, .* --restart\n", other.stderr)
    (tmp_path / "views.csv").write_text(whole)

    done = run(environment, "--file", "views.csv", "--resume", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    before = int(stopped[1].replace(",", ""))
    assert done.stdout.startswith(f"Sent {20_000 - before:,} views to the topic ")
    assert f"/s), {before:,} before; 0 rows refused. They are of " in done.stdout

    again = run(environment, "--file", "views.csv", "--resume", cwd=tmp_path)
    topic = environment["KAFKA_TOPIC"]
    assert again.stdout == f"Nothing was left to send: all 20,000 views stand in the topic {topic}.\n"


def test_nothing_to_resume_is_said(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, view(1, START_MS))
    done = run(environment, "--file", "views.csv", "--resume", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "views.csv: nothing to resume, it is sent from its beginning\n")
    assert done.stdout.startswith("Sent 1 view ")


def test_where_no_bookmark_can_be_kept(environment: dict[str, str], tmp_path: Path) -> None:
    csv_file(tmp_path, view(1, START_MS))
    (tmp_path / "state").touch()
    why = f"views.csv: no bookmark can be kept (Not a directory: {tmp_path}/state/movie-stream/produce)"
    done = run(environment, "--file", "views.csv", cwd=tmp_path)
    assert done.returncode == 0
    assert done.stderr == (
        f"{why}, so this run cannot be resumed; make room, or name another folder in XDG_STATE_HOME\n"
    )
    refused = run(environment, "--file", "views.csv", "--resume", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr == f"error: {why}; make room, or name another folder in XDG_STATE_HOME\n"


def test_a_pipe_can_be_sent_but_not_resumed(environment: dict[str, str], tmp_path: Path) -> None:
    csv = csv_file(tmp_path, view(1, START_MS)).read_text()
    arguments = [*COMMAND, "--file", "/dev/stdin"]
    sent = subprocess.run(arguments, env=environment, input=csv, capture_output=True, text=True, check=False)
    assert (sent.returncode, sent.stderr) == (0, FOUND.replace("views.csv", "/dev/stdin"))
    refused = subprocess.run(
        [*arguments, "--resume"], env=environment, input=csv, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 2
    assert refused.stderr == (
        "error: --resume: expected a file, which can be read again from its beginning, "
        "got '/dev/stdin, which cannot'; write the views to a file, and send that\n"
    )


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_told_to_stop_while_a_pipe_brings_nothing(environment: dict[str, str], number: int, code: int) -> None:
    command = [*COMMAND, "--file", "-"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        process.stdin.write("movie_id,title\n")
        process.stdin.flush()
        until_read(process.stdin)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == code
        assert process.stderr is not None
        assert process.stderr.read() == "Stopped: what was sent stays sent, and this cannot be resumed.\n"


def until_read(pipe: IO[str]) -> None:
    """Waits until all that was written to the pipe has been read."""
    deadline = time.monotonic() + PATIENCE_S
    while any(fcntl.ioctl(pipe.fileno(), termios.FIONREAD, bytes(4))):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_resume_and_restart_exclude_each_other(tmp_path: Path) -> None:
    done = said_in_process("produce", "--file", "views.csv", "--resume", "--restart", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: --resume: expected only one of --resume and --restart, got 'both'\n"


def _read(terminal: int) -> bytes:
    """What was written to the terminal; nothing once its writer has ended."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""
