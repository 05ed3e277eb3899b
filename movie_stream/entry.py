"""Where the console script begins: with hardly anything imported, so that Ctrl-C is minded from the start."""

import os
import signal
import sys
from types import FrameType

from movie_stream import NO_WINDOWS

_INTERRUPTED = 130


def main() -> None:
    """Imports the command line, which takes its time, and runs it; until it runs, Ctrl-C ends the process at once.

    On Windows it says what to do instead: signals, locks on files and process groups are those of POSIX.
    """
    if sys.platform == "win32":
        sys.exit(f"error: {NO_WINDOWS}")
    if signal.getsignal(signal.SIGINT) == signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)
    from movie_stream.cli import main as run

    run()


def _leave(_number: int, _frame: FrameType | None) -> None:
    os._exit(_INTERRUPTED)
