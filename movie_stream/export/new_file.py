"""Creates a file atomically: it is written under a temporary name beside it, then renamed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import io
import os
import re
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final, cast

from movie_stream.errors import MovieStreamError, ReaderGone, UsageError

PART: Final = ".part"
"""The ending of temporary names, which begin with a dot."""
_BUFFER_BYTES: Final = 1 << 20


_ROOM: Final = "make room there, or name another path"
_OTHER_ADVICE: Final = "check that the path can be written to, or name another"
_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "name a path on a file system that takes files of this size, or split it with --by day",
    errno.ENOENT: "make its folder first (mkdir -p), or name another path",
    errno.ENOTDIR: "a file stands where its path has a folder: name another path",
    errno.EROFS: "name a path on a file system that can be written to",
    errno.EACCES: "allow this user to write there, or name another path",
    errno.EPERM: "allow this user to write there, or name another path",
    errno.ENAMETOOLONG: "name it with fewer characters",
}
"""The remedy by the system's error number."""


class ExportFailed(MovieStreamError):
    """An export cannot be written.

    What to do: make room, or name another place; then run the export again.

    >>> str(ExportFailed(path="a.csv", cause=OSError(28, "No space left on device")))
    'a.csv cannot be written (No space left on device), and nothing of it is left; make room there, or name another \
path'
    >>> str(ExportFailed(path="a.csv", cause=OSError(30, "Read-only file system"))).partition("; ")[2]
    'name a path on a file system that can be written to'
    """

    def __init__(self, *, path: object, cause: object, left: str = "nothing of it is left") -> None:
        why = (cause.strerror if isinstance(cause, OSError) else None) or cause
        number = cause.errno if isinstance(cause, OSError) else None
        advice = _ADVICE.get(number or 0) or next(
            (remedy for known, remedy in _ADVICE.items() if os.strerror(known) in str(why)), _OTHER_ADVICE
        )
        super().__init__(f"{path} cannot be written ({why}), and {left}; {advice}")


@contextmanager
def new_file(path: Path, *, overwrite: bool = False) -> Iterator[BinaryIO]:
    """A file to write to; it is synced and gets the name `path` when the block ends, but not if the block raises.

    A device or a pipe is written to directly, and a link is followed.

    Raises UsageError if the file already exists, unless it is to be overwritten, and ExportFailed for any OSError of
    the block.
    """
    try:
        target = Path(os.path.realpath(path))
        if _is_special(target):
            with target.open("wb") as special:
                yield special
            return
        check_free(target, path, overwrite=overwrite)
        with _temporary(target) as (file, name):
            yield file
            file.flush()
            os.fsync(file.fileno())
            _publish(name, target, path, overwrite=overwrite)
        _sync_folder(target.parent)
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise ExportFailed(path=path, cause=error) from error


def check_free(target: Path, shown: Path, *, overwrite: bool) -> None:
    """Raises UsageError if there is something that must not be overwritten."""
    if target.is_dir() or (target.exists() and not overwrite):
        remedy = "remove it first, or name another" if target.is_dir() else "replace it with --overwrite"
        raise UsageError(argument="--to", expected="a file that does not exist yet", got=str(shown), remedy=remedy)


def _is_special(target: Path) -> bool:
    return target.exists() and not target.is_file() and not target.is_dir()


@contextmanager
def _temporary(target: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file beside the target, and its temporary name, which is removed after the block."""
    name = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}{PART}")
    # Readable for all that the umask allows, like a file that is written directly.
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _hold(descriptor)
        raw = io.FileIO(descriptor, "r+b")
        file = cast(BinaryIO, io.BufferedRandom(raw, _BUFFER_BYTES))
        try:
            yield file, name
            file.close()
        except BaseException:
            raw.close()  # without flushing the buffer, for which there may be no room
            raise
    finally:
        name.unlink(missing_ok=True)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A temporary folder beside the file to write, removed after the block."""
    folder = path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}{PART}")
    folder.mkdir()
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        _hold(descriptor)
        yield folder
    finally:
        os.close(descriptor)
        shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path, names: str) -> None:
    """Removes the temporary files that killed exports of files with such `names` (a regular expression) left behind.

    Those of a running export stay: it holds a lock on them, which ends with its process.

    Raises ExportFailed.
    """
    ours = re.compile(rf"\.(?:{names})\.[0-9a-f]{{12}}{re.escape(PART)}")
    try:
        for entry in folder.iterdir():
            if ours.fullmatch(entry.name) and not entry.is_symlink() and not _is_held(entry):
                if entry.is_dir():
                    shutil.rmtree(entry)
                else:
                    entry.unlink(missing_ok=True)
    except FileNotFoundError:  # there is no folder, or another process removed an entry
        return
    except OSError as error:
        raise ExportFailed(path=folder, cause=error, left="nothing was changed") from error


def _hold(descriptor: int) -> None:
    """Locks a file as long as it is open; on a file system without locks, `sweep` takes all locks for held."""
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _is_held(entry: Path) -> bool:
    descriptor = os.open(entry, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def _publish(temporary: Path, target: Path, shown: Path, *, overwrite: bool) -> None:
    """Renames the file to its final name; without `overwrite`, never replaces a file that appeared meanwhile."""
    if overwrite:
        temporary.replace(target)
        return
    try:
        os.link(temporary, target)
    except FileExistsError:
        check_free(target, shown, overwrite=False)
        raise
    except OSError:  # some file systems have no hard links
        check_free(target, shown, overwrite=False)
        temporary.replace(target)


def _sync_folder(folder: Path) -> None:
    """Syncs the folder, so that the new name is on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
