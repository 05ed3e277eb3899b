"""The metrics of the server while somebody reads its changes, and while MongoDB is away."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from movie_stream.embedded.launch import free_port
from movie_stream.settings import Settings
from tests.services.metrics.test_scrape import page, values
from tests.support.mongo.mongo_server import MongoServer
from tests.support.web.clients import ask
from tests.support.web.serving import serving
from tests.support.whole_path import PATIENCE_S, command


def test_readers_and_a_mongodb_that_is_away(settings: Settings, tmp_path: Path) -> None:
    mongo, port = MongoServer(tmp_path), str(free_port())  # which does not run
    settings = settings.model_copy(update={"mongodb_uri": SecretStr(mongo.uri)})
    with serving(settings, METRICS_PORT=port) as server:
        url = f"http://127.0.0.1:{port}/metrics"
        with httpx.stream("GET", f"{server.api}/changes", timeout=PATIENCE_S, trust_env=False) as stream:
            lines = stream.iter_lines()  # which closes the stream when it is gone
            while next(lines) != "event: status":
                pass
            told = values(page(url))
            assert (told["movie_stream_sse_readers",], told["movie_stream_http_requests_in_flight",]) == (1, 0)
        assert ask(server, "daily_stats").status_code == 503
        told = values(page(url))
        assert ("movie_stream_run_valid",) not in told, "it is not known"
        assert told["movie_stream_mongodb_errors_total", "unreachable"] >= 1
        assert told["movie_stream_http_requests_total", "GET", "/api/v1/daily_stats", "503"] == 1
        assert ("movie_stream_http_request_duration_seconds_count", "GET", "/api/v1/changes") not in told
        assert server.end() == 0


@pytest.mark.long
def test_a_port_of_metrics_that_is_taken(settings: Settings) -> None:
    port = str(free_port())
    with serving(settings, METRICS_PORT=port):
        done = command(settings, "serve", "--port", "0", METRICS_PORT=port)
    assert (done.returncode, done.stdout) == (2, "")
    said = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(said) == 1
    assert said[0].startswith(f"error: METRICS_PORT: expected a free port of 127.0.0.1 (0 takes any), got '{port}'")
    assert "each worker and serve of a host" in said[0]
