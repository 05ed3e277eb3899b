"""Temporary files for data that does not fit into memory."""

from __future__ import annotations

import errno
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from movie_stream.errors import InputError

NO_ROOM = (errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES)


@contextmanager
def temporary_file(path: Path | str) -> Iterator[IO[bytes]]:
    """An unnamed file that is deleted when the `with` or the process ends.

    Raises InputError about the input `path` if the folder of temporary files is full.
    """
    folder = "the folder of temporary files"
    try:
        folder = tempfile.gettempdir()
        with tempfile.TemporaryFile(prefix="movie-stream-") as file:
            yield file
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise InputError(
            path=path,
            expected=f"room in {folder} for a copy of its rows",
            got=error.strerror,
            remedy="make room, or name another folder in TMPDIR",
        ) from error
