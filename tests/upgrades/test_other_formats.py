"""Data in another format is named and left alone; workers of that format are not disturbed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from movie_stream.runs.fingerprint import FORMAT
from movie_stream.settings import Settings
from tests.support import reference
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, command, database, documents, environment, log_of, started, succeed
from tests.upgrades.views import send, views

ROOT = Path(__file__).parents[2]


def of_format(number: int, settings: Settings, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tests.upgrades.other_version", str(number), *arguments],
        env=environment(settings),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


def stored(settings: Settings) -> dict[str, list[dict[str, Any]]]:
    """All documents but those of the workers that run."""
    with database(settings) as db:
        names = [name for name in db.list_collection_names(filter={"type": "collection"}) if name != "_workers"]
        return {name: list(db[name].find().sort("_id")) for name in names}


@pytest.mark.long
def test_a_worker_of_another_format_is_refused_and_disturbs_nobody(settings: Settings, tmp_path: Path) -> None:
    log = tmp_path / "worker.log"
    initialize(settings)
    send(settings, views(0, 200))
    with started(settings, "worker", log=log) as worker:
        deadline = time.monotonic() + PATIENCE_S
        while "goes on at offset" not in log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.05)
        refused = of_format(FORMAT + 1, settings, "worker")
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
        assert f"what is stored has format {FORMAT}, and this version reads and writes format {FORMAT + 1}" in (
            refused.stderr
        )
        assert "nothing was changed" in refused.stderr
        assert refused.stderr.endswith("movie-stream rebuild\n")
        send(settings, views(200, 400))
        succeed(settings, "worker", "--until-end")
        assert worker.poll() is None
    with database(settings) as db:
        assert reference.same(documents(db), reference.expected(log_of(settings)).documents) == []


@pytest.mark.long
def test_an_older_worker_names_a_newer_format_and_leaves_all_of_it_alone(settings: Settings) -> None:
    initialize(settings)
    send(settings, views(0, 200))
    newer = of_format(FORMAT + 1, settings, "worker", "--until-end")
    assert newer.returncode == 0, newer.stderr
    before = stored(settings)
    refused = command(settings, "worker")
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1), refused.stderr
    assert f"begun by a newer version of movie-stream: what is stored has format {FORMAT + 1}" in refused.stderr
    assert stored(settings) == before


@pytest.mark.parametrize("number", [FORMAT - 1, FORMAT + 1])
@pytest.mark.long
def test_a_rebuild_takes_over_what_another_format_has_left(settings: Settings, number: int) -> None:
    initialize(settings)
    send(settings, views(0, 300))
    assert of_format(number, settings, "worker", "--until-end").returncode == 0
    succeed(settings, "rebuild", "--yes")
    succeed(settings, "worker", "--until-end")
    with database(settings) as db:
        assert reference.same(documents(db), reference.expected(log_of(settings)).documents) == []
