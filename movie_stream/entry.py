"""The entry point of the console script: it imports hardly anything, so that Ctrl-C is handled from the start."""

import os
import signal
import sys
from types import FrameType

from movie_stream import NO_WINDOWS

_INTERRUPTED = 130


def main() -> None:
    """Imports the command line, which takes a while, and runs it; until it runs, Ctrl-C ends the process immediately.

    On Windows it prints what to do instead: signals, file locks and process groups are those of POSIX.
    """
    if sys.platform == "win32":
        sys.exit(f"error: {NO_WINDOWS}")
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from movie_stream.cli import main as run

    run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)
