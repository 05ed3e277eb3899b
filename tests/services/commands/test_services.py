"""`movie-stream services` as a user runs it, and every moment at which one may lose patience with it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.processes import below

LIMIT_S = 30.0


@pytest.fixture
def running(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [str(Path(sys.executable).parent / "movie-stream"), "services"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        yield process
        process.kill()


def _wait_for(process: subprocess.Popen[str], programs: int) -> list[psutil.Process]:
    """Wait until it has started that many processes; fewer where it was faster to end."""
    while len(found := list(below(process.pid))) < programs and process.poll() is None:
        time.sleep(0.005)
    return found


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_prints_two_exports_and_ends_well(running: subprocess.Popen[str], number: signal.Signals) -> None:
    assert running.stdout is not None
    exports = [running.stdout.readline(), running.stdout.readline()]
    assert exports[0].startswith("export KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:")
    assert exports[1].startswith("export MONGODB_URI=mongodb://127.0.0.1:")
    descendants = below(running.pid)
    running.send_signal(number)
    rest, prose = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 0
    assert rest == ""
    assert "gone when they end" in prose
    assert not psutil.wait_procs(descendants, timeout=LIMIT_S)[1]


@pytest.mark.parametrize("programs", range(5))
@pytest.mark.parametrize("times", [1, 2])
def test_an_interrupt_at_any_moment_of_the_start_leaves_nothing(
    running: subprocess.Popen[str], programs: int, times: int
) -> None:
    started = _wait_for(running, programs)
    for _ in range(times):
        started += below(running.pid)
        running.send_signal(signal.SIGINT)
    _, prose = running.communicate(timeout=LIMIT_S)
    assert not psutil.wait_procs(set(started), timeout=LIMIT_S)[1]
    if programs > 0:
        assert running.returncode == 0
        assert "Traceback" not in prose


def test_the_death_of_a_service_ends_it_with_one_line(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    running.stdout.readline()
    [tansu] = [child for child in below(running.pid) if child.name() == "tansu"]
    os.kill(tansu.pid, signal.SIGKILL)
    _, prose = running.communicate(timeout=LIMIT_S)
    assert running.returncode == 1
    assert "error: the embedded Kafka broker failed: it ended with signal 9" in prose
    assert "Traceback" not in prose
