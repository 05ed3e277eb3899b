"""How long what an agent does again and again has taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

from movie_stream.metrics import catalogue
from movie_stream.metrics.catalogue import Metric
from movie_stream.metrics.values import Histogram, Values


class Timings:
    """Histograms of one agent, by metric; `labels` tell them apart from those of others."""

    def __init__(self, *labels: str) -> None:
        self._labels = labels
        self._of = {of: Histogram(of.buckets) for of in (catalogue.FLUSH, catalogue.CHECKPOINT, catalogue.RESTORE)}

    @contextmanager
    def taking(self, metric: Metric) -> Iterator[None]:
        """Notes how long the block takes; nothing where it fails."""
        began = monotonic()
        yield
        self._of[metric].observe(monotonic() - began)

    def tell(self, values: Values) -> None:
        """Adds all of it to what is told."""
        for metric, histogram in self._of.items():
            values.set(metric, histogram, *self._labels)
