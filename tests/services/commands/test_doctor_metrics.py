"""What doctor says of METRICS_PORT: who answers there, or that nobody does."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from movie_stream.commands.doctor.findings import Findings, Row
from movie_stream.commands.doctor.metrics import check_metrics
from movie_stream.embedded.launch import free_port
from movie_stream.metrics import catalogue
from movie_stream.metrics.catalogue import Process
from movie_stream.metrics.endpoint import served
from movie_stream.metrics.values import Values
from movie_stream.settings import Settings


async def looked(port: int | None, host: str = "127.0.0.1") -> list[Row]:
    findings = Findings("metrics")
    await check_metrics(Settings(metrics_port=port, metrics_host=host), findings)
    return findings.rows


@pytest.mark.parametrize(("process", "says"), [("worker", "a worker answers"), ("serve", "serve answers")])
async def test_who_answers(process: Process, says: str) -> None:
    def told() -> Values:
        values = Values()
        values.set(catalogue.EVENTS if process == "worker" else catalogue.IN_FLIGHT, 3)
        return values

    with served("127.0.0.1", 0, process, told, CollectorRegistry()) as port:
        [row] = await looked(port, "0.0.0.0")
    assert (row.state, row.what.startswith(says)) == ("ok", True), row


async def test_nobody_and_no_port() -> None:
    assert await looked(None) == []
    assert [row.state for row in await looked(0)] == ["ok"]
    [row] = await looked(free_port())
    assert row.state == "ok"
    assert "nobody answers" in row.what


@contextmanager
def stranger() -> Iterator[int]:
    """Another program that speaks HTTP."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(404)
            self.end_headers()
            self.wfile.write(b"nothing here")

        def log_message(self, *_: Any) -> None:
            """Says nothing."""

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


async def test_a_stranger_is_named() -> None:
    with stranger() as port:
        [row] = await looked(port)
    assert row.state == "warn"
    assert "neither a worker nor serve" in row.what
    assert "METRICS_PORT" in row.remedy


async def test_one_that_speaks_no_http_is_named() -> None:
    def hang_up() -> None:
        with listening.accept()[0] as connection:
            connection.recv(1_000)
            connection.sendall(b"SSH-2.0-nothing\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=hang_up)
        thread.start()
        [row] = await looked(listening.getsockname()[1])
        thread.join()
    assert row.state == "warn"
    assert "SSH-2.0-nothing" in row.what


async def test_a_host_that_is_none() -> None:
    [row] = await looked(9_201, "nowhere.invalid")
    assert row.state == "warn"
    assert "METRICS_HOST" in row.remedy
