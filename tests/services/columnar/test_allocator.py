"""Freed arrays go back to the system; without the limits most of their memory would stay with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import numpy as np
import pytest

from movie_stream.columnar.allocator import PAGES_FROM_BYTES, GrowableArray

PROGRAM = """
import sys
import numpy as np
import psutil
from movie_stream.columnar.allocator import LARGE_BYTES, configure_malloc, trim

if "give back" in sys.argv:
    configure_malloc()
np.ones(16 << 20, np.uint8)  # freed at once: glibc takes it as a sign that such arrays come and go
size = LARGE_BYTES // 2 if "small" in sys.argv else 2 * LARGE_BYTES
arrays = [np.ones(size, np.uint8) for _ in range(100_000_000 // size)]
del arrays[:-1]  # the last one stands above all the others in a heap
if "trim" in sys.argv:
    trim()
print(psutil.Process().memory_info().rss >> 20)
"""


def held_mb(*how: str) -> int:
    """What a process holds after it has freed a hundred megabytes."""
    ran = subprocess.run([sys.executable, "-c", PROGRAM, *how], capture_output=True, text=True, check=True)
    return int(ran.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have limits of their own")
def test_freed_arrays_are_given_back() -> None:
    assert held_mb("give back") < held_mb() - 50
    assert held_mb("small", "give back", "trim") < held_mb("small", "give back") - 50


TOO_LARGE = [1 << 61, 1 << 64]


@pytest.mark.parametrize("rows", TOO_LARGE)
def test_an_array_that_is_too_large_is_a_memory_error(rows: int) -> None:
    with pytest.raises(MemoryError):
        GrowableArray((rows,), np.dtype(np.int8))


@pytest.mark.parametrize("rows", TOO_LARGE)
def test_room_that_is_too_large_is_a_memory_error_and_changes_nothing(rows: int) -> None:
    room = GrowableArray((PAGES_FROM_BYTES,), np.dtype(np.int8))
    room.array[:] = 7
    with pytest.raises(MemoryError):
        room.extend(rows)
    assert (room.array == 7).all()
    room.extend(2 * PAGES_FROM_BYTES)
    assert (room.array[:PAGES_FROM_BYTES] == 7).all()


@pytest.mark.parametrize("rows", [10, 2 * PAGES_FROM_BYTES])
def test_what_is_held_of_an_array_is_still_there_when_it_was_made_longer(rows: int) -> None:
    room = GrowableArray((rows, 2), np.dtype(np.int16))
    room.array[:] = np.arange(2 * rows).reshape(rows, 2)
    part, wanted = room.array[5:8], room.array[5:8].tolist()
    for _ in range(3):
        room.extend(len(room.array) * 4)
        room.array[5:8] *= -1
        assert part.tolist() == wanted, "what is held is a copy from then on"
    assert room.array[5:8].tolist() == (-np.array(wanted, np.int16)).tolist()
