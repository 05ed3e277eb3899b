"""The values of one scrape: numbers, and histograms with weighted observations."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, Self

from movie_stream.metrics.catalogue import Buckets, Metric

OTHER: Final = "other"
"""The label value that stands for all others, to bound the cardinality."""


class Histogram:
    """A histogram of observations. Not thread-safe: it is updated in one thread, and copied for others."""

    def __init__(self, buckets: Buckets) -> None:
        self._bounds = buckets
        self.counts = [0] * (len(buckets) + 1)
        """The counts by bucket, not cumulative; the last bucket is unbounded."""
        self.sum = 0.0

    def observe(self, value: float, weight: int = 1) -> None:
        """Adds an observation, `weight` times.

        >>> waited = Histogram((0.1, 1.0))
        >>> waited.observe(0.1), waited.observe(0.5, 3), waited.observe(7)
        (None, None, None)
        >>> waited.counts, waited.sum
        ([1, 3, 1], 8.6)
        """
        self.counts[bisect_left(self._bounds, value)] += weight
        self.sum += value * weight

    def copy(self) -> Self:
        """A copy with the same counts."""
        copied = type(self)(self._bounds)
        copied.counts, copied.sum = self.counts.copy(), self.sum
        return copied

    def cumulated(self) -> list[tuple[str, float]]:
        """The cumulative buckets of Prometheus: each upper bound, and the number of observations up to it.

        >>> Histogram((0.1,)).cumulated()
        [('0.1', 0), ('+Inf', 0)]
        """
        total = 0
        buckets: list[tuple[str, float]] = []
        for bound, count in zip([*map(str, self._bounds), "+Inf"], self.counts, strict=True):
            total += count
            buckets.append((bound, total))
        return buckets


class Values:
    """The values of a scrape, by metric and label values."""

    def __init__(self) -> None:
        self.of: dict[Metric, dict[tuple[str, ...], float | Histogram]] = {}

    def set(self, metric: Metric, value: float | Histogram, *labels: str) -> None:
        """Sets a value; a histogram is copied. Raises ValueError for other labels than the metric has."""
        if len(labels) != len(metric.labels) or isinstance(value, Histogram) != (metric.kind == "histogram"):
            raise ValueError(f"{metric.name} is a {metric.kind} with the labels {metric.labels}, got {labels}: {value}")
        self.of.setdefault(metric, {})[labels] = value.copy() if isinstance(value, Histogram) else value
