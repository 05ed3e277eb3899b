"""Files that are replaced as a whole: whoever reads one, or is interrupted, finds the old one or the new one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from movie_stream.errors import InputError


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A path beside it to write to; what is there takes its place at the end of the block, unless that fails.

    Raises InputError where it cannot be written.
    """
    unfinished = path.with_name(f"{path.name}.new")
    try:
        yield unfinished
        unfinished.replace(path)
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(path=path, expected="a file that can be written", got=why) from error
    finally:
        with suppress(OSError):  # nothing is there, or what is wrong was told above
            unfinished.unlink()
