"""Clients of a server that runs as a process: they ask, or only hold a connection."""

from __future__ import annotations

import socket
import time

import httpx

from tests.support.web.serving import Serving
from tests.support.whole_path import PATIENCE_S


def ask(server: Serving, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{server.api}/{path}", headers=headers, timeout=PATIENCE_S, trust_env=False)


def asked_until(status: int, server: Serving, path: str) -> httpx.Response:
    """The first answer of this status; those before it say when to ask again, or are the last of their kind."""
    deadline_s = time.monotonic() + PATIENCE_S
    while (answer := ask(server, path)).status_code != status:
        assert answer.status_code in (200, 503), answer.text
        assert answer.status_code == 200 or int(answer.headers["retry-after"]) >= 1
        assert time.monotonic() < deadline_s, f"it is still {answer.status_code}: {answer.text}"
        time.sleep(0.05)
    return answer


def connected(server: Serving) -> socket.socket:
    host, _, port = server.address.removeprefix("http://").partition(":")
    return socket.create_connection((host, int(port)), timeout=PATIENCE_S)


def received(peer: socket.socket) -> bytes:
    """All bytes received until the other side closes the connection."""
    found = b""
    try:
        while piece := peer.recv(65_536):
            found += piece
    except ConnectionResetError:  # it closed while we were still sending
        pass
    return found


def raw(server: Serving, octets: bytes) -> bytes:
    """The answer to these bytes, after which the server closes the connection."""
    with connected(server) as peer:
        try:
            peer.sendall(octets)
        except (BrokenPipeError, ConnectionResetError):
            return b""
        return received(peer)
