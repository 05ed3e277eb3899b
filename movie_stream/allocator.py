"""Has memory go back to the system when it is freed."""

from __future__ import annotations

import ctypes
import mmap
import platform
import sys
from math import prod
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""What mallopt(3) calls its parameters."""

_GLIBC: Final = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None

LARGE_BYTES: Final = 6 << 20
"""From this size on an array has pages of its own, which the system has to clear each time: the arrays that are made
of a chunk are smaller.
"""
KEPT_BYTES: Final = 24 << 20
"""What is free at the end of the heap and kept for the next chunk, for the same reason."""

PAGES_FROM_BYTES: Final = 128 << 10
"""From this size on an array that lasts has pages of its own."""


def give_back() -> None:
    """Sets three limits of glibc's malloc, before there are many threads; elsewhere the library's own ways are kept.

    Left alone, glibc raises the first whenever a larger array is freed, up to 32 MB, and keeps eight heaps a core for
    threads, each with holes of its own: a worker that takes copies of its columns for each checkpoint then holds twice
    the memory that it uses.
    """
    if _GLIBC is not None:
        _GLIBC.mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        _GLIBC.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        _GLIBC.mallopt(_ARENA_MAX, 1)


def trim() -> None:
    """Gives back all that is free, also what is kept and what lies between what is used: for after much was freed.

    It takes some milliseconds, and a few more until the next chunk has its memory again.
    """
    if _GLIBC is not None:
        _GLIBC.malloc_trim(0)


def lasting(shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
    """An array to be filled, which stays until a larger one takes its place.

    Among the arrays that come and go with every chunk, those would leave holes that fit nothing else. What is not
    written to of a large one costs no memory. Raises MemoryError.

    >>> lasting((100_000, 2), np.dtype(np.int32)).shape
    (100000, 2)
    """
    size = prod(shape) * dtype.itemsize
    if size < PAGES_FROM_BYTES or dtype.hasobject or sys.platform == "win32":
        return np.empty(shape, dtype)
    try:
        pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        raise MemoryError(f"no {size:,} bytes for an array of {shape}: {error}") from error
    return np.ndarray(shape, dtype, pages)
