"""What tests do to a server that runs as a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager

from movie_stream.embedded.process import GuardedProcess


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
        os.kill(self.process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.process.pid, signal.SIGCONT)
