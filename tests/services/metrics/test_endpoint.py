"""Metrics over HTTP, as a scrape finds them."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import urllib.request
from collections.abc import Callable
from http.client import HTTPConnection
from pathlib import Path
from typing import NoReturn

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from movie_stream import __version__
from movie_stream.errors import SettingsError
from movie_stream.metrics import catalogue, endpoint
from movie_stream.metrics.endpoint import call_in_loop, served
from movie_stream.metrics.health import PATHS, Health
from movie_stream.metrics.values import Histogram, Values
from movie_stream.runs.progress import wait_until_counted
from movie_stream.settings import Settings
from tests.support.in_process import initialize
from tests.support.whole_path import PATIENCE_S, command, started, succeed


def figures() -> Values:
    """Something of every kind."""
    values, took = Values(), Histogram(catalogue.FLUSH.buckets)
    took.observe(0.2, 3)
    took.observe(100)
    values.set(catalogue.EVENTS, 12)
    values.set(catalogue.DEAD_LETTERS, 3, "bad", "title: missing")
    values.set(catalogue.DEAD_LETTERS, 1, "late", "late")
    values.set(catalogue.POSITION, 7, "movie-events", "0")
    values.set(catalogue.FLUSH, took, "publish")
    return values


def scraped(ask: Callable[[], Values]) -> dict[tuple[str, ...], float]:
    """What a scrape brings: (name, labels' values) to number."""
    with (
        served("127.0.0.1", 0, "worker", ask, CollectorRegistry()) as port,
        urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as page,
    ):
        text = page.read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items(), reverse=True))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_a_scrape_brings_the_figures() -> None:
    found = scraped(figures)
    buckets = {key[1]: count for key, count in found.items() if key[0] == "movie_stream_flush_duration_seconds_bucket"}
    assert list(buckets) == [*map(str, catalogue.DURATIONS), "+Inf"]
    assert (buckets["0.1"], buckets["0.25"], buckets["60.0"], buckets["+Inf"]) == (0, 3, 3, 4)
    assert {key: value for key, value in found.items() if not key[0].endswith("_bucket")} == {
        ("movie_stream_build_info", __version__): 1,
        ("movie_stream_events_total",): 12,
        ("movie_stream_dead_letters_total", "title: missing", "bad"): 3,
        ("movie_stream_dead_letters_total", "late", "late"): 1,
        ("movie_stream_position", "movie-events", "0"): 7,
        ("movie_stream_flush_duration_seconds_count", "publish"): 4,
        ("movie_stream_flush_duration_seconds_sum", "publish"): pytest.approx(100.6),
    }


def test_an_undeclared_metric_cannot_be_reported() -> None:
    values = Values()
    with pytest.raises(ValueError, match="movie_stream_events_total is a counter with the labels"):
        values.set(catalogue.EVENTS, 1, "genre")
    with pytest.raises(ValueError, match="movie_stream_delay_seconds is a histogram"):
        values.set(catalogue.DELAY, 1)


async def test_the_loop_is_asked_from_another_thread() -> None:
    here = threading.current_thread()

    async def asked() -> Values:
        assert threading.current_thread() is here
        return figures()

    found = await asyncio.to_thread(scraped, call_in_loop(asyncio.get_running_loop(), asked))
    assert found["movie_stream_events_total",] == 12


def test_a_loop_that_is_closed_is_said(caplog: pytest.LogCaptureFixture) -> None:
    loop = asyncio.new_event_loop()
    loop.close()

    async def asked() -> Values:
        return figures()

    assert scraped(call_in_loop(loop, asked)) == {}
    assert "does not answer a scrape: Event loop is closed" in caplog.text


def test_a_loop_that_is_busy_is_said(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ANSWER_WITHIN_S", 0.01)
    loop = asyncio.new_event_loop()  # which nobody runs

    async def asked() -> NoReturn:
        raise AssertionError

    assert scraped(call_in_loop(loop, asked)) == {}
    assert "does not answer a scrape: TimeoutError" in caplog.text
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def asked(port: int, path: str, method: str = "GET") -> tuple[int, str]:
    """The status and the body of an answer."""
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    finally:
        connection.close()


def test_health_is_served_beside_the_metrics() -> None:
    checks: dict[str, str | None] = {"group": None, "mongodb": None}
    health = Health(lambda: None, lambda: checks)
    with served("127.0.0.1", 0, "worker", figures, CollectorRegistry(), health) as port:
        assert asked(port, "/health/live") == (200, '{"status": "ok"}')
        assert asked(port, "/health/ready")[0] == 200
        checks["mongodb"] = "it has not answered for 20 s"
        status, body = asked(port, "/health/ready")
        assert (status, json.loads(body)) == (
            503,
            {
                "status": "failing",
                "checks": {
                    "group": {"status": "ok", "detail": None},
                    "mongodb": {"status": "fail", "detail": "it has not answered for 20 s"},
                },
            },
        )
        assert asked(port, "/health/live", "HEAD") == (200, "")
        assert asked(port, "/health/live", "POST")[0] == 405
        status, body = asked(port, "/")
        assert status == 404
        assert "/metrics, /health/live, /health/ready" in body
        assert "movie_stream_events_total 12.0" in asked(port, "/metrics")[1]


def test_without_health_there_are_only_metrics() -> None:
    with served("127.0.0.1", 0, "worker", figures, CollectorRegistry()) as port:
        assert asked(port, "/health/ready")[0] == 404
        assert asked(port, "/metrics")[0] == 200


def test_a_loop_that_does_not_answer_is_neither_live_nor_ready(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "ANSWER_WITHIN_S", 0.01)
    loop = asyncio.new_event_loop()  # which nobody runs

    async def never() -> NoReturn:
        raise AssertionError

    health = Health(call_in_loop(loop, never), call_in_loop(loop, never))
    with served("127.0.0.1", 0, "worker", figures, CollectorRegistry(), health) as port:
        for path in PATHS:
            assert asked(port, path) == (
                503,
                '{"status": "failing", "detail": "the worker does not answer: TimeoutError"}',
            )
    loop.run_until_complete(asyncio.sleep(0))
    loop.close()


def test_a_port_that_is_taken_and_a_host_that_is_not_ours_are_named() -> None:
    registry = CollectorRegistry()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(SettingsError, match=f"METRICS_PORT: expected a free port .* got '{port}'; another program"):
            served("127.0.0.1", port, "worker", figures, registry).__enter__()
    for host in ("192.0.2.1", "nowhere.invalid"):
        with pytest.raises(SettingsError, match=f"METRICS_HOST: expected an address of this host, got '{host}'"):
            served(host, 0, "worker", figures, registry).__enter__()
    assert list(registry.collect()) == []


@pytest.mark.timeout(120)
def test_a_worker_serves_its_metrics(settings: Settings, tmp_path: Path) -> None:
    views, log = tmp_path / "views.csv", tmp_path / "worker.log"
    initialize(settings)
    succeed(settings, "generate", "--output", str(views), "--count", "500")
    succeed(settings, "produce", "--file", str(views))
    with started(settings, "worker", log=log, METRICS_PORT="0") as worker:
        asyncio.run(asyncio.wait_for(wait_until_counted(settings), PATIENCE_S))
        match = re.search(r"metrics: (http://127\.0\.0\.1:(\d+)/metrics)", log.read_text())
        assert match is not None
        assert json.loads(asked(int(match[2]), "/health/ready")[1]) == {
            "status": "ok",
            "checks": {key: {"status": "ok", "detail": None} for key in ("group", "broker", "mongodb")},
        }
        assert asked(int(match[2]), "/health/live")[0] == 200
        with urllib.request.urlopen(match[1], timeout=10) as page:
            text = page.read().decode()
        for words in ("movie_stream_events_total 500.0", "process_cpu_seconds_total", "movie_stream_documents_total "):
            assert words in text
        assert text.count("movie_stream_position{") == 6
        assert text.count("movie_stream_watermark_seconds{") == 3
        refused = command(settings, "worker", METRICS_PORT=match[2])
        assert refused.returncode == 2
        assert refused.stderr.startswith(
            f"error: METRICS_PORT: expected a free port of 127.0.0.1 (0 takes any), got '{match[2]}'"
        )
        worker.terminate()
        assert worker.wait(30) == 0, log.read_text()[-2000:]
