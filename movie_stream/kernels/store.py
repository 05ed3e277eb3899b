"""Where compiled kernels are stored for all processes: an object file for each, with a checksum."""

from __future__ import annotations

import hashlib
import os
import platform
import sys
import tempfile
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent
_SETTINGS: Final = ("NUMBA_BOUNDSCHECK", "NUMBA_CPU_NAME", "NUMBA_OPT")


def read(name: str) -> bytes | None:
    """The object file of a kernel; None if it is not stored, is damaged, or is of another Numba than the installed."""
    for folder in folders():
        try:
            head, _, code = (folder / f"{name}.o").read_bytes().partition(b"\n")
        except OSError:
            continue  # it is looked for elsewhere, or compiled
        checksum, _, numba = head.partition(b" ")
        if checksum == _checksum(code) and numba_version() in ("", numba.decode()):
            return code
    return None


def write(name: str, code: bytes) -> None:
    """Stores an object file in the first folder that can be written to; if there is none, it is not stored.

    A file is replaced as a whole: several processes may read and write it at once.
    """
    for folder in folders():
        try:
            folder.mkdir(mode=0o755, parents=True, exist_ok=True)
            descriptor, written = tempfile.mkstemp(dir=folder)
        except OSError:
            continue  # read-only
        os.close(descriptor)
        try:
            Path(written).write_bytes(_checksum(code) + f" {numba_version()}\n".encode() + code)
            Path(written).chmod(0o644)
            Path(written).replace(folder / f"{name}.o")
        except OSError:
            Path(written).unlink(missing_ok=True)  # the disk is full
            continue
        return


def folders() -> list[Path]:
    """Where object files are: beside the package, or in the user's cache, where the package is read-only.

    Of others than us and root nothing is taken, since it is executed.
    """
    user = os.environ.get("XDG_CACHE_HOME") or (Path.home() / ".cache" if os.environ.get("HOME") else None)
    kept = [_FOLDER / "__pycache__" / f"kernels-{_digest()}"]
    if user is not None:
        kept.append(Path(user) / "movie-stream" / f"kernels-{_digest()}")
    return [folder for folder in kept if _is_trusted(folder)]


def _is_trusted(folder: Path) -> bool:
    """Whether it is ours, or there is none yet; not if we may not look."""
    try:
        return folder.stat().st_uid in (0, os.getuid())
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


@cache
def numba_version() -> str:
    """The version of Numba, empty if it is not installed."""
    try:
        return version("numba")
    except PackageNotFoundError:
        return ""


def _checksum(code: bytes) -> bytes:
    return hashlib.sha256(code).hexdigest().encode()


@cache
def _digest() -> str:
    """Of all that the machine code depends on, but for Numba, which may have been removed since."""
    hashed = hashlib.sha256()
    for path in sorted(_FOLDER.glob("*.py")):
        hashed.update(path.read_bytes())
    settings = (os.environ.get(name, "") for name in _SETTINGS)
    hashed.update(repr((sys.implementation.cache_tag, sys.abiflags, platform.machine(), *settings)).encode())
    return hashed.hexdigest()[:24]
