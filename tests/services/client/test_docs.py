"""docs/reference/python.md and the program in examples/ run unchanged, and print the documented output."""

from __future__ import annotations

import inspect
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from movie_stream import Results
from movie_stream.settings import Settings
from tests.services.test_docs import API, ROOT
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, environment, succeed


def run(settings: Settings, folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of Python to its end."""
    # The program serves itself a page, by no proxy.
    return subprocess.run(
        [sys.executable, *arguments],
        env=environment(settings, no_proxy="127.0.0.1", **more),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def test_the_page_runs_from_its_beginning_to_its_end(settings: Settings, tmp_path: Path) -> None:
    blocks = re.findall(r"```(\w+)\n(.*?)```\n(?:\n```text\n(.*?)```\n)?", API.read_text("utf-8"), re.DOTALL)
    assert {language for language, _, _ in blocks} == {"sh", "python"}
    for language, text, shown in blocks:
        if language == "sh":
            [line] = text.splitlines()
            succeed(settings, *shlex.split(line)[1:])
        else:
            done = run(settings, tmp_path, "-c", text)
            assert (done.stdout, done.stderr) == (shown, ""), text


def test_the_table_has_every_method() -> None:
    table = dict(re.findall(r"^\| `(\w+)\(.*\)` \| .* \| (.*) \|$", API.read_text("utf-8"), re.MULTILINE))
    methods = {
        name: method for name, method in inspect.getmembers(Results, inspect.isfunction) if not name.startswith("_")
    }
    assert table.keys() == methods.keys()
    for name, choices in table.items():
        assert set(re.findall(r"`(\w+)`", choices)) == set(inspect.signature(methods[name]).parameters) - {
            "self",
            "limit",
            "every_s",
        }


EXAMPLE = str(ROOT / "examples" / "any_source.py")


@pytest.mark.long
def test_any_source(settings: Settings, tmp_path: Path) -> None:
    initialize(settings)
    done = run(settings, tmp_path, EXAMPLE)
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "item 12 of the source cannot be sent: rating: expected a number from 0 to 5, or null, got 9; "
        "correct it or leave it out",
        "Sent 11 views.",
        "0 are counted; a worker counts the others: movie-stream worker",
    ]
    succeed(settings, "worker", "--until-end")
    assert "\n11 are counted" in run(settings, tmp_path, EXAMPLE).stdout


@pytest.mark.long
@pytest.mark.parametrize("variable", ["KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI"])
def test_any_source_where_a_variable_is_missing(settings: Settings, tmp_path: Path, variable: str) -> None:
    if variable == "MONGODB_URI":
        initialize(settings)
    done = run(settings, tmp_path, EXAMPLE, **{variable: ""})
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"error: {variable} is not set: ")
    assert len(done.stderr.splitlines()) == 1
