"""How a program of the benchmark ends when something is wrong: with one line, or none after Ctrl-C."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from movie_stream.errors import MovieStreamError


@contextmanager
def in_a_line() -> Iterator[None]:
    """What a person can cause or has to act on is printed without a traceback, and ends the process."""
    try:
        yield
    except MovieStreamError as error:
        sys.stderr.write(f"error: {error}\n")  # few imports: Ctrl-C during those here would print a traceback
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
