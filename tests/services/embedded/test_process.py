"""Programs of every kind of manners, and parents that die in every way: nothing may stay behind."""

import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from movie_stream.embedded import guard
from movie_stream.embedded.process import GuardedProcess
from movie_stream.errors import EmbeddedFailed

LIMIT_S = 20.0
SLEEPER = [sys.executable, "-c", "import time; print('up', flush=True); time.sleep(600)"]
DEAF = [
    sys.executable,
    "-c",
    "import signal, time; signal.signal(15, signal.SIG_IGN); print('up', flush=True); time.sleep(600)",
]
PARENT = """
import os, sys, time
from movie_stream.embedded.process import GuardedProcess
process = GuardedProcess("sleeper", [sys.executable, "-c", "import time; time.sleep(600)"])
if "fork" in sys.argv and os.fork() == 0:
    os.write(1, f"{os.getpid()}\\n".encode())
    time.sleep(600)
os.write(1, f"{process.pid} {process.folder}\\n".encode())
time.sleep(600)
"""


def until_it_prints(process: GuardedProcess) -> None:
    while "up" not in process.log():
        assert process.exit_code() is None
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    try:
        process = psutil.Process(pid)
    except psutil.NoSuchProcess:
        return True
    return not psutil.wait_procs([process], timeout=LIMIT_S)[1]


def test_a_program_runs_in_a_folder_of_its_own_until_it_is_stopped() -> None:
    with GuardedProcess("sleeper", SLEEPER) as process:
        until_it_prints(process)
        assert process.exit_code() is None
        assert psutil.Process(process.pid).cwd() == str(process.folder)
    assert is_gone(process.pid)
    assert not process.folder.exists()
    process.stop()


def test_a_program_that_ignores_sigterm_is_killed() -> None:
    with GuardedProcess("deaf", DEAF) as process:
        until_it_prints(process)
    assert is_gone(process.pid)


def test_the_error_of_a_program_that_ended_has_its_exit_code_and_last_lines() -> None:
    with GuardedProcess("brief", [sys.executable, "-c", "print('farewell'); raise SystemExit(7)"]) as process:
        assert select.select([process.status], [], [], LIMIT_S)[0]
        assert (process.exit_code(), process.exit_code()) == (7, 7)
        assert process.log() == "farewell\n"


def test_the_error_of_a_killed_program_has_the_signal() -> None:
    with GuardedProcess("sleeper", SLEEPER) as process:
        os.kill(process.pid, signal.SIGKILL)
        assert select.select([process.status], [], [], LIMIT_S)[0]
        assert process.exit_code() == -signal.SIGKILL


def test_a_program_that_is_not_there() -> None:
    with pytest.raises(EmbeddedFailed, match="the embedded ghost failed: No such file or directory: /no/such/program"):
        GuardedProcess("ghost", ["/no/such/program"])


def test_a_program_sees_none_of_our_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LISTENER_URL", "tcp://0.0.0.0:9092")
    with GuardedProcess("env", [sys.executable, "-c", "import os; print(*os.environ)"]) as process:
        assert select.select([process.status], [], [], LIMIT_S)[0]
        assert process.exit_code() == 0
        assert "LISTENER_URL" not in process.log()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_program_ends_with_its_parent(number: signal.Signals) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", PARENT], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as parent:
        assert parent.stdout is not None
        pid, _, folder = parent.stdout.readline().strip().partition(" ")
        [guardian] = psutil.Process(parent.pid).children()
        parent.send_signal(number)
    assert is_gone(int(pid))
    assert is_gone(guardian.pid)
    assert not Path(folder).exists()


def test_a_fork_of_a_killed_parent_does_not_keep_the_program_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", PARENT, "fork"], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        lines = sorted((parent.stdout.readline().split() for _ in range(2)), key=len)
        [fork], [program, _folder] = lines
        parent.kill()
        try:
            assert is_gone(int(program))
        finally:
            os.kill(int(fork), signal.SIGKILL)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a child of its parent's death")
def test_a_program_ends_with_its_guard() -> None:
    with GuardedProcess("sleeper", SLEEPER) as process:
        guardian = psutil.Process(process.pid).parent()
        assert guardian is not None
        guardian.kill()
        assert is_gone(process.pid)
        assert process.exit_code() == -signal.SIGKILL
        for file in process.folder.iterdir():
            file.unlink()
        process.folder.rmdir()


def test_a_guard_ends_its_program_on_request() -> None:
    with GuardedProcess("sleeper", SLEEPER) as process:
        guardian = psutil.Process(process.pid).parent()
        assert guardian is not None
        guardian.send_signal(signal.SIGINT)
        guardian.terminate()
        assert is_gone(process.pid)
        process.stop()
        assert not process.folder.exists()


def test_the_guard_needs_nothing_but_the_standard_library() -> None:
    result = subprocess.run(
        [sys.executable, "-I", "-S", guard.__file__, sys.executable, "-c", "pass"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=True,
    )
    assert result.stdout.startswith("started ")
    assert result.stderr == ""
