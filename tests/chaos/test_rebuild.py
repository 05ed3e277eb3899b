"""`movie-stream rebuild`, cut off by kill -9 after each of its steps: done again, or by a worker, all is right."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from movie_stream.settings import Settings
from tests.chaos.scenario import LONG
from tests.support import reference
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, database, documents, environment, log_of, succeed

VIEWS: Final = 3_000
STEPS: Final = {
    "3, MongoDB takes writes": ("movie_stream.mongo.schema", "ensure"),
    "4, it has joined": ("movie_stream.runs.rewind", "_share"),
    "4, the offsets are set back": ("movie_stream.runs.rewind", "rewind"),
    "5, the new run has begun": ("movie_stream.mongo.runs", "start_new"),
    "6, some documents are deleted": ("movie_stream.mongo.runs", "delete_older"),
    "6, it is noted": ("movie_stream.mongo.runs", "clear"),
}
"""The function that a process has come to the end of when it dies."""
CUT_OFF: Final = """
import importlib, os, signal
from movie_stream.cli import main
module = importlib.import_module({module!r})
step = getattr(module, {name!r})
async def cut_off(*arguments):
    if {name!r} == "delete_older":
        arguments = (arguments[0], list(arguments[1])[:2], arguments[2])
    await step(*arguments)
    os.kill(os.getpid(), signal.SIGKILL)
setattr(module, {name!r}, cut_off)
main()
"""


@LONG
@pytest.mark.timeout(600)
def test_a_rebuild_that_is_cut_off_is_done_again_or_by_a_worker(settings: Settings, tmp_path: Path) -> None:
    views = str(tmp_path / "views.csv")
    initialize(settings)
    succeed(settings, "generate", "--output", views, "--count", str(VIEWS), "--seed", "31")
    succeed(settings, "produce", "--file", views)
    succeed(settings, "worker", "--until-end")
    wanted = reference.expected(log_of(settings)).documents
    for nth, (step, (module, name)) in enumerate(STEPS.items()):
        done = subprocess.run(
            [sys.executable, "-c", CUT_OFF.format(module=module, name=name), "rebuild", "--yes"],
            env=environment(settings),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        assert done.returncode == -signal.SIGKILL, f"{step}: {done.stderr}"
        if nth % 2:
            succeed(settings, "rebuild", "--yes")
        succeed(settings, "worker", "--until-end")
        with database(settings) as db:
            assert reference.same(documents(db), wanted) == [], step
            assert db["_runs"].find_one()["cleared"] is True, step
