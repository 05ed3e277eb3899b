"""Starts an embedded program on a free port and waits until it serves."""

import asyncio
import contextlib
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from movie_stream.embedded.process import GuardedProcess
from movie_stream.errors import EmbeddedFailed

_READY_LIMIT_S = 60.0
_LOOK_LIMIT_S = 5.0
_BETWEEN_LOOKS_S = 0.02
_PORTS_TRIED = 5
_QUOTED_CHARACTERS = 300
_LACKING = "loading shared libraries"
"""The message of Linux's loader about a missing library, before the program begins."""


@dataclass(frozen=True)
class Program:
    """An embedded program, and how to run it.

    `command(port)` is the command line; `answers(port, pid)` is whether that very process serves at that port;
    `words(log)` is the part of its log with the reason why it ended; `variable` is the setting that replaces it.
    """

    what: str
    variable: str
    command: Callable[[int], Sequence[str]]
    answers: Callable[[int, int], Awaitable[bool]]
    words: Callable[[str], str]


def free_port() -> int:
    """A TCP port of 127.0.0.1 that is free now; it may be taken by the time it is used."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def launch(program: Program, stack: contextlib.ExitStack) -> tuple[GuardedProcess, int]:
    """Starts the program; returns its process and the port it serves at. `stack` ends it when it is closed.

    Raises EmbeddedFailed, which quotes the program's log.
    """
    for _ in range(_PORTS_TRIED):
        port = free_port()
        process = stack.enter_context(GuardedProcess(program.what, program.command(port)))
        if await _ready(program, process, port):
            return process, port
        if "in use" not in process.log():
            raise failure_of(program, process)
        process.stop()
    raise EmbeddedFailed(what=program.what, cause=f"{_PORTS_TRIED} ports that were free were taken at once")


def failure_of(program: Program, process: GuardedProcess) -> EmbeddedFailed:
    """The error with the reason why the program ended."""
    words = program.words(process.log())[-_QUOTED_CHARACTERS:]
    lacking = "install that library with the packages of this system (docs/how-to/install.md), or"
    return EmbeddedFailed(
        what=program.what,
        cause=f"it ended with {_in_words(process.exit_code())}",
        last_words=words,
        remedy=f"{lacking if _LACKING in words else 'if it cannot run on this machine,'} "
        f"set {program.variable} to one of your own",
    )


async def _ready(program: Program, process: GuardedProcess, port: int) -> bool:
    """Waits until the program serves; returns False if it ended instead."""
    deadline = asyncio.get_running_loop().time() + _READY_LIMIT_S
    while process.exit_code() is None:
        if await _serves(program, process, port):
            return True
        if asyncio.get_running_loop().time() > deadline:
            raise EmbeddedFailed(
                what=program.what,
                cause=f"it did not answer within {_READY_LIMIT_S:.0f} s",
                last_words=program.words(process.log())[-_QUOTED_CHARACTERS:],
                remedy="this machine may be too busy; try again",
            )
        await asyncio.sleep(_BETWEEN_LOOKS_S)
    return False


async def _serves(program: Program, process: GuardedProcess, port: int) -> bool:
    try:
        # Another program may have taken the port, and not answer.
        async with asyncio.timeout(_LOOK_LIMIT_S):
            # Checking the port first keeps the client from logging a refused connection.
            return await _listens(port) and await program.answers(port, process.pid)
    except TimeoutError:
        return False


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()
    return True


def _in_words(exit_code: int | None) -> str:
    if exit_code is not None and exit_code < 0:
        return f"signal {-exit_code}"
    return f"exit code {exit_code if exit_code is not None else os.EX_OK}"
