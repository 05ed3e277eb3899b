"""Where it is not Linux: what differs there, tried out here."""

from __future__ import annotations

import asyncio
import ctypes
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from movie_stream.columnar import allocator
from movie_stream.dead_letters import copies
from movie_stream.embedded import guard
from movie_stream.web import changes, http_server


@pytest.fixture
def macos(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(allocator, "_GLIBC", None)


@pytest.mark.usefixtures("macos")
def test_memory_is_given_back_by_glibc_alone() -> None:
    allocator.configure_malloc()
    allocator.trim()


@pytest.mark.usefixtures("macos")
def test_an_array_that_grows_is_copied() -> None:
    room = allocator.GrowableArray((100_000,), np.dtype(np.int32))
    room.array[:] = np.arange(100_000)
    room.extend(300_000)
    assert len(room.array) == 300_000
    assert room.array[:100_000].tolist() == list(range(100_000))
    assert not room.array[100_000:].any()


def test_a_limit_of_open_files_that_cannot_be_raised_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS allows no more than kern.maxfilesperproc, and says that there is no limit."""

    def too_many(which: int, limits: tuple[int, int]) -> None:
        raise ValueError("current limit exceeds maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda which: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", too_many)
    assert http_server._raise_descriptors() == 256


@pytest.mark.usefixtures("macos")
def test_a_reader_that_is_gone_is_noticed_by_its_buffer() -> None:
    class Transport:
        def __init__(self, connected: socket.socket) -> None:
            self._connected = connected

        def set_write_buffer_limits(self, high: int) -> None:
            assert high == changes._BUFFER_BYTES

        def get_extra_info(self, name: str) -> Any:
            return {"socket": self._connected}[name]

    with socket.socket() as connected:
        changes._keep_little(Transport(connected))
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 0


@pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")  # the guard itself has one thread
@pytest.mark.usefixtures("macos")
def test_a_guarded_program_starts_without_the_death_signal_of_linux(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_of_it(_: str | None) -> None:
        raise AssertionError("there is no prctl")

    monkeypatch.setattr(ctypes, "CDLL", none_of_it)
    program = guard._start(["sh", "-c", "exit 7"], str(tmp_path))
    assert program.wait(30) == 7


async def test_a_group_that_has_just_ended_may_not_be_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    """macOS answers EPERM where only a process is left that nobody has waited for."""
    killpg = os.killpg

    def ended_meanwhile(group: int, number: int) -> None:
        killpg(group, number)
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "killpg", ended_meanwhile)
    asking = asyncio.create_task(copies._asked("sleep 600", b""))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asking, 0.5)
