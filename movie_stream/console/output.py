"""Standard output and error, guarded: what becomes of text that cannot be written is the same in every command.

Characters that the terminal or the file has no code for are replaced. Where standard output takes nothing (a full disk,
a closed descriptor), the first attempt raises OutputFailed, where its reader has gone, ReaderGone; the rest is dropped,
so that nothing is said of it a second time, not even when the interpreter ends. Standard error raises nothing: what
runs need not end because nobody can be told how it goes. `ending` makes a failed exit of it.
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
    """A descriptor to write to, which fails once at most."""

    def __init__(self, descriptor: int, *, silent: bool) -> None:
        """Where it is `silent`, a failure is kept and not raised."""
        super().__init__(descriptor, "wb", closefd=False)
        self.failure: OutputFailed | ReaderGone | None = None
        self._silent = silent

    def write(self, data: ReadableBuffer, /) -> int:
        """Writes some of it, and waits for a reader that is slow. Raises OutputFailed and ReaderGone."""
        size = memoryview(data).nbytes
        if self.failure is not None:
            return size
        try:
            while (written := super().write(data)) is None:  # it does not block
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
    """Has the text of this process go through outlets from now on."""
    for descriptor in range(len(_NAMES)):
        _occupy(descriptor)
    sys.stdout = _guarded(sys.stdout, _OUTPUT)
    sys.stderr = _guarded(sys.stderr, _ERROR)


def failure(stream: TextIO) -> OutputFailed | ReaderGone | None:
    """Why the guarded stream could not write something, if it could not."""
    raw = getattr(getattr(stream, "buffer", None), "raw", None)
    return raw.failure if isinstance(raw, Outlet) else None


def _occupy(descriptor: int) -> None:
    """A descriptor that was closed must not become that of a file or connection, which would be given our text then."""
    try:
        os.fstat(descriptor)
    except OSError:
        # Whoever uses it fails, as if it were closed.
        os.dup2(os.open(os.devnull, os.O_WRONLY if descriptor == 0 else os.O_RDONLY), descriptor)


def _guarded(stream: Any, descriptor: int) -> TextIO:
    """The same stream with an outlet below it; `stream` is None where it was closed when the process began."""
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
    """Prints a line of JSON, in escapes where standard output has no code for a character: a `?` would be another text.

    >>> write_json('{"title":"Amélie"}')
    {"title":"Amélie"}
    """
    try:
        text.encode(sys.stdout.encoding or "utf-8")
    except UnicodeEncodeError:
        text = "".join(character if character.isascii() else json.dumps(character)[1:-1] for character in text)
    sys.stdout.write(text + "\n")
