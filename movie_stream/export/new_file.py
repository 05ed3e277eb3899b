"""A file that is there as a whole or not at all: a temporary name beside it, then a rename."""

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


_ROOM: Final = "make room there, or name another place"
_OTHER_ADVICE: Final = "see that the place can be written to, or name another"
_ADVICE: Final[Mapping[int, str]] = {
    errno.ENOSPC: _ROOM,
    errno.EDQUOT: _ROOM,
    errno.EFBIG: "name a place that takes files of this size, or split it with --by day",
    errno.ENOENT: "make its folder first (mkdir -p), or name another place",
    errno.ENOTDIR: "a file stands where its path has a folder: name another place",
    errno.EROFS: "name a place on a file system that can be written to",
    errno.EACCES: "allow this user to write there, or name another place",
    errno.EPERM: "allow this user to write there, or name another place",
    errno.ENAMETOOLONG: "name it with fewer characters",
}
"""What to do, by what the system says."""


class ExportFailed(MovieStreamError):
    """What is exported cannot be written.

    What to do: make room, or name another place; then run the export again.

    >>> str(ExportFailed(path="a.csv", cause=OSError(28, "No space left on device")))
    'a.csv cannot be written (No space left on device), and nothing of it is left; make room there, or name another \
place'
    >>> str(ExportFailed(path="a.csv", cause=OSError(30, "Read-only file system"))).partition("; ")[2]
    'name a place on a file system that can be written to'
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
    """A file to write to, which has the name `path` once the block has ended, on the disk; not if it raises.

    A device or a pipe is written to as it is; of a link, what it points to.

    Raises UsageError if the file is there already, unless it is to be overwritten, and ExportFailed for whatever
    OSError the block raises.
    """
    try:
        place = Path(os.path.realpath(path))
        if _is_special(place):
            with place.open("wb") as special:
                yield special
            return
        check_free(place, path, overwrite=overwrite)
        with _temporary(place) as (file, name):
            yield file
            file.flush()
            os.fsync(file.fileno())
            _named(name, place, path, overwrite=overwrite)
        _sync_folder(place.parent)
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise ExportFailed(path=path, cause=error) from error


def check_free(place: Path, shown: Path, *, overwrite: bool) -> None:
    """Raises UsageError if something is at this place that must not be overwritten."""
    if place.is_dir() or (place.exists() and not overwrite):
        remedy = "remove it first, or name another" if place.is_dir() else "replace it with --overwrite"
        raise UsageError(argument="--to", expected="a file that does not exist yet", got=str(shown), remedy=remedy)


def _is_special(place: Path) -> bool:
    return place.exists() and not place.is_file() and not place.is_dir()


@contextmanager
def _temporary(place: Path) -> Iterator[tuple[BinaryIO, Path]]:
    """A new file beside the place, and its name, which is gone after the block."""
    name = place.with_name(f".{place.name[:100]}.{secrets.token_hex(6)}{PART}")
    # Open for all that the umask lets in, as a file that is written in place is.
    descriptor = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        _hold(descriptor)
        raw = io.FileIO(descriptor, "r+b")
        file = cast(BinaryIO, io.BufferedRandom(raw, _BUFFER_BYTES))
        try:
            yield file, name
            file.close()
        except BaseException:
            raw.close()  # without what is still in the buffer, for which there may be no room
            raise
    finally:
        name.unlink(missing_ok=True)


@contextmanager
def scratch_beside(path: Path) -> Iterator[Path]:
    """A folder beside the file that is to be written, which is gone after the block."""
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
    """Removes what killed exports of files with such `names` (a regular expression) have left in a folder.

    What an export that still runs is writing stays: it holds a lock on it, which ends with its process.

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
    except FileNotFoundError:  # the folder is not there, or another took something of it away
        return
    except OSError as error:
        raise ExportFailed(path=folder, cause=error, left="nothing was changed") from error


def _hold(descriptor: int) -> None:
    """Locks a file for as long as it is open; where a file system has no locks, `sweep` takes all of them for held."""
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


def _named(temporary: Path, place: Path, shown: Path, *, overwrite: bool) -> None:
    """Gives the file its name, if need be in the place of another; never of one that has come meanwhile."""
    if overwrite:
        temporary.replace(place)
        return
    try:
        os.link(temporary, place)
    except FileExistsError:
        check_free(place, shown, overwrite=False)
        raise
    except OSError:  # some file systems have no hard links
        check_free(place, shown, overwrite=False)
        temporary.replace(place)


def _sync_folder(folder: Path) -> None:
    """Puts the name on the disk, too."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
