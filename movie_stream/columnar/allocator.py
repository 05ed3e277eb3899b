"""Memory: returning freed memory to the OS, and arrays that grow without being copied."""

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
"""Parameters of mallopt(3)."""

_GLIBC: Final = ctypes.CDLL(None) if platform.libc_ver()[0] == "glibc" else None

LARGE_BYTES: Final = 6 << 20
"""From this size on an array has pages of its own, which the kernel has to zero each time: a chunk's arrays are
smaller.
"""
KEPT_BYTES: Final = 24 << 20
"""Free memory at the end of the heap that is kept for the next chunk, for the same reason."""

PAGES_FROM_BYTES: Final = 128 << 10
"""From this size on a long-lived array has pages of its own."""


def configure_malloc() -> None:
    """Sets three limits of glibc's malloc, so that it returns freed memory to the OS; does nothing with another libc.

    Call it before there are many threads. By default glibc raises the mmap threshold whenever a larger array is freed,
    up to 32 MB, and keeps eight heaps per core for threads, each with its own fragmentation: a worker, which copies its
    columns for each checkpoint, then holds twice the memory that it uses.
    """
    if _GLIBC is not None:
        _GLIBC.mallopt(_MMAP_THRESHOLD, LARGE_BYTES)
        _GLIBC.mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        _GLIBC.mallopt(_ARENA_MAX, 1)


def trim() -> None:
    """Returns all freed memory to the OS, even from the middle of the heap: for use after much was freed.

    Takes some milliseconds, and a few more for the next chunk, which has to reallocate its memory.
    """
    if _GLIBC is not None:
        _GLIBC.malloc_trim(0)


class GrowableArray:
    """A long-lived array that grows in place: it gets more pages, and none are copied.

    On the heap, between the short-lived arrays of each chunk, long-lived ones would cause fragmentation. Unwritten
    pages of a large one cost no memory.

    >>> room = GrowableArray((100_000,), np.dtype(np.int32))
    >>> room.array[-1] = 7
    >>> room.extend(200_000)
    >>> room.array[99_998:100_001].tolist()
    [0, 7, 0]
    """

    __slots__ = ("_pages", "array")

    def __init__(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        """Raises MemoryError."""
        size = prod(shape) * dtype.itemsize
        self._pages: mmap.mmap | None = None
        self.array: NDArray[Any]
        if size < PAGES_FROM_BYTES or dtype.hasobject or sys.platform == "win32":
            self.array = np.empty(shape, dtype)
            return
        try:
            self._pages = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except (OSError, OverflowError) as error:
            raise MemoryError(f"no {size:,} bytes for an array of {shape}: {error}") from error
        self.array = np.frombuffer(self._pages, dtype, prod(shape)).reshape(shape)

    def extend(self, rows: int) -> None:
        """Makes `array` `rows` long. Existing references keep the old array. Raises MemoryError."""
        shape, dtype = (rows, *self.array.shape[1:]), self.array.dtype
        if not self._resized(shape, dtype):
            longer = GrowableArray(shape, dtype)
            longer.array[: len(self.array)] = self.array
            self._pages, self.array = longer._pages, longer.array

    def _resized(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
        """Adds pages to the array; False if it has none of its own, or there are other references to them."""
        if self._pages is None or sys.platform != "linux":
            return False
        before = self.array.shape
        self.array = _NOTHING
        try:
            self._pages.resize(prod(shape) * dtype.itemsize)
            before = shape
        except BufferError:  # there are other references
            return False
        except (OSError, OverflowError) as error:
            raise MemoryError(f"no more bytes for an array of {shape}: {error}") from error
        finally:
            self.array = np.frombuffer(self._pages, dtype, prod(before)).reshape(before)
        return True


_NOTHING: Final = np.empty(0)
