"""Ends a program of the benchmark after an error with one line, and after Ctrl-C with none."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from movie_stream.errors import MovieStreamError


@contextmanager
def in_a_line() -> Iterator[None]:
    """Prints an error that a user can cause or must act on without a traceback, and ends the process."""
    try:
        yield
    except MovieStreamError as error:
        sys.stderr.write(f"error: {error}\n")  # few imports: Ctrl-C during those here would print a traceback
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
