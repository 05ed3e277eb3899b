"""A worker's figures for Prometheus, served over HTTP by a thread of their own.

Nothing is counted here: a scrape asks the worker, in its own loop, for what it has counted anyway.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from prometheus_client import REGISTRY, CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from movie_stream.agents.tally import Tally
from movie_stream.errors import SettingsError

logger = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 5.0
"""The longest that a scrape waits for the worker's loop."""


@dataclass(frozen=True, slots=True)
class PartitionFigures:
    """Where a partition that this worker owns stands."""

    topic: str
    partition: int
    position: int
    lag: int | None
    """Records that can be read and are not applied, as the last fetch told it."""
    watermark_ms: int | None


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker has done since it was started, and where it is."""

    done: Tally
    partitions: tuple[PartitionFigures, ...]


class WorkerCollector:
    """Gives Prometheus' registry the figures at the time of a scrape; `ask` is called in the scrape's thread."""

    def __init__(self, ask: Callable[[], Figures]) -> None:
        self._ask = ask

    def describe(self) -> Iterator[Metric]:
        """Nothing: the registry would ask for the figures to find their names."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        """All metrics; none, and a warning, where the worker does not answer."""
        try:
            figures = self._ask()
        except (TimeoutError, RuntimeError) as error:  # it is busy for long, or it stops
            logger.warning("metrics: the worker does not answer a scrape: %s", str(error) or type(error).__name__)
            return
        done = figures.done
        yield _counter("events", "Records of the source topic that were read, refused ones among them.", done.events)
        letters = CounterMetricFamily(
            "movie_stream_dead_letters", "Records that were refused.", labels=("kind", "reason")
        )
        for (kind, reason), count in done.refused.items():
            letters.add_metric((kind, reason), count)
        yield letters
        copies = CounterMetricFamily(
            "movie_stream_copies",
            "Copies of refused records that count, or are not counted again.",
            labels=("outcome",),
        )
        for outcome in ("counted", "again"):
            copies.add_metric((outcome,), done.copies[outcome])
        yield copies
        yield _counter("documents", "Documents that were inserted or replaced.", done.documents)
        yield _counter("documents_parked", "Documents that MongoDB's validators refused.", done.parked)
        yield from _gauges(figures.partitions)


def _counter(name: str, meaning: str, count: int) -> Metric:
    return CounterMetricFamily(f"movie_stream_{name}", meaning, value=count)


def _gauges(partitions: tuple[PartitionFigures, ...]) -> Iterator[Metric]:
    labels = ("topic", "partition")
    position = GaugeMetricFamily("movie_stream_position", "The next offset to be applied.", labels=labels)
    lag = GaugeMetricFamily("movie_stream_lag", "Records that can be read and are not applied yet.", labels=labels)
    watermark = GaugeMetricFamily(
        "movie_stream_watermark_seconds", "The newest view's timestamp, in Unix seconds.", labels=labels
    )
    for of in partitions:
        place = (of.topic, str(of.partition))
        position.add_metric(place, of.position)
        if of.lag is not None:
            lag.add_metric(place, of.lag)
        if of.watermark_ms is not None:
            watermark.add_metric(place, of.watermark_ms / 1000)
    yield from (position, lag, watermark)


def asked_in(
    loop: asyncio.AbstractEventLoop, figures: Callable[[], Coroutine[Any, Any, Figures]]
) -> Callable[[], Figures]:
    """Asks a coroutine of that loop from any other thread. Raises TimeoutError, or RuntimeError once it is closed."""

    def ask() -> Figures:
        asked = figures()
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


@contextmanager
def served(host: str, port: int, ask: Callable[[], Figures], registry: CollectorRegistry = REGISTRY) -> Iterator[int]:
    """Serves the metrics during the block, at the port that it gives (another than `port` where that is 0).

    Raises SettingsError where that is not possible.
    """
    collector = WorkerCollector(ask)
    registry.register(collector)
    try:
        try:
            server, thread = start_http_server(port, host, registry)
        except OSError as error:
            raise _worded(host, port, error) from error
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


def _worded(host: str, port: int, error: OSError) -> SettingsError:
    if isinstance(error, socket.gaierror) or error.errno == errno.EADDRNOTAVAIL:
        return SettingsError(variable="METRICS_HOST", expected="an address of this host", got=host)
    return SettingsError(
        variable="METRICS_PORT",
        expected=f"a free port of {host} (0 takes any)",
        got=str(port),
        remedy=f"another program has it, or it may not be used ({error.strerror})",
    )
