import os
import subprocess
import sys
from pathlib import Path

import pytest

import movie_stream
from tests.support.in_process import said_in_process

SCRIPT = str(Path(sys.executable).parent / "movie-stream")
COMMANDS = (
    *("demo", "services", "init", "worker", "produce"),
    *("generate", "show", "doctor", "rebuild", "settings"),
    *("dead-letters list", "dead-letters replay"),
)
HEAVY = ("faust", "aiokafka", "motor", "pymongo", "numpy", "msgspec")


PLAIN = {"NO_COLOR": "1", "COLUMNS": "100"}


def run(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT, *arguments],
        cwd=tmp_path,
        env=os.environ | PLAIN | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_help_lists_every_command(tmp_path: Path) -> None:
    result = run(tmp_path, "--help")
    assert result.returncode == 0
    assert [command for command in COMMANDS if f" {command.split()[0]} " not in result.stdout] == []
    assert "\x1b[" not in result.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_has_an_example(tmp_path: Path, command: str) -> None:
    result = said_in_process(*command.split(), "-h", cwd=tmp_path, **PLAIN)
    assert result.returncode == 0
    assert f"movie-stream {command}" in result.stdout.partition("Examples:")[2]


def test_help_imports_nothing_heavy(tmp_path: Path) -> None:
    result = subprocess.run(
        [sys.executable, "-X", "importtime", SCRIPT, "--help"], capture_output=True, text=True, check=True
    )
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in result.stderr.splitlines()}
    assert "typer" in imported
    assert imported.isdisjoint(HEAVY)


def test_version(tmp_path: Path) -> None:
    assert run(tmp_path, "--version").stdout == f"movie-stream {movie_stream.__version__}\n"


def test_an_error_of_the_user_is_one_line(tmp_path: Path) -> None:
    result = run(tmp_path, "settings", KAFKA_PARTITIONS="many")
    assert result.returncode == 2
    assert result.stderr == "error: KAFKA_PARTITIONS: expected a whole number from 1 to 10000, got 'many'\n"
    assert result.stdout == ""


def test_settings_as_json_through_the_command(tmp_path: Path) -> None:
    assert '"KAFKA_TOPIC": {' in run(tmp_path, "settings", "--json").stdout


def test_settings_as_an_example_through_the_command(tmp_path: Path) -> None:
    assert "\n# KAFKA_TOPIC=movie-events\n" in run(tmp_path, "settings", "--example").stdout


def test_an_unknown_word_is_a_usage_error(tmp_path: Path) -> None:
    result = run(tmp_path, "show", "weather")
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("error: RESULT: expected one of movies_aggregates, ")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ("prodce", "no such command 'prodce'. Did you mean 'produce'?; see: movie-stream --help"),
        ("dead-letters lst", "no such command 'lst'. Did you mean 'list'?; see: movie-stream dead-letters --help"),
        ("--foo", "no such option: --foo; see: movie-stream --help"),
        ("produce", "missing option '--file' / '-f'; see: movie-stream produce --help"),
        ("produce --fil x", "no such option: --fil (Possible options: --file); see: movie-stream produce --help"),
        ("produce --file", "option '--file' requires an argument; see: movie-stream produce --help"),
        ("settings --json=3", "option '--json' does not take a value; see: movie-stream settings --help"),
        ("settings more", "got unexpected extra argument(s) (more); see: movie-stream settings --help"),
        ("demo --count \x1b[2J", "got '\\x1b[2J'; see: movie-stream demo --help"),
        ("demo --rate nan", "got 'nan'; see: movie-stream demo --help"),
        (
            "generate --to-topic --rate 1e400",
            "--rate: expected a number of events/s, or 0 for as fast as it goes, got ",
        ),
        ("dead-letters list --limit 99999999999999999999", "--limit: expected 1,000,000,000,000,000 at most, got "),
        ("generate --days 1e16 -o x", "--days: expected a number above 0, of 36,500 at most, got '1e+16'"),
        ("produce --file x --days 9999999999", "--days: expected 36,500 at most, got '9999999999'"),
    ],
)
def test_arguments_that_are_not_understood_are_one_line(tmp_path: Path, arguments: str, line: str) -> None:
    result = said_in_process(*arguments.split(), cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert line in result.stderr
    assert result.stderr.startswith("error: ")
    assert (result.stderr.count("\n"), result.stderr[-1]) == (1, "\n")
    assert result.stderr[:-1].isprintable()


def test_without_a_command_there_is_help(tmp_path: Path) -> None:
    result = run(tmp_path)
    assert (result.returncode, result.stderr) == (2, "")
    assert " produce " in result.stdout


def test_the_shell_can_complete(tmp_path: Path) -> None:
    result = run(tmp_path, _MOVIE_STREAM_COMPLETE="complete_bash", COMP_WORDS="movie-stream do", COMP_CWORD="1")
    assert result.stdout.split() == ["doctor"]


@pytest.mark.parametrize(
    ("word", "results"),
    [("top", ["top_movies", "top_users"]), ("top-u", ["top-users"]), ("wo", ["workers"]), ("ge", ["genres"])],
)
def test_the_shell_can_complete_results(tmp_path: Path, word: str, results: list[str]) -> None:
    words = f"movie-stream show {word}"
    asked = {"_MOVIE_STREAM_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": "2"}
    result = said_in_process(cwd=tmp_path, **asked)
    assert set(results) <= set(result.stdout.split())
    assert all(name.startswith(word) for name in result.stdout.split())
