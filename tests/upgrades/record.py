"""Records the state that this version leaves behind, for the tests of the versions after it.

    python -m tests.upgrades.record              # of this checkout, as tests/data/releases/<version>.msgpack.xz
    python -m tests.upgrades.record NAME FOLDER  # of the checkout in FOLDER, as NAME

Done once for each release, before it is tagged; a file is never made anew to have a test pass. The state holds views
that are counted, and some that are not; partials of which no documents are made yet; dead letters, copies of refused
records, and figures that have left the memory.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

from movie_stream import __version__
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.runs.progress import wait_until_counted
from movie_stream.settings import Settings
from tests.support.whole_path import environment
from tests.upgrades.release import ALERTS, PLACEHOLDER, Release, dump, named, write
from tests.upgrades.views import RULES, send, send_copies, views

ROOT: Final = Path(__file__).parents[2]
COUNTED, BEHIND, UNCOUNTED = (0, 900), (900, 1_200), (1_200, 1_400)
"""Numbers of views: those in documents, those of which partials wait, and those that no worker has seen."""
ROWS: Final = "300"
"""So many rows stay in memory; the others lie in MongoDB."""
ENDS_WITHIN_S: Final = 120.0


def recorded(settings: Settings, version: str, checkout: Path) -> Release:
    """Has the workers of a checkout count, and one of them end by kill -9; the data afterwards."""
    _run(settings, checkout, "-c", "from movie_stream.entry import main; main()", "init").wait(ENDS_WITHIN_S)
    counted = views(*COUNTED)
    send(settings, counted)
    worker = _run(settings, checkout, "-m", "tests.chaos.crashing", "none", "1", ROWS)
    try:
        asyncio.run(wait_until_counted(settings))
        assert send_copies(settings, counted)
        asyncio.run(wait_until_counted(settings))
    finally:
        worker.terminate()
    assert worker.wait(ENDS_WITHIN_S) == 0
    send(settings, views(*BEHIND))
    crashing = _run(settings, checkout, "-m", "tests.chaos.crashing", "publish: before the documents", "2", ROWS)
    assert crashing.wait(ENDS_WITHIN_S) == -signal.SIGKILL
    send(settings, views(*UNCOUNTED))
    return dump(settings, version)


def _run(settings: Settings, checkout: Path, *arguments: str) -> subprocess.Popen[bytes]:
    alerts = {"ALERTS_FILE": str(ALERTS)} if (checkout / "movie_stream" / "alerts").exists() else {}
    known = {name: value for name, value in environment(settings, **RULES, **alerts).items() if name != "PYTHONPATH"}
    return subprocess.Popen([sys.executable, *arguments], cwd=checkout, env={**known, "PYTHONPATH": str(checkout)})


def main() -> None:
    """Records what the command line says."""
    name, folder = sys.argv[1:] or (__version__, str(ROOT))
    with tempfile.TemporaryDirectory() as state, EmbeddedServices() as services:
        os.environ["XDG_STATE_HOME"] = state
        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        own = {"kafka_bootstrap_servers": services.bootstrap_servers, "mongodb_uri": services.mongodb_uri}
        settings = named(Settings(**defaults | own), PLACEHOLDER)
        file = write(name, recorded(settings, name, Path(folder).resolve()))
    sys.stdout.write(f"{file}: {file.stat().st_size:,} bytes\n")


if __name__ == "__main__":
    main()
