"""What a process tells at one moment: numbers, and histograms whose observations may weigh more than one."""

from __future__ import annotations

from bisect import bisect_left
from typing import Final, Self

from movie_stream.metrics.catalogue import Buckets, Metric

OTHER: Final = "other"
"""The value of a label for all that would be one of very many."""


class Histogram:
    """How many observations fell into which bucket. It is changed in one thread, and copied for others."""

    def __init__(self, buckets: Buckets) -> None:
        self._limits = buckets
        self.counts = [0] * (len(buckets) + 1)
        """By bucket, not cumulated; the last one has no limit."""
        self.sum = 0.0

    def observe(self, value: float, weight: int = 1) -> None:
        """Counts an observation, so many times.

        >>> waited = Histogram((0.1, 1.0))
        >>> waited.observe(0.1), waited.observe(0.5, 3), waited.observe(7)
        (None, None, None)
        >>> waited.counts, waited.sum
        ([1, 3, 1], 8.6)
        """
        self.counts[bisect_left(self._limits, value)] += weight
        self.sum += value * weight

    def copy(self) -> Self:
        """Another one with the same counts."""
        copied = type(self)(self._limits)
        copied.counts, copied.sum = self.counts.copy(), self.sum
        return copied

    def cumulated(self) -> list[tuple[str, float]]:
        """The buckets as Prometheus has them: each limit with how many observations were not larger.

        >>> Histogram((0.1,)).cumulated()
        [('0.1', 0), ('+Inf', 0)]
        """
        below = 0
        found: list[tuple[str, float]] = []
        for limit, count in zip([*map(str, self._limits), "+Inf"], self.counts, strict=True):
            below += count
            found.append((limit, below))
        return found


class Values:
    """The numbers of a scrape, by metric and the values of its labels."""

    def __init__(self) -> None:
        self.of: dict[Metric, dict[tuple[str, ...], float | Histogram]] = {}

    def set(self, metric: Metric, value: float | Histogram, *labels: str) -> None:
        """Tells the value; a histogram is copied. Raises ValueError for other labels than the metric has."""
        if len(labels) != len(metric.labels) or isinstance(value, Histogram) != (metric.kind == "histogram"):
            raise ValueError(f"{metric.name} is a {metric.kind} with the labels {metric.labels}, got {labels}: {value}")
        self.of.setdefault(metric, {})[labels] = value.copy() if isinstance(value, Histogram) else value
