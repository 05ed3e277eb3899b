"""Serves metrics and health over HTTP, from a thread of their own.

A scrape collects the current values from the process, in its own event loop.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any, Final, TypeVar
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import REGISTRY, CollectorRegistry, make_wsgi_app
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as Family

from movie_stream import __version__
from movie_stream.errors import SettingsError
from movie_stream.metrics.catalogue import BUILD, Metric, Process, exported_by
from movie_stream.metrics.health import Health, application
from movie_stream.metrics.values import Histogram, Values

Answer = TypeVar("Answer")
logger = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 5.0
"""The timeout of a scrape for the process's event loop."""


class Collector:
    """A collector for Prometheus' registry: all metrics of a process. `ask` is called in the thread of the scrape."""

    def __init__(self, process: Process, ask: Callable[[], Values]) -> None:
        self._process, self._ask = process, ask

    def describe(self) -> Iterator[Family]:
        """Empty, so that the registry does not collect values to find the names."""
        return iter(())

    def collect(self) -> Iterator[Family]:
        """All metrics; none, with a warning, if the process does not answer."""
        try:
            values = self._ask()
        except (TimeoutError, RuntimeError) as error:  # the loop is blocked, or stops
            logger.warning(
                "metrics: the %s does not answer a scrape: %s",
                *("worker" if self._process == "worker" else "server", str(error) or type(error).__name__),
            )
            return
        values.set(BUILD, 1, __version__)
        declared = exported_by(self._process)
        assert values.of.keys() <= set(declared), "only declared metrics are exported"
        for metric in declared:
            yield _family(metric, values)


_KINDS: Final[Mapping[str, Any]] = {
    "counter": CounterMetricFamily,
    "gauge": GaugeMetricFamily,
    "histogram": HistogramMetricFamily,
}


def _family(metric: Metric, values: Values) -> Family:
    family = _KINDS[metric.kind](metric.family, metric.meaning, labels=metric.labels)
    for labels, value in values.of.get(metric, {}).items():
        if isinstance(value, Histogram):
            family.add_metric(labels, value.cumulated(), value.sum)
        else:
            family.add_metric(labels, value)
    return family  # type: ignore[no-any-return]


def call_in_loop(
    loop: asyncio.AbstractEventLoop, values: Callable[[], Coroutine[Any, Any, Answer]]
) -> Callable[[], Answer]:
    """A function that runs a coroutine in a loop from another thread. It raises TimeoutError, or RuntimeError once the
    loop is closed.
    """

    def ask() -> Answer:
        asked = values()
        try:
            answer = asyncio.run_coroutine_threadsafe(asked, loop)
        except RuntimeError:
            asked.close()
            raise
        try:
            return answer.result(ANSWER_WITHIN_S)
        finally:
            answer.cancel()

    return ask


class _Server(ThreadingMixIn, WSGIServer):
    """An HTTP server with a thread for each request."""

    daemon_threads = True


class _QuietHandler(WSGIRequestHandler):
    """A request handler without a log of requests."""

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is that of the base
        pass


def _server(host: str, port: int, registry: CollectorRegistry, health: Health | None) -> WSGIServer:
    family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    server = type("Server", (_Server,), {"address_family": family})
    return make_server(str(address[0]), port, application(make_wsgi_app(registry), health), server, _QuietHandler)


@contextmanager
def served(
    host: str,
    port: int,
    process: Process,
    ask: Callable[[], Values],
    registry: CollectorRegistry = REGISTRY,
    health: Health | None = None,
) -> Iterator[int]:
    """Serves the metrics, and the health if given, during the block; yields the port, a free one if `port` is 0.

    Raises SettingsError if it cannot listen there.
    """
    collector = Collector(process, ask)
    registry.register(collector)
    try:
        try:
            server = _server(host, port, registry, health)
        except OSError as error:
            raise _listen_error(host, port, error) from error
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            address = f"[{host}]" if ":" in host else host
            logger.info("metrics: http://%s:%s/metrics", address, server.server_port)
            yield server.server_port
        finally:
            server.shutdown()
            server.server_close()
            thread.join()
    finally:
        registry.unregister(collector)


def _listen_error(host: str, port: int, error: OSError) -> SettingsError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return SettingsError(variable="METRICS_HOST", expected="an address of this host", got=host)
    return SettingsError(
        variable="METRICS_PORT",
        expected=f"a free port of {host} (0 takes any)",
        got=str(port),
        remedy=f"another program has it, or it may not be used ({error.strerror}); each worker and serve of a host "
        "needs one of its own",
    )
