"""Guards standard output and error, so that all commands handle text that cannot be written alike.

Characters that the encoding of the terminal or file lacks are replaced. If standard output cannot be written (a full
disk, a closed descriptor), the first attempt raises OutputFailed, or ReaderGone if its reader has gone. Further output
is dropped, so that the error is reported only once, even when the interpreter exits. Standard error raises nothing, so
that a command does not end for it; `ending` turns its failure into exit code 1.
"""

from __future__ import annotations

import io
import json
import os
import select
import sys
from typing import TYPE_CHECKING, Any, Final, TextIO

from movie_stream.errors import OutputFailed, ReaderGone

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_NAMES: Final = ("standard input", "standard output", "standard error")
_OUTPUT, _ERROR = 1, 2


class Outlet(io.FileIO):
    """A descriptor to write to, which raises at most once."""

    def __init__(self, descriptor: int, *, silent: bool) -> None:
        """If `silent`, a failure is stored instead of raised."""
        super().__init__(descriptor, "wb", closefd=False)
        self.failure: OutputFailed | ReaderGone | None = None
        self._silent = silent

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes part of the data, waiting for a slow reader. Raises OutputFailed and ReaderGone."""
        size = memoryview(data).nbytes
        if self.failure is not None:
            return size
        try:
            while (written := super().write(data)) is None:  # the descriptor is non-blocking
                select.select([], [self], [])
        except BrokenPipeError:
            self.failure = ReaderGone()
        except OSError as error:
            self.failure = OutputFailed(what=_NAMES[self.fileno()], cause=error)
        else:
            return written
        if self._silent:
            return size
        raise self.failure


def guard() -> None:
    """Replaces the raw layer of this process's standard streams by outlets."""
    for descriptor in range(len(_NAMES)):
        _occupy(descriptor)
    sys.stdout = _guarded(sys.stdout, _OUTPUT)
    sys.stderr = _guarded(sys.stderr, _ERROR)


def failure(stream: TextIO) -> OutputFailed | ReaderGone | None:
    """The failure of a guarded stream; None if there was none."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, Outlet) else None


def _occupy(descriptor: int) -> None:
    """Occupies a closed descriptor, so that no file or connection gets it and then receives our output."""
    try:
        os.fstat(descriptor)
    except OSError:
        # Using it fails, as if it were closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY), descriptor)


def _guarded(stream: Any, descriptor: int) -> TextIO:
    """The stream with an outlet below it; `stream` is None if it was closed when the process began."""
    silent = descriptor == _ERROR
    if stream is not None:
        stream.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(Outlet(descriptor, silent=silent)),
        encoding=stream.encoding if stream is not None else "utf-8",
        errors=stream.errors if silent and stream is not None else "replace",
        line_buffering=silent or stream is None or bool(stream.line_buffering or stream.write_through),
    )


def write_json(text: str) -> None:
    """Prints a line of JSON, escaping characters that the encoding lacks, since a `?` would change the text.

    >>> write_json('{"title":"Amélie"}')
    {"title":"Amélie"}
    """
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    sys.stdout.write(text + "\n")
