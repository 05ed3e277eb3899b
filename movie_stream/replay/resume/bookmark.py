"""The bookmark of a file: how much of it has arrived in the topic, so that an interrupted replay can be resumed.

It is a small file in the user's state folder, since the folder of the views may not be writable. An old bookmark
is as correct as a new one; more of the topic is then read back (see resumption.py).
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from errno import ENOENT
from hashlib import blake2b
from pathlib import Path
from threading import Lock
from typing import Final, Literal

import msgspec

from movie_stream.errors import FileRefused

RESTART: Final = "send all of it from the beginning, also what stands in the topic already, with --restart"
ELSEWHERE: Final = "make room, or name another folder in XDG_STATE_HOME"
NAME_LENGTH: Final = 40
"""Characters of the file's name that are kept in the name of its bookmark."""

Mode = Literal["start", "resume", "restart"]


class PartitionProgress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Progress in one partition: the first `views` of the file are below `next_offset`, each once."""

    views: int
    next_offset: int


class Bookmark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much of a file is sent, and everything that its records depend on."""

    movie_stream: str
    """The version that sent the file; another may encode a view differently."""
    file: str
    size_bytes: int
    blake2b: str
    topic: str
    topic_identity: str
    now_ms: int
    """When the first run began: the present by which views lie in the future."""
    future_tolerance_ms: int
    partitions: list[PartitionProgress] = msgspec.field(name="places")
    """The progress by partition."""
    finished: bool
    saved_at: str
    plan: str = ""
    """Which views are sent, and how they are changed; empty if all are sent as they are."""

    @property
    def views(self) -> int:
        """How many views have certainly arrived."""
        return sum(partition.views for partition in self.partitions)


class BookmarkFile:
    """The bookmark of one file on disk, locked; made by `bookmark_of`."""

    def __init__(self, path: Path, file: Path) -> None:
        self.path = path
        self.file = file
        """As the user named it."""
        self.full_name = _full_name(file)
        self.earlier: Bookmark | None = None
        """Where to resume; None to start at the beginning."""
        self.saved: Bookmark | None = None
        """The last bookmark that this run saved."""
        self._one_at_a_time = Lock()

    def save(self, bookmark: Bookmark) -> None:
        """Replaces the bookmark atomically; may be called from any thread.

        Raises FileRefused if it cannot be written.
        """
        unfinished = self.path.with_suffix(".new")
        with self._one_at_a_time:
            try:
                with unfinished.open("wb") as file:
                    file.write(msgspec.json.format(msgspec.json.encode(bookmark)) + b"\n")
                    file.flush()
                    os.fsync(file.fileno())
                unfinished.replace(self.path)
            except OSError as error:
                why = f"the bookmark cannot be written ({error.strerror})"
                raise FileRefused(path=self.path, why=why, remedy=ELSEWHERE) from error
            self.saved = bookmark

    def load(self, mode: Mode) -> None:
        """Sets `earlier`. Raises FileRefused if a run was interrupted and `mode` does not say what to do about it."""
        if mode == "restart":
            return
        bookmark = self._read()
        if mode == "resume":
            self.earlier = bookmark
        elif bookmark and not bookmark.finished:
            sent = f"{bookmark.views:,} of its views are known to stand in the topic {bookmark.topic}"
            why = f"an earlier run was interrupted; {sent}, as of {bookmark.saved_at}"
            raise FileRefused(path=self.file, why=why, remedy=f"go on with --resume, or {RESTART}")

    def _read(self) -> Bookmark | None:
        try:
            bookmark = msgspec.json.decode(self.path.read_bytes(), type=Bookmark)
        except FileNotFoundError:
            return None
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
            why = f"expected the bookmark of a replay of {self.file} ({error})"
            remedy = f"look what the topic holds of that file; if nothing, {RESTART}"
            raise FileRefused(path=self.path, why=why, remedy=remedy) from error
        if bookmark.file != self.full_name:
            why = f"expected the bookmark of {self.full_name}, got that of {bookmark.file}"
            raise FileRefused(path=self.path, why=why, remedy="remove it")
        return bookmark


@contextmanager
def bookmark_of(file: Path, mode: Mode) -> Iterator[BookmarkFile]:
    """The bookmark of a file, locked within the block; the lock ends with the process at the latest.

    Raises FileRefused if another process is sending the file, if an earlier run was interrupted and `mode` does not say
    what to do about it, or if the bookmark is unusable; OSError if no bookmark can be kept.
    """
    name = f"{file.resolve().name[:NAME_LENGTH]}-{blake2b(_full_name(file).encode(), digest_size=8).hexdigest()}"
    folder = state_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with _locked(folder / f"{name}.lock", file):
        bookmark = BookmarkFile(folder / f"{name}.json", file)
        bookmark.load(mode)
        yield bookmark


def state_folder() -> Path:
    """The folder of bookmarks, below XDG_STATE_HOME or the user's home folder."""
    configured = os.environ.get("XDG_STATE_HOME", "")
    # The XDG specification says to ignore relative paths.
    state = Path(configured) if Path(configured).is_absolute() else _home() / ".local" / "state"
    return state / "movie-stream" / "produce"


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError as error:
        raise OSError(ENOENT, "the user has no home folder") from error


def _full_name(file: Path) -> str:
    """The resolved path of the file as text, even if its bytes are not UTF-8."""
    return os.fsencode(file.resolve()).decode("utf-8", "backslashreplace")


def utc_now() -> str:
    """The present as text.

    >>> utc_now().endswith(" UTC")
    True
    """
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


@contextmanager
def _locked(path: Path, file: Path) -> Iterator[None]:
    """Holds the lock; its file exists only while it is held."""
    while True:
        with closing(os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+")) as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                why = f"another movie-stream produce is sending it (process {lock.read() or 'just started'})"
                raise FileRefused(path=file, why=why, remedy="wait until it ends, or end it") from error
            if not _is_at(path, lock.fileno()):
                continue  # its holder removed it between the two lines above
            lock.write(str(os.getpid()))
            lock.truncate()
            lock.flush()
            try:
                yield
            finally:
                path.unlink(missing_ok=True)
            return


def _is_at(path: Path, descriptor: int) -> bool:
    """Whether the path still leads to this open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
