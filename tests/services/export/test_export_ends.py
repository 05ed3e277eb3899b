"""How `export` ends: what cannot be meant, standard output, and signals."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from movie_stream.aggregates import results
from movie_stream.commands.export.command import names_to_export
from movie_stream.errors import UsageError
from movie_stream.settings import Settings
from tests.services.export.conftest import EVENTS, Db, files, run
from tests.support.whole_path import COMMAND, PATIENCE_S, environment

NAMES = [result.collection for result in results.RESULTS]


@pytest.mark.parametrize(
    ("what", "to", "options", "words"),
    [
        (["nothing"], "x.csv", {}, r"RESULT: expected one of movies_aggregates, .*windows, .*all, got 'nothing'"),
        (["all", "days"], "x/", {}, "RESULT: expected nothing besides all"),
        (["days"], "x.txt", {}, r"--to: expected a name that ends in \.csv, .*--format csv"),
        (["days"], "x.xlsx.gz", {}, "--to: expected a name that ends in"),
        (["days"], "x", {"named": "pdf"}, "--format: expected one of csv, ndjson, parquet, xlsx"),
        (["days", "hours"], "x.csv", {}, "--to: expected a folder for several results"),
        (["days", "hours"], "-", {}, "--to: expected a folder for several results"),
        (["days"], "-", {"named": "xlsx"}, "--format: expected csv or ndjson for standard output"),
        (["days"], "-", {"overwrite": True}, "--overwrite: expected a file or a folder"),
        (["days"], "", {}, "--to: expected the name of a file"),
        (["days"], "delta:", {}, "--to: expected a folder of this machine"),
        (["days"], "delta:s3://a/b", {}, "--to: expected a folder of this machine"),
        (["days"], "delta:x", {"by": "day"}, "--by: expected a folder of files"),
        (["days"], "delta:x", {"overwrite": True}, "--overwrite: expected files"),
        (["days"], "delta:x", {"named": "csv"}, "--format: expected a file or a folder"),
        (["days"], "x.parquet", {"bom": True}, "--bom: expected CSV"),
        (["days"], "x.csv", {"since": "soon"}, "--since: expected a time"),
        (["days"], "x.csv", {"since": "2024-02-01", "until": "2024-01-01"}, "--until: expected a time after"),
        (["hours"], "x.csv", {"genre": "drama"}, "--genre: expected a result by genre"),
        (["genres"], "x.csv", {"since": "2h"}, "--since: expected a result by minute"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_is_asked(
    what: list[str], to: str, options: dict[str, Any], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    nowhere = Settings.model_construct(mongodb_uri=SecretStr("mongodb://127.0.0.1:1"))
    with pytest.raises(UsageError, match=words):
        run(nowhere, *what, to=to, **options)
    assert files(tmp_path) == []


def movie_stream(settings: Settings, *words: str, **options: Any) -> subprocess.Popen[bytes]:
    return subprocess.Popen([COMMAND, *words], env=environment(settings), stderr=subprocess.PIPE, **options)


def test_to_standard_output(filled: Settings, db: Db) -> None:
    with movie_stream(filled, "export", "windows", "--to", "-", stdout=subprocess.PIPE) as running:
        out, err = running.communicate(timeout=PATIENCE_S)
    assert (running.returncode, err) == (0, b"")
    assert out.count(b"\r\n") == 1 + db.movies_aggregates.count_documents({})
    with (
        Path("/dev/full").open("wb") as full,
        movie_stream(filled, "export", "windows", "--to", "-", "--format", "ndjson", stdout=full) as running,
    ):
        _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == 1
    assert err.startswith(b"error: standard output cannot be written (No space left on device)")


HELD = """
import sys, time
from movie_stream.entry import main
from movie_stream.export.documents import Documents
real = Documents.pages
def pages(self, query):
    for page in real(self, query):
        yield page
        print("held", flush=True)
        time.sleep(600)
Documents.pages = pages
main()
"""
"""The command, which goes no further than a first page."""


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGINT, 130, "x.xlsx"), (signal.SIGTERM, 143, "x.csv.gz"), (signal.SIGINT, 130, "x.parquet")],
)
def test_a_signal_leaves_nothing_behind(filled: Settings, number: int, code: int, name: str, tmp_path: Path) -> None:
    words = [sys.executable, "-c", HELD, "export", "windows", "--to", str(tmp_path / name)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(words, env=environment(filled), **pipes) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"held\n"
        assert any(path.name.endswith(".part") for path in tmp_path.iterdir())
        running.send_signal(number)
        _, err = running.communicate(timeout=PATIENCE_S)
    assert running.returncode == code
    assert err.decode() == f"Stopped: nothing of movies_aggregates was written to {tmp_path / name}.\n"
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_export_left_is_removed_by_the_next(filled: Settings, tmp_path: Path) -> None:
    """But not the files that another still writes, nor foreign files."""
    words = [sys.executable, "-c", HELD, "export", "windows", "--format", "xlsx", "--by", "day", "--to", str(tmp_path)]
    folder = tmp_path / "movies_aggregates"

    def parts() -> list[str]:
        return sorted(path.name for path in folder.iterdir() if path.name.endswith(".part"))

    def again() -> None:
        run(filled, "windows", to=tmp_path, named="xlsx", by="day")

    with subprocess.Popen(words, env=environment(filled), stdout=subprocess.PIPE) as running:
        assert running.stdout is not None
        assert running.stdout.readline() == b"held\n"
        (folder / ".mine.part").touch()
        (folder / ".2024-10-30.csv.0123456789ab.part").touch()
        assert len(parts()) == 4
        again()
        assert len(parts()) == 4
        running.kill()
    again()
    assert parts() == [".2024-10-30.csv.0123456789ab.part", ".mine.part"]


def test_names_complete() -> None:
    assert set(names_to_export()) >= {*NAMES, "all", "windows"}
    assert len(EVENTS) == 200
