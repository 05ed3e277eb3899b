"""Opens files that are plain, compressed, in an archive, or piped, and reads them as plain bytes.

A file that cannot be read twice (a pipe, a compressed file) is first copied to a temporary file.
"""

from __future__ import annotations

import gzip
import lzma
import os
import struct
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, BinaryIO, Final, Protocol

import zstandard

from movie_stream.errors import InputError
from movie_stream.replay.files.temporary import temporary_file

BUFFER_BYTES: Final = 1 << 18
COPIED_AT_ONCE: Final = 1 << 20
STDIN: Final = "-"
GZIP, ZSTD, ZIP, EMPTY_ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PK\x03\x04", b"PK\x05\x06"
"""The first bytes of such files."""
DAMAGED: Final = (
    *(EOFError, zlib.error, lzma.LZMAError, zipfile.BadZipFile, zstandard.ZstdError),
    *(OSError, RuntimeError, NotImplementedError, IndexError, ValueError, struct.error),
)
"""The errors of the libraries for a file that is damaged, encrypted, or compressed by an unknown method."""
SUFFIXES: Final = ("", ".gz", ".zst")

OnProgress = Callable[[int, int], None]
"""Called with the bytes unpacked so far and their total, 0 if that is unknown."""
Chosen = Callable[["Archive"], str]
"""Chooses a member of an archive."""


class _Readable(Protocol):
    def read(self, size: int, /) -> bytes: ...


class Archive:
    """A zip file."""

    def __init__(self, path: Path | str, file: BinaryIO) -> None:
        self.path, self.file = path, file
        with intact(path):
            self._zip = zipfile.ZipFile(file)

    @property
    def names(self) -> list[str]:
        """The names of its files."""
        return [info.filename for info in self._zip.infolist() if not info.is_dir()]

    def beginning(self, name: str, size: int) -> bytes:
        """The first bytes of a file."""
        with intact(f"{self.path}: {name}"), self._zip.open(name) as member:
            return member.read(size)

    def copy(self, name: str, to: IO[bytes], on_progress: OnProgress) -> None:
        """Unpacks a file."""
        path = f"{self.path}: {name}"
        with intact(path):
            member = self._zip.open(name)
        with member:
            _copy(path, member, to, lambda: on_progress(to.tell(), self._zip.getinfo(name).file_size))


@contextmanager
def intact(path: Path | str) -> Iterator[None]:
    """Raises InputError if a file cannot be unpacked within the block."""
    try:
        yield
    except DAMAGED as error:
        raise _damaged(path, error) from error


def _damaged(path: Path | str, error: Exception) -> InputError:
    got, remedy = (
        f"one that cannot be unpacked ({error or type(error).__name__})",
        "get it again, or unpack it yourself",
    )
    return InputError(path=path, expected="a whole file, packed by gzip, zstd or zip", got=got, remedy=remedy)


class SourceFile:
    """An open file of plain bytes, which can be read repeatedly, and access to its neighbours; use it in a `with`."""

    def __init__(self, path: Path | str, file: BinaryIO, archive: Archive | None = None, member: str = "") -> None:
        self.path = path
        """As the user named it, with the file's name within an archive."""
        self.file = file
        self.encoding: str | None = None
        """The encoding that the user names for it and its neighbours."""
        self._folder = None if archive or str(path) == STDIN else Path(path).parent
        self._archive, self._member = archive, member

    @property
    def in_archive(self) -> bool:
        """Whether it is a member of an archive."""
        return self._archive is not None

    def beside(self, name: str) -> SourceFile | None:
        """The file of this name (ignoring case) in the same folder or archive, compressed or not."""
        wanted = {name + suffix for suffix in SUFFIXES}
        if self._archive:
            folder = self._member.rpartition("/")[0]
            for other in self._archive.names:
                if other.rpartition("/")[0] == folder and other.rpartition("/")[2].lower() == name:
                    return SourceFile(f"{self._archive.path}: {other}", _unpacked(self._archive, other, no_progress))
            return None
        if self._folder is None:
            return None
        found = sorted(other for other in self._folder.iterdir() if other.name.lower() in wanted and other.is_file())
        return open_source_file(found[0]) if found else None

    def close(self) -> None:
        """Closes it."""
        self.file.close()
        if self._archive:
            self._archive.file.close()

    def __enter__(self) -> SourceFile:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def no_progress(_done: int, _total: int) -> None:
    """Ignores the progress."""


def only_member(archive: Archive) -> str:
    """The only file of an archive. Raises InputError if there are none or several."""
    names = archive.names
    if len(names) != 1:
        raise InputError(path=archive.path, expected="one file in the archive", got=f"{len(names)} of them")
    return names[0]


def open_source_file(
    path: Path | str, choose: Chosen = only_member, on_progress: OnProgress = no_progress
) -> SourceFile:
    """Opens a file, standard input for `-`, or the member of an archive that `choose` returns.

    Raises InputError if it cannot be read or is damaged.
    """
    with ExitStack() as stack:
        file = stack.enter_context(_seekable(path, on_progress))
        head = file.read(len(ZIP))
        file.seek(0)
        size = os.fstat(file.fileno()).st_size
        if head in (ZIP, EMPTY_ZIP):
            archive = Archive(path, file)
            name = choose(archive)
            found = SourceFile(f"{path}: {name}", _unpacked(archive, name, on_progress), archive, name)
            stack.pop_all()  # the archive still needs it, for `beside`
            return found
        if head == ZSTD:
            return SourceFile(path, _copied(path, _ZstdReader(file), file, on_progress, size))
        if head.startswith(GZIP):
            return SourceFile(path, _copied(path, gzip.GzipFile(fileobj=file), file, on_progress, size))
        stack.pop_all()
        return SourceFile(path, file)


class _ZstdReader:
    """Decompresses one frame after another; the library's own reader does not detect a truncated file."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._rest = file, b""
        self._frame = zstandard.ZstdDecompressor().decompressobj()

    def read(self, size: int, /) -> bytes:
        """The next bytes, roughly `size`; none at the end."""
        while packed := self._rest or self._file.read(size // 8):
            if self._frame.eof:
                self._frame = zstandard.ZstdDecompressor().decompressobj()
            made = self._frame.decompress(packed)
            self._rest = self._frame.unused_data
            if made:
                return made
        if not self._frame.eof:
            raise EOFError("it is cut off")
        return b""


def _seekable(path: Path | str, on_progress: OnProgress) -> BinaryIO:
    """The file itself, or a copy of the bytes from a pipe."""
    file = _raw(path)
    if file.seekable():
        return file
    with file:
        return _copied(path, file, file, on_progress, 0)


def _unpacked(archive: Archive, name: str, on_progress: OnProgress) -> BinaryIO:
    with temporary_file(archive.path) as copy:
        archive.copy(name, copy, on_progress)
        return _own(copy.fileno())


def _raw(path: Path | str) -> BinaryIO:
    if str(path) == STDIN:
        if sys.stdin is None:
            raise InputError(path=path, expected="standard input", got="none: it is closed")
        return os.fdopen(os.dup(sys.stdin.fileno()), "rb", BUFFER_BYTES)
    try:
        return Path(path).open("rb", BUFFER_BYTES)
    except FileNotFoundError as error:
        remedy = "check the path, or make a file up with: movie-stream generate --output FILE --count 100000"
        raise InputError(path=path, expected="a CSV file", got="no such file", remedy=remedy) from error
    except IsADirectoryError as error:
        remedy = "name a file inside it"
        raise InputError(path=path, expected="a CSV file", got="a directory", remedy=remedy) from error
    except OSError as error:
        raise InputError(path=path, expected="a readable CSV file", got=error.strerror or str(error)) from error


def _copied(path: Path | str, readable: _Readable, raw: BinaryIO, on_progress: OnProgress, size: int) -> BinaryIO:
    """The content of `readable` in an unnamed temporary file; `raw` is what `readable` reads from."""
    with temporary_file(path) as copy:
        _copy(path, readable, copy, lambda: on_progress(raw.tell() if size else copy.tell(), size))
        return _own(copy.fileno())


def _copy(path: Path | str, readable: _Readable, to: IO[bytes], on_progress: Callable[[], None]) -> None:
    while True:
        with intact(path):
            block = readable.read(COPIED_AT_ONCE)
        if not block:
            break
        to.write(block)
        on_progress()
    to.flush()
    to.seek(0)


def _own(descriptor: int) -> BinaryIO:
    return os.fdopen(os.dup(descriptor), "rb", BUFFER_BYTES)
