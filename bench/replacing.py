"""Replaces files atomically: a reader, or the user after an interruption, finds the old file or the new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movie_stream.errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside the file to write to; it replaces the file at the end of the block, unless the block raises.

    Raises InputError if it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.new")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(path=path, expected="a file that can be written", got=why) from error
    finally:
        with suppress(OSError):  # there is no file, or the error was raised above
            unfinished.unlink()
