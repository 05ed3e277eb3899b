"""The durations of an agent's recurring operations."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from movie_stream.metrics import catalogue
from movie_stream.metrics.catalogue import Metric
from movie_stream.metrics.values import Histogram, Values


class Timings:
    """Histograms of one agent, by metric; `labels` distinguish them from those of other agents."""

    def __init__(self, *labels: str) -> None:
        self._labels = labels
        self._histograms = {
            metric: Histogram(metric.buckets) for metric in (catalogue.FLUSH, catalogue.CHECKPOINT, catalogue.RESTORE)
        }

    @contextmanager
    def taking(self, metric: Metric) -> Iterator[None]:
        """Records how long the block takes, unless it fails."""
        began = monotonic()
        yield
        self._histograms[metric].observe(monotonic() - began)

    def export(self, values: Values) -> None:
        """Adds the histograms to the exported metrics."""
        for metric, histogram in self._histograms.items():
            values.set(metric, histogram, *self._labels)
