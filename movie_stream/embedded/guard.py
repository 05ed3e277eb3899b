"""A supervisor process between the parent and an embedded program; it ends the program when the parent is gone.

    python guard.py PROGRAM ARGUMENT...

It creates a temporary folder, runs the program in it, and writes to standard output `started PID FOLDER`, or
`failed REASON`; then `ended EXIT_CODE`, if the program ends unexpectedly. Once its standard input closes (its
parent closed it or died, kill -9 included) or it gets SIGTERM, it ends the program and removes the folder.

It is run as a file by a bare interpreter, so it uses only the standard library. It has one thread: Linux sends the
parent-death signal to a child when the *thread* that started the child ends.
"""

import ctypes
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from types import FrameType

GRACE_S = 3.0
_PARENT_CHECK_S = 1.0
_PR_SET_PDEATHSIG = 1


def guard(command: list[str]) -> None:
    """Runs the command until the parent is gone or ends it, then removes its folder."""
    parent = os.getppid()
    wakeup_fd = _wakeup_fd(signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    folder = tempfile.mkdtemp(prefix="movie-stream-")
    try:
        program = _start(command, folder)
        try:
            _report(f"started {program.pid} {folder}")
            _wait_until_unwanted(program, wakeup_fd, parent)
        finally:
            _end(program)
    except OSError as error:
        _report(f"failed {error.strerror}: {command[0]}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


_terminated = False


def _wakeup_fd(*signals: signal.Signals) -> int:
    """A descriptor that is readable once one of the signals has arrived; none of them ends this process."""
    read_fd, write_fd = os.pipe()
    os.set_blocking(read_fd, False)
    os.set_blocking(write_fd, False)
    signal.set_wakeup_fd(write_fd, warn_on_full_buffer=False)
    for number in signals:
        signal.signal(number, _note)
    return read_fd


def _note(number: int, _frame: FrameType | None) -> None:
    global _terminated
    _terminated = _terminated or number == signal.SIGTERM


def _start(command: list[str], folder: str) -> subprocess.Popen[bytes]:
    libc = ctypes.CDLL(None) if sys.platform == "linux" else None

    def die_with_the_guard() -> None:
        if libc is not None:
            libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)

    with (Path(folder) / "log").open("wb") as log:
        return subprocess.Popen(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            preexec_fn=die_with_the_guard,
        )


def _wait_until_unwanted(program: subprocess.Popen[bytes], wakeup_fd: int, parent: int) -> None:
    reported = False
    # A fork of the parent may hold the pipe open, so the parent's id is checked too.
    while not _terminated and os.getppid() == parent:
        if not reported and program.poll() is not None:
            _report(f"ended {program.returncode}")
            reported = True
        readable, _, _ = select.select([0, wakeup_fd], [], [], _PARENT_CHECK_S)
        if 0 in readable and not os.read(0, 1):
            return
        if wakeup_fd in readable:
            os.read(wakeup_fd, 1024)


def _end(program: subprocess.Popen[bytes]) -> None:
    program.terminate()
    try:
        program.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        program.kill()
        program.wait()


def _report(line: str) -> None:
    try:
        os.write(1, f"{line}\n".encode())
    except BrokenPipeError:
        # The parent has gone; then standard input is closed too, which ends the loop.
        return


if __name__ == "__main__":
    guard(sys.argv[1:])
