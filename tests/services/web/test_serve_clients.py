"""What clients can do to the server, and what it does then."""

from __future__ import annotations

import resource
import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from movie_stream.settings import Settings
from movie_stream.web import http_server
from tests.support.web.clients import ask, asked_until, connected, raw, received
from tests.support.web.serving import serving


def trickling(peer: socket.socket, size: int) -> bytes:
    """What comes first while a body of this size is sent one byte a second; empty where the connection is cut."""
    peer.settimeout(1.0)
    for _ in range(size):
        try:
            peer.sendall(b" ")
            return peer.recv(65_536)
        except TimeoutError:
            continue
        except (BrokenPipeError, ConnectionResetError):
            return b""
    raise AssertionError("all of it was waited for")


@pytest.fixture(scope="module")
def _room_for_clients() -> Iterator[None]:
    """This process opens connections too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 8_192) if hard > 0 else 8_192, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_requests_that_are_none(settings: Settings) -> None:
    with serving(settings) as server:
        for octets, status in (
            (b"nonsense\r\n\r\n", 400),
            (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n", 400),
            (b"GET / HTTP/1.1\r\n\r\n", 400),
            (b"GET /" + b"a" * 10_000_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
            (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 10_000_000 + b"\r\n\r\n", 431),
            (b"GET /?a=" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 414),
            (b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n", 413),
        ):
            answer = raw(server, octets)
            if answer or len(octets) < 1_000_000:  # of one who still sends, the answer may be lost on its way
                assert answer.startswith(b"HTTP/1.1 %d " % status), (octets[:40], answer[:200])
                assert b"application/problem+json" in answer
        assert ask(server, "health/live").status_code == 200


def test_a_client_that_hangs_is_dropped(settings: Settings) -> None:
    assert http_server.REQUEST_WITHIN_S == 10
    with serving(settings) as server:
        peers = [connected(server) for _ in range(5)]
        try:
            peers[1].sendall(b"GET / HT")
            peers[2].sendall(b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\n")
            peers[3].sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 50\r\n\r\n{")
            peers[4].sendall(b"POST /api/v1/session HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n")
            assert ask(server, "health/live").status_code == 200
            answer = trickling(peers[4], 1_000)
            assert (answer or received(peers[4])).startswith(b"HTTP/1.1 408 ")
            for peer in peers[:4]:
                assert received(peer).startswith(b"HTTP/1.1 408 ")
        finally:
            for peer in peers:
                peer.close()


@pytest.mark.usefixtures("_room_for_clients")
def test_a_thousand_connections_at_once(settings: Settings) -> None:
    request = b"GET /api/v1/health/live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    with serving(settings) as server, ExitStack() as open_ones:
        peers = [open_ones.enter_context(connected(server)) for _ in range(1_000)]
        assert ask(server, "health/live").status_code == 200, "a thousand that say nothing are in nobody's way"
        for peer in peers:
            peer.sendall(request)
        answers = [received(peer) for peer in peers]
        # Those that were dropped for saying nothing for ten seconds, on a slow machine, are told so.
        assert {answer[9:12] for answer in answers} <= {b"200", b"408"}
        assert sum(answer.endswith(b'{"status":"ok"}') for answer in answers) > 500
        assert ask(server, "health/live").status_code == 200
        assert server.end() == 0


def test_more_connections_than_it_may_have(settings: Settings) -> None:
    """With few descriptors left it refuses some, and goes on."""
    limited = "import resource, runpy, sys; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 200)); "
    limited += "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')"
    with serving(settings, program=(sys.executable, "-c", limited)) as server:
        peers: list[socket.socket] = []
        try:
            peers.extend(connected(server) for _ in range(300))
        finally:
            for peer in peers:
                peer.close()
        asked_until(200, server, "health/live")  # they have not all been seen to go yet
        assert server.end() == 0
    assert b"Traceback" not in b"".join(server.printed)
