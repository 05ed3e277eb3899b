"""What tests do to a server that runs as a process of its own."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

from movie_stream.embedded.process import GuardedProcess

_PAUSED_WITHIN_S: Final = 30


def pause(pid: int) -> None:
    """SIGSTOP, and wait until every thread has stopped: on a busy machine the others still answer for a while."""
    os.kill(pid, signal.SIGSTOP)
    deadline = time.monotonic() + _PAUSED_WITHIN_S
    while not _is_paused(pid):
        assert time.monotonic() < deadline, f"process {pid} does not stop"
        time.sleep(0.001)


def _is_paused(pid: int) -> bool:
    threads = list(Path(f"/proc/{pid}/task").glob("*/stat"))
    if not threads:  # no Linux
        return psutil.Process(pid).status() == psutil.STATUS_STOPPED
    try:
        return all(thread.read_text().rpartition(")")[2].split()[0] in "TtZX" for thread in threads)
    except (FileNotFoundError, ProcessLookupError):  # a thread that has just ended
        return False


class ServerProcess:
    """A server that can be killed and paused; whoever extends it starts it."""

    process: GuardedProcess

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It answers nobody, and closes no connection."""
        pause(self.process.pid)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)
