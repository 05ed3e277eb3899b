"""`movie-stream demo` as a user runs it, and every moment at which one may lose patience with it."""

from __future__ import annotations

import json
import os
import pty
import re
import signal
import subprocess
import termios
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from movie_stream.settings import Settings
from tests.services.replay.test_send import START_MS, csv_file, view
from tests.support.processes import below
from tests.support.whole_path import COMMAND, command, database, environment

LIMIT_S = 60.0
SERVICES, COUNTING, ALL = 4, 6, 8
"""Processes that the embedded pair is, guards included; with the worker and its guard; and with the page and its."""
MOMENTS = (0, 1, SERVICES, ALL)
"""So many processes run when the demo is interrupted; what is between these is tried by make long."""


@contextmanager
def demo(
    *options: str, cwd: Path, stdout: int = subprocess.PIPE, variables: Mapping[str, str] | None = None
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [COMMAND, "demo", *options],
        cwd=cwd,
        env={**os.environ, **(variables or {})},
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(process: subprocess.Popen[str], programs: int) -> list[psutil.Process]:
    """Waits until it has started that many processes."""
    while len(found := list(below(process.pid))) < programs and process.poll() is None:
        time.sleep(0.005)
    return found


def wait_for_line(process: subprocess.Popen[str], matches: Callable[[str], object]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if matches(line):
            return line
    raise AssertionError(f"it ended with {process.wait()} before that")


def wait_for_both(process: subprocess.Popen[str], *words: str) -> list[str]:
    """The first lines with these words, in either order."""
    found: dict[str, str] = {}

    def is_last(line: str) -> bool:
        found.update({word: line for word in words if word in line and word not in found})
        return len(found) == len(words)

    wait_for_line(process, is_last)
    return [found[word] for word in words]


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=LIMIT_S)[1]


def test_once_ends_when_all_is_counted(tmp_path: Path) -> None:
    with demo("--once", "--count", "3000", "--rate", "0", cwd=tmp_path) as process:
        said, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, errors) == (0, "")
    assert "\x1b" not in said
    assert "Events: 3,000 sent, 3,000 counted, 0 dead letters; 0 rows refused." in said
    assert re.search(r"From the first sent to the last counted: [\d.]+ s, [\d,]+ events/s\.\n$", said)
    for title in ("Newest minute windows (UTC)", "Genres with most views", "Films of 11-02 23:00 (UTC), 1 h"):
        assert title in said


@pytest.mark.long
def test_a_file_goes_to_services_of_ones_own(settings: Settings, tmp_path: Path) -> None:
    csv_file(tmp_path, *(view(number, START_MS + number) for number in range(99)), view(1, START_MS, rating="abc"))
    done = command(settings, "demo", "--once", "--file", str(tmp_path / "views.csv"))
    assert (done.returncode, done.stderr) == (0, "")
    assert "Events: 99 sent, 99 counted, 0 dead letters; 1 row refused." in done.stdout
    assert 'views.csv, line 101: rating: expected a number from 0 to 5, or null, got "abc"\n' in done.stdout
    with database(settings) as db:
        assert sum(genre["total_views"] for genre in db["category_stats"].find()) == 99

    refused = command(settings, "demo", "--once")
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    assert f"expected an empty topic to send made-up views to, but {settings.kafka_topic}" in refused.stderr


@pytest.mark.parametrize("variable", ["KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI"])
def test_one_service_without_the_other_is_an_error(settings: Settings, tmp_path: Path, variable: str) -> None:
    variables = {variable: environment(settings)[variable]}
    with demo("--once", cwd=tmp_path, variables=variables) as process:
        said, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, said) == (2, "")
    assert re.fullmatch(rf"error: \w+ is not set: but {variable} is; set both .*\n", errors)


@pytest.mark.parametrize(
    ("options", "exit_code", "words"),
    [
        (("--file", "nope.csv"), 1, "error: nope.csv: expected a CSV file, got 'no such file'"),
        (("--file", "views.csv", "--count", "5"), 2, "error: --count: expected no --file besides"),
    ],
)
def test_what_cannot_be_replayed_starts_nothing(
    tmp_path: Path, options: tuple[str, ...], exit_code: int, words: str
) -> None:
    with demo(*options, cwd=tmp_path) as process:
        said, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, said) == (exit_code, "")
    assert errors.startswith(words)


@pytest.mark.parametrize(
    ("programs", "times"),
    [
        *((programs, 1) for programs in MOMENTS),
        *(pytest.param(programs, 1, marks=pytest.mark.long) for programs in range(ALL + 1) if programs not in MOMENTS),
        *((1, 2), (ALL, 2), pytest.param(SERVICES, 2, marks=pytest.mark.long)),
    ],
)
def test_an_interrupt_at_any_moment_of_the_start_leaves_nothing(tmp_path: Path, programs: int, times: int) -> None:
    with demo(cwd=tmp_path) as process:
        started = wait_for(process, programs)
        for _ in range(times):
            started += below(process.pid)
            process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
        assert gone(started)
    if programs:
        assert (process.returncode, errors) == (0, "")


@pytest.mark.long
@pytest.mark.parametrize(
    ("options", "line", "number", "exit_code"),
    [
        ((), "replaying: ", signal.SIGINT, 0),
        ((), "replaying: ", signal.SIGTERM, 0),
        (("--once",), "replaying: ", signal.SIGINT, 130),
        (("--count", "2000", "--rate", "0"), "counting the rest: ", signal.SIGINT, 0),
        (("--count", "2000", "--rate", "0"), "all events counted: ", signal.SIGINT, 0),
    ],
)
def test_it_is_stopped_later(
    tmp_path: Path, options: tuple[str, ...], line: str, number: signal.Signals, exit_code: int
) -> None:
    with demo(*options, cwd=tmp_path) as process:
        wait_for_line(process, lambda said: line in said)
        started = wait_for(process, COUNTING if "--once" in options else ALL)
        process.send_signal(number)
        said, errors = process.communicate(timeout=LIMIT_S)
        assert gone(started)
    assert (process.returncode, errors) == (exit_code, "")
    assert "Events: " in said


@pytest.mark.long
@pytest.mark.parametrize("programs", [2, SERVICES, ALL])
def test_its_own_violent_death_leaves_nothing(tmp_path: Path, programs: int) -> None:
    with demo(cwd=tmp_path) as process:
        started = wait_for(process, programs)
        process.kill()
        assert gone([*started, *below(process.pid)])


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ("worker", "error: the worker stops: it ended with exit code -9"),
        pytest.param(
            "tansu", "error: the embedded Kafka broker failed: it ended with signal 9", marks=pytest.mark.long
        ),
        ("mongod", "error: the embedded mongod failed: it ended with signal 9"),
        ("serve", "error: the page is gone: it ended with exit code -9"),
    ],
)
def test_the_death_of_a_part_is_the_end_of_it(tmp_path: Path, part: str, words: str) -> None:
    with demo(cwd=tmp_path) as process:
        wait_for_line(process, lambda said: "replaying: " in said)
        started = wait_for(process, ALL)
        programs = [one for one in started if one.ppid() != process.pid]  # the others are their guards
        [victim] = [one for one in programs if part in (one.name(), one.cmdline()[-1])]
        victim.kill()
        _, errors = process.communicate(timeout=LIMIT_S)
        assert gone(started)
    assert process.returncode == 1
    assert errors.startswith(words)
    assert errors.count("\n") == 1


@pytest.mark.long
def test_what_a_worker_says_last_is_quoted(settings: Settings, tmp_path: Path) -> None:
    csv_file(tmp_path, view(1, START_MS))
    assert command(settings, "demo", "--once", "--file", str(tmp_path / "views.csv")).returncode == 0
    changed = command(settings, "demo", "--once", "--file", str(tmp_path / "views.csv"), SESSION_GAP="5min")
    assert changed.returncode == 1
    assert changed.stderr.startswith("error: the worker stops: it ended with exit code 1 (what stands in MongoDB")
    assert "movie-stream rebuild" in changed.stderr


def test_the_page_is_served_and_opened(tmp_path: Path) -> None:
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" > {opened}\n')
    browser.chmod(0o755)
    options = ("--open", "--count", "2000", "--rate", "0")
    with demo(
        *options, cwd=tmp_path, variables={"BROWSER": str(browser), "API_TOKEN": "one-that-is-not-for-this"}
    ) as process:
        said = wait_for_both(process, "the page is at ", "all events counted: ")
        address = said[0].split()[-1]
        started = wait_for(process, ALL)
        with urllib.request.urlopen(f"{address}/api/v1/summary?last=all", timeout=LIMIT_S) as answer:
            assert json.load(answer)["views"]["value"] == 2_000
        with urllib.request.urlopen(address, timeout=LIMIT_S) as answer:
            assert "movie-stream" in answer.read().decode()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=LIMIT_S)
        assert gone(started)
    assert (process.returncode, errors) == (0, "")
    assert opened.read_text().strip() == address


def test_a_demo_with_once_opens_no_page(tmp_path: Path) -> None:
    with demo("--once", "--open", cwd=tmp_path) as process:
        said, errors = process.communicate(timeout=LIMIT_S)
    assert (process.returncode, said) == (2, "")
    assert errors == "error: --open: expected no --once besides, which ends before anybody could look\n"


def test_a_terminal_shows_it_live_and_is_left_as_it_was(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    variables = {"TERM": "xterm", "NO_COLOR": "1", "COLUMNS": "80", "LINES": "24"}
    with demo("--once", "--count", "2000", cwd=tmp_path, stdout=theirs, variables=variables) as process:
        os.close(theirs)
        shown = b""
        while chunk := read(ours):
            shown += chunk
        os.close(ours)
        assert process.wait(LIMIT_S) == 0
    text = shown.decode()
    entered, left = text.index("\x1b[?1049h"), text.index("\x1b[?1049l")
    assert "Nothing is counted yet" in text[entered:left]
    assert "Minute windows, newest first (UTC)" in text[entered:left]
    assert "Ctrl-C ends everything" in text[entered:left]
    assert "2,000 counted" in text[left:]
    assert "\x1b[?25h" in text[left - 20 :]


def read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # how Linux says that the other side is closed
        return b""
