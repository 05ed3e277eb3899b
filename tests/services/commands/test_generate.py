"""`movie-stream generate` as a user runs it."""

import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from movie_stream.commands.generate.file import write_file
from movie_stream.events.event import ENCODER, View, decode
from movie_stream.replay.records.csv_views import ViewsFile
from movie_stream.replay.source import source_of
from movie_stream.replay.synthetic.generate import COLUMNS, generate_rows
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews
from movie_stream.settings import Settings
from tests.support.in_process import initialize, said_in_process
from tests.support.input.generated_csv import csv_text
from tests.support.whole_path import PATIENCE_S, command, database, environment, log_of, records, started, succeed
from tests.unit.replay.test_generate import table

COMMAND = [sys.executable, "-c", "from movie_stream.cli import main; main()", "generate"]


def run(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], cwd=cwd, capture_output=True, text=True, check=False)


def expected(count: int, seed: int) -> str:
    return csv_text(generate_rows(count, seed))


def test_it_writes_the_file_that_belongs_to_the_seed(tmp_path: Path) -> None:
    done = run("--output", "views.csv", "--count", "12000", "--seed", "7", cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "Wrote 12,000 views to views.csv.\n")
    assert (tmp_path / "views.csv").read_text() == expected(12_000, 7)


def test_to_standard_output(tmp_path: Path) -> None:
    done = run("--output", "-", "--count", "100", "--seed", "7", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, expected(100, 7))


def test_to_a_device(tmp_path: Path) -> None:
    assert run("--output", "/dev/stdout", "--count", "10", "--seed", "7", cwd=tmp_path).stdout == expected(10, 7)


def test_a_file_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "views.csv").write_text("mine")
    done = said_in_process("generate", "--output", "views.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --output: expected a file that does not exist yet, got 'views.csv'; remove it first, or name another\n"
    )
    assert (tmp_path / "views.csv").read_text() == "mine"


@pytest.mark.parametrize("output", ["no/such/folder.csv", "/dev/full"])
def test_where_nothing_can_be_written(tmp_path: Path, output: str) -> None:
    done = said_in_process("generate", "--output", output, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {output}: expected a file that can be written, got ")
    assert done.stderr.count("\n") == 1


def test_a_reader_that_has_seen_enough(tmp_path: Path) -> None:
    with subprocess.Popen(
        [*COMMAND, "--output", "-", "--count", "1000000"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith(b"movie_id,")
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 141


def test_an_unfinished_file_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("movie_stream.replay.synthetic.generate.GeneratedRows.csv_lines", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write_file(SyntheticViews(count=10), tmp_path / "views.csv", "csv")
    assert list(tmp_path.iterdir()) == []


def test_no_views_are_a_header(tmp_path: Path) -> None:
    write_file(SyntheticViews(count=0), tmp_path / "views.csv", "csv")
    assert (tmp_path / "views.csv").read_text() == ",".join(COLUMNS) + "\n"


@pytest.mark.parametrize("options", [["--output", "views.jsonl"], ["--output", "views.txt", "--format", "jsonl"]])
def test_lines_of_json_are_the_records_of_the_topic(tmp_path: Path, options: list[str]) -> None:
    done = said_in_process("generate", *options, "--count", "12000", "--seed", "7", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"Wrote 12,000 views to {options[1]}.\n")
    values = (tmp_path / options[1]).read_bytes().splitlines()
    assert values == [ENCODER.encode(View(*row)) for row in table(12_000, 7)]
    assert decode(values, None, 0).refusals == []


def test_without_prices_there_is_no_column_of_them(tmp_path: Path) -> None:
    csv = run("--output", "-", "--count", "500", "--no-price", cwd=tmp_path).stdout
    with_prices = run("--output", "-", "--count", "500", cwd=tmp_path).stdout
    assert csv == "".join(line.rpartition(",")[0] + "\n" for line in with_prices.splitlines())
    assert "price" not in run("--output", "-", "--format", "jsonl", "--no-price", cwd=tmp_path).stdout


def test_users_films_and_time_are_as_asked_for(tmp_path: Path) -> None:
    options = ["--users", "30", "--films", "5000", "--days", "0.5", "--end", "2030-01-02T12:00"]
    done = said_in_process("generate", "--output", "views.jsonl", "--count", "30000", *options, cwd=tmp_path)
    assert done.returncode == 0
    views = [json.loads(line) for line in (tmp_path / "views.jsonl").read_text().splitlines()]
    assert len({view["user_id"] for view in views}) == 30
    assert 4_000 < len({view["movie_id"] for view in views}) == len({view["title"] for view in views}) <= 5_000
    assert times(views) == ("2030-01-02T00:00", "2030-01-02T11:59")


def times(views: list[dict[str, Any]]) -> tuple[str, ...]:
    """The first and the last minute."""
    seconds = [view["timestamp"] / 1_000 for view in views]
    return tuple(f"{datetime.fromtimestamp(at, UTC):%Y-%m-%dT%H:%M}" for at in (min(seconds), max(seconds)))


def test_up_to_now(tmp_path: Path) -> None:
    before_ms = time.time() * 1_000
    done = run("--output", "-", "--format", "jsonl", "--count", "100", "--days", "0.001", "--end", "now", cwd=tmp_path)
    for line in done.stdout.splitlines():
        assert before_ms - 86_400 < json.loads(line)["timestamp"] <= time.time() * 1_000


def test_the_last_line_counts_the_faults(tmp_path: Path) -> None:
    options = ["--count", "20000", "--seed", "3", "--late-fraction", "0.02", "--bad-fraction", "0.01"]
    done = said_in_process("generate", "--output", "views.csv", *options, cwd=tmp_path)
    made = list(SyntheticViews(count=20_000, seed=3, late=0.02, bad=0.01).chunks())
    late, bad = sum(len(rows.late) for rows in made), sum(len(rows.damages) for rows in made)
    assert done.stderr == f"Wrote 20,000 views to views.csv, {late} of them late and {bad} bad.\n"
    with ViewsFile(tmp_path / "views.csv") as file:
        chunks = list(file.chunks(3_600_000))
    assert sum(map(len, chunks)) == 20_000 - bad
    assert sum(len(chunk.refused) for chunk in chunks) == bad


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ([], "--output: expected exactly one of --output and --to-topic, got 'none'"),
        (["-o", "a.csv", "--to-topic"], "--output: expected exactly one of --output and --to-topic, got 'both'"),
        (["-o", "a.csv", "--rate", "5"], "--rate: expected --to-topic beside it, not --output"),
        (["--to-topic", "--format", "csv"], "--format: expected --output beside it, not --to-topic"),
        (
            ["--to-topic", "--rate", "inf"],
            "--rate: expected a number of events/s, or 0 for as fast as it goes, got 'inf'",
        ),
        (
            ["-o", "a.csv", "--late-fraction", "0.6", "--bad-fraction", "0.5"],
            "--late-fraction: expected shares from 0 on, which with --bad-fraction make up 1 at most, "
            "got '0.6 and 0.5'",
        ),
        (["-o", "a.csv", "--days", "0"], "--days: expected a number above 0, of 36,500 at most, got '0'"),
        (["-o", "a.csv", "--days", "nan"], "--days: expected a number above 0, of 36,500 at most, got 'nan'"),
        (
            ["-o", "a.csv", "--end", "noon"],
            "--end: expected a time such as 2024-11-01T20:00 (UTC), or now, got 'noon'",
        ),
        (
            ["-o", "a.csv", "--end", "1970-01-03"],
            "--end: expected views after 1970-01-01 and before 9999-12-31, got '2.0 days up to 1970-01-03T00:00'; "
            "name another end, or fewer --days",
        ),
        (
            ["-o", "a.csv", "--end", "1970-01-05", "--late-fraction", "0.1"],
            "--end: expected views after 1970-01-01 and before 9999-12-31, got '5.2 days up to 1970-01-05T00:00'; "
            "name another end, or fewer --days",
        ),
    ],
)
def test_what_cannot_be_meant_is_one_line(tmp_path: Path, options: list[str], line: str) -> None:
    done = said_in_process("generate", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("faults", [(), ("--late-fraction", "0.05", "--bad-fraction", "0.05")])
def test_to_the_topic(settings: Settings, tmp_path: Path, faults: tuple[str, ...]) -> None:
    options = "--count", "5000", "--seed", "5", *faults
    initialize(settings)
    said = succeed(settings, "generate", "--to-topic", *options)
    assert re.fullmatch(
        rf"Sent 5,000 views to the topic {settings.kafka_topic} in [\d.]+ s \([\d,]+/s\)"
        + (r", \d+ of them late and \d+ bad.\n" if faults else r"\.\n"),
        said,
    )
    succeed(settings, "generate", "--output", str(tmp_path / "views.jsonl"), *options)
    lines = (tmp_path / "views.jsonl").read_bytes().split(b"\n")[:-1]
    assert Counter(value for part in log_of(settings) for _, _, value in part) == Counter(lines)


@pytest.mark.long
def test_a_worker_refuses_the_late_and_the_bad(settings: Settings) -> None:
    initialize(settings)
    faults = "--late-fraction", "0.05", "--bad-fraction", "0.05"
    said = succeed(settings, "generate", "--to-topic", "--count", "5000", *faults)
    counts = re.search(r", (\d+) of them late and (\d+) bad", said)
    assert counts
    succeed(settings, "worker", "--until-end")
    letters = [headers for part in records(settings, settings.dead_letters_topic) for _, headers in part]
    assert Counter(headers["kind"] for headers in letters) == {b"late": int(counts[1]), b"bad": int(counts[2])}
    reasons = Counter(headers["reason"].decode().partition(":")[0] for headers in letters)
    assert reasons.keys() == {"late", "title", "rating", "timestamp", "user_id", "not UTF-8", "not JSON"}
    with database(settings) as db:
        counted = sum(genre["total_views"] for genre in db["category_stats"].find())
    assert counted == 5_000 - int(counts[1]) - int(counts[2])


def test_where_there_is_no_topic(settings: Settings) -> None:
    done = command(settings, "generate", "--to-topic")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: the topic {settings.kafka_topic} does not exist on ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_told_to_stop_it_says_how_many_were_sent(
    settings: Settings, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    initialize(settings)
    options = "--to-topic", "--count", "1000000", "--rate", "500"
    with started(settings, "generate", *options, log=tmp_path / "log") as process:
        deadline = time.monotonic() + PATIENCE_S
        while sum(map(len, log_of(settings))) < 100:  # the first of them are acknowledged then
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(number)
        assert process.wait(PATIENCE_S) == code  # all of them would take half an hour
    said = re.fullmatch(
        rf"Stopped: ([\d,]+) views are known to stand in the topic {settings.kafka_topic}\.\n",
        (tmp_path / "log").read_text(),
    )
    assert said
    assert 0 < int(said[1].replace(",", "")) <= sum(map(len, log_of(settings)))


def test_a_terminal_gets_a_bar(settings: Settings) -> None:
    initialize(settings)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, "--to-topic", "--count", "3000"],
        env=environment(settings, TERM="xterm"),
        stdout=subprocess.DEVNULL,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
    os.close(ours)
    assert process.returncode == 0
    assert b"3000/3000" in shown
    assert b" views/s" in shown


def _read(terminal: int) -> bytes:
    """What was written to the terminal; nothing once its writer has ended."""
    try:
        return os.read(terminal, 65_536)
    except OSError:
        return b""


@pytest.mark.parametrize("name", ["views.csv.gz", "views.jsonl.zst", "views.ndjson", "views.parquet", "views"])
def test_what_it_writes_is_what_produce_reads(settings: Settings, tmp_path: Path, name: str) -> None:
    options = "--count", "3000", "--seed", "7"
    done = said_in_process("generate", "--output", name, *options, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, f"Wrote 3,000 views to {name}.\n")
    with source_of(tmp_path / name).open() as views:
        values = [value for chunk in views.chunks(3_600_000) for value in chunk.values]
    assert values == [ENCODER.encode(View(*row)) for row in table(3_000, 7)]


def test_parquet_has_the_types_of_the_contract(tmp_path: Path) -> None:
    said_in_process("generate", "--output", "views.parquet", "--count", "50", "--no-price", cwd=tmp_path)
    schema = parquet.ParquetFile(tmp_path / "views.parquet").schema_arrow
    kinds = dict(zip(schema.names, map(str, schema.types), strict=True))
    texts = dict.fromkeys(("movie_id", "title", "genre", "user_id"), "string")
    assert kinds == {**texts, "timestamp": "int64", "rating": "double", "duration": "int64"}


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            ["-o", "a.xlsx"],
            "--output: expected a name that ends in .csv, .jsonl or .parquet (the first two also in .gz or .zst), "
            "got 'a.xlsx'; or say what it is: --format csv",
        ),
        (["-o", "a.json"], "--output: expected a name that ends in .csv, .jsonl or .parquet"),
        (["-o", "a.parquet.gz"], "--output: expected a name without .gz and .zst for Parquet, which is packed anyway"),
        (
            ["-o", "a.parquet", "--bad-fraction", "0.1"],
            "--bad-fraction: expected csv or jsonl for views that are spoilt, which Parquet cannot hold",
        ),
    ],
)
def test_another_kind_of_file_is_not_written_as_csv(tmp_path: Path, options: list[str], line: str) -> None:
    done = said_in_process("generate", *options, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert done.stderr.startswith(f"error: {line}")
    assert list(tmp_path.iterdir()) == []


def test_where_pyarrow_is_not_installed_it_is_asked_for(tmp_path: Path) -> None:
    code = "import sys; sys.modules['pyarrow'] = None; from movie_stream.cli import main; main()"
    command = [sys.executable, "-c", code, "generate", "-o", "views.parquet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    expected = (
        "error: views.parquet: Parquet takes pyarrow, which is not installed: pip install 'movie-stream[parquet]'\n"
    )
    assert (done.returncode, done.stderr) == (1, expected)
    assert list(tmp_path.iterdir()) == []
