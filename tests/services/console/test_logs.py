"""What of the log reaches a person."""

from __future__ import annotations

import subprocess
import sys

import pytest

SAY_ALL = """
import logging
from movie_stream.console import logs
logs.set_up({level!r})
for name in ("movie_stream.agents.worker", "aiokafka.consumer", "faust.app", "movie_stream.kafka.fetch.transport"):
    for level in ("DEBUG", "INFO", "WARNING"):
        logging.getLogger(name).log(logging.getLevelName(level), "%s of %s", level, name)
with logs.unlogged("motor", "expected"):
    logging.getLogger("motor").error("expected")
    logging.getLogger("motor").error("another")
logging.getLogger("motor").error("expected no more")
"""
OURS, LIBRARIES = "movie_stream.agents.worker", ("faust.app", "movie_stream.kafka.fetch.transport")


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [
        ("DEBUG", ["DEBUG", "INFO", "WARNING"], ["INFO", "WARNING"]),
        ("INFO", ["INFO", "WARNING"], ["WARNING"]),
        ("WARNING", ["WARNING"], ["WARNING"]),
        ("ERROR", [], []),
    ],
)
def test_ours_is_shown_from_its_level_on_and_what_libraries_say_where_it_matters(
    level: str, ours: list[str], theirs: list[str]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY_ALL.format(level=level)], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == "", "that is for the line that says why a command failed"
    said = [line.split(maxsplit=1)[1] for line in done.stdout.splitlines()]
    wanted = [f"{at:<7} {at} of {OURS}" for at in ours]
    libraries = ("aiokafka.consumer", *LIBRARIES) if level == "DEBUG" else LIBRARIES
    wanted += [f"{at:<7} {at} of {name}" for name in libraries for at in theirs]
    assert said == [*wanted, "ERROR   another", "ERROR   expected no more"]


SAY_WHAT_STRANGERS_WROTE = """
import logging
from movie_stream.console import logs
from movie_stream import masking
logs.set_up("INFO")
masking.keep_secret("hunter2!", user="ana")
log = logging.getLogger("movie_stream.agents.worker")
log.error("%s left out", "Alien\\x1b[2J\\x9b1;1H\\n2026-11-23T21:25:14Z INFO    all is fine")
try:
    raise ValueError("ana with hunter2!")
except ValueError:
    log.exception("failed with %r", b"ana\\0hunter2!")
"""


def test_a_message_is_a_line_and_holds_neither_secrets_nor_what_a_terminal_obeys() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SAY_WHAT_STRANGERS_WROTE], capture_output=True, text=True, timeout=60, check=True
    )
    first, second, *trace = done.stdout.splitlines()
    assert first.endswith("Alien\ufffd[2J\ufffd1;1H\ufffd2026-11-23T21:25:14Z INFO    all is fine left out")
    assert second.endswith(r"failed with b'ana\x00***'")
    assert trace[-1] == "ValueError: ana with ***"
