"""`movie-stream generate` as a user runs it."""

import subprocess
import sys
from pathlib import Path

import pytest

from movie_stream.commands.generate import generate
from movie_stream.errors import UsageError
from movie_stream.replay.generate import COLUMNS, generate_rows

COMMAND = [sys.executable, "-c", "from movie_stream.cli import main; main()", "generate"]


def run(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *options], cwd=cwd, capture_output=True, text=True, check=False)


def expected(count: int, seed: int) -> str:
    return ",".join(COLUMNS) + "\n" + "".join(rows.to_csv() for rows in generate_rows(count, seed))


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
    done = run("--output", "views.csv", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == (
        "error: --output: expected a file that does not exist yet, got 'views.csv'; remove it first, or name another\n"
    )
    assert (tmp_path / "views.csv").read_text() == "mine"


@pytest.mark.parametrize("output", ["no/such/folder.csv", "/dev/full"])
def test_where_nothing_can_be_written(tmp_path: Path, output: str) -> None:
    done = run("--output", output, cwd=tmp_path)
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
    assert process.returncode == 0


def test_an_unfinished_file_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("movie_stream.replay.generate.GeneratedRows.to_csv", interrupt)
    with pytest.raises(KeyboardInterrupt):
        generate(output=tmp_path / "views.csv", count=10, seed=0)
    assert list(tmp_path.iterdir()) == []


def test_a_count_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--count: expected a whole number from 0, got '-1'"):
        generate(output=tmp_path / "views.csv", count=-1, seed=0)


def test_no_views_are_a_header(tmp_path: Path) -> None:
    generate(output=tmp_path / "views.csv", count=0, seed=0)
    assert (tmp_path / "views.csv").read_text() == ",".join(COLUMNS) + "\n"
