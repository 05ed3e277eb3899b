import contextlib
import socket
import sys
from collections.abc import Callable, Sequence

import pytest

from movie_stream.embedded import launch as launching
from movie_stream.embedded.launch import Program, free_port, launch
from movie_stream.errors import EmbeddedFailed

SERVER = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    while True:
        server.accept()[0].close()
"""


async def _yes(port: int, pid: int) -> bool:
    return True


def _server(port: int) -> Sequence[str]:
    return (sys.executable, "-c", SERVER, str(port))


def _program(command: Callable[[int], Sequence[str]]) -> Program:
    return Program("server", "SERVER_URI", command, _yes, lambda log: log.strip().splitlines()[-1])


def test_a_free_port_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", free_port())):
        pass


async def test_a_taken_port_is_not_insisted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, contextlib.ExitStack() as stack:
        ports = iter([taken.getsockname()[1], free_port()])
        monkeypatch.setattr(launching, "free_port", lambda: next(ports))

        async def answers(port: int, pid: int) -> bool:
            return port != taken.getsockname()[1]

        program = Program("server", "SERVER_URI", _server, answers, str)
        process, port = await launch(program, stack)
        assert port != taken.getsockname()[1]
        assert process.exit_code() is None


async def test_ports_that_are_always_taken_end_the_attempts() -> None:
    complaint = (sys.executable, "-c", "raise SystemExit('Address already in use')")
    with contextlib.ExitStack() as stack, pytest.raises(EmbeddedFailed, match="5 ports"):
        await launch(_program(lambda port: complaint), stack)


async def test_a_program_that_dies_at_its_start_is_quoted() -> None:
    dying = (sys.executable, "-c", "raise SystemExit('libssl.so.3: not found')")
    with contextlib.ExitStack() as stack, pytest.raises(EmbeddedFailed) as failure:
        await launch(_program(lambda port: dying), stack)
    assert str(failure.value) == (
        "the embedded server failed: it ended with exit code 1, its last words: libssl.so.3: not found; "
        "if it cannot run on this machine, set SERVER_URI to one of your own"
    )


async def test_a_program_that_never_answers_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launching, "_READY_LIMIT_S", 0.1)
    mute = (sys.executable, "-c", "import time; print('thinking', flush=True); time.sleep(600)")
    with contextlib.ExitStack() as stack, pytest.raises(EmbeddedFailed, match="did not answer within"):
        await launch(Program("mute", "MUTE_URI", lambda port: mute, _yes, str), stack)
