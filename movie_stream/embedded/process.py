"""An embedded program as a child process that cannot outlive its parent.

A guard process (`guard.py`) between the two ends the program and removes its folder as soon as its pipe to us closes.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from movie_stream.embedded import guard
from movie_stream.errors import EmbeddedFailed

_STOP_LIMIT_S = guard.GRACE_S + 7.0
_INHERITED_VARIABLES = ("PATH", "HOME", "TMPDIR", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class GuardedProcess:
    """A running program; a context manager that ends it.

    `what` is its name in errors. `pid` is the program's; `folder` is its working directory, created for it and
    removed with it; its output is in `folder/log`. It gets almost nothing of our environment, since programs read
    variables that a user may have set for something else; `variables` are added.

    Raises EmbeddedFailed if the program cannot be started.
    """

    def __init__(self, what: str, command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        self.what = what
        self._exit_code: int | None = None
        self._guard = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={
                **{name: os.environ[name] for name in _INHERITED_VARIABLES if name in os.environ},
                "NO_COLOR": "1",
                **(variables or {}),
            },
            # The terminal's Ctrl-C is for us; we end the guard.
            start_new_session=True,
        )
        try:
            verb, _, rest = self._read_line().partition(" ")
            if verb != "started":
                raise EmbeddedFailed(what=what, cause=rest or "its guard did not start")
            pid, _, folder = rest.partition(" ")
            self.pid, self.folder = int(pid), Path(folder)
        except BaseException:
            self.stop()
            raise

    def exit_code(self) -> int | None:
        """The program's exit code (negative: the signal that killed it); None as long as it runs."""
        if self._exit_code is None and select.select([self.status], [], [], 0)[0]:
            self._exit_code = int(self._read_line().removeprefix("ended ") or -signal.SIGKILL)
        return self._exit_code

    @property
    def status(self) -> int:
        """A descriptor that becomes readable when the program has ended."""
        assert self._guard.stdout is not None
        return self._guard.stdout.fileno()

    def log(self) -> str:
        """The program's output so far."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def kill(self) -> None:
        """Kills the program immediately if it still runs; `stop` must be called all the same."""
        if self.exit_code() is None:
            os.kill(self.pid, signal.SIGKILL)

    def release(self) -> None:
        """Makes the guard end the program, without waiting for it."""
        assert self._guard.stdin is not None
        self._guard.stdin.close()

    def stop(self) -> None:
        """Ends the program and waits until it and its folder are gone: SIGTERM, a few seconds, SIGKILL."""
        self.release()
        try:
            self._guard.wait(_STOP_LIMIT_S)
        except subprocess.TimeoutExpired:
            os.killpg(self._guard.pid, signal.SIGKILL)
            self._guard.wait()
            shutil.rmtree(self.folder, ignore_errors=True)
        assert self._guard.stdout is not None
        self._guard.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _read_line(self) -> str:
        # Byte by byte, past any buffer: `select` must see what is left.
        line = b""
        while (byte := os.read(self.status, 1)) not in (b"", b"\n"):
            line += byte
        return line.decode()
