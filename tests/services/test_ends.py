"""A worker whose broker is gone logs it immediately, and ends in order when it is stopped."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import pytest

from movie_stream.embedded.services import EmbeddedServices
from movie_stream.settings import Settings
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, started

ENDS_WITHIN_S = 15.0
"""Faust's own limit, after which it would end with 1; how long it takes is not what is tested."""


def until_said(words: str, worker: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while words not in log.read_text():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)


@pytest.mark.timeout(240)
def test_the_services_end_first_and_the_workers_second(settings: Settings, tmp_path: Path) -> None:
    logs = [tmp_path / "told-at-once.log", tmp_path / "told-later.log"]
    with EmbeddedServices() as pair:
        there = pair.applied_to(settings)
        initialize(there)
        with started(there, "worker", log=logs[0]) as first, started(there, "worker", log=logs[1]) as second:
            for worker, log in ((first, logs[0]), (second, logs[1])):
                until_said("goes on at offset", worker, log)
            pair.stop()
            first.send_signal(signal.SIGINT)
            lost = f"WARNING the broker at {there.require_broker()} does not answer (no connection: Connection refused)"
            until_said(f"{lost}: tries again for 45 s", second, logs[1])
            second.send_signal(signal.SIGINT)
            assert [worker.wait(ENDS_WITHIN_S) for worker in (first, second)] == [0, 0]
    for log in logs:
        said = log.read_text()
        assert not [line for line in said.splitlines() if "Traceback" in line or "error: " in line], said
        assert said.count("ends without a last checkpoint; nothing is lost") == 1
        assert "stops; read 0 events" in said.splitlines()[-1]
        assert "delete" not in said, "the embedded broker is known to delete nothing"
