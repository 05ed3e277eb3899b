"""The command line within the test's own process: for what a command refuses or prints before it does anything.

A process of its own takes half a second to import what it needs. What depends on being one (signals, descriptors, the
exit itself) is tested with whole_path.py.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

import pytest

from movie_stream.cli import app
from movie_stream.console import exits
from movie_stream.console.arguments import parsed
from movie_stream.settings import Settings


def initialize(settings: Settings) -> None:
    """`movie-stream init`, for a test that is about what comes after it."""
    done = said_in_process("init", cwd=None, **settings.environment())
    assert done.returncode == 0, done.stderr


def said_in_process(*arguments: str, cwd: Path | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    """What `movie-stream` with these arguments ends with and prints, in a folder and with more variables."""
    out, err = StringIO(), StringIO()
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err), _loggers_restored():
        if cwd is not None:
            patch.chdir(cwd)
        patch.setattr(sys, "argv", ["movie-stream", *arguments])
        for name, value in variables.items():
            patch.setenv(name, value)
        code = _code()
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@contextmanager
def _loggers_restored() -> Iterator[None]:
    """Of those that commands silence: the next test may look for what they say."""
    loggers = [logging.getLogger(name) for name in ("aiokafka", "asyncio")]
    before = [(logger.level, logger.filters[:], logger.handlers[:]) for logger in loggers]
    try:
        yield
    finally:
        for logger, (level, filters, handlers) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.filters[:], logger.handlers[:] = filters, handlers


def _code() -> int:
    try:
        code = parsed(app, "movie-stream")
    except SystemExit as ended:
        code = ended.code
    except Exception as error:
        return exits.report(error)
    return code if isinstance(code, int) else 0
