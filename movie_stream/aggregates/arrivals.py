"""Arrival times and event times of the views counted since the last partials: a weighted sample of both.

The second agent alone knows when MongoDB has acknowledged the documents that these views changed; it measures the
latency from these times. No figure depends on them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.columnar.columns import Ints

Weighted = list[tuple[int, int]]
"""Times, in Unix milliseconds, each with the number of views that it represents."""

SAMPLED_AT_MOST: Final = 512
"""The most views of one chunk whose times are sampled, evenly spread."""
KEPT_AT_MOST: Final = 1 << 14
"""The most times that are kept apart; more of them are merged."""


class Times:
    """A weighted sample of times."""

    def __init__(self) -> None:
        self._times: list[Ints] = []
        self._weights: list[Ints] = []
        self._kept = 0

    def add(self, times_ms: Ints, weights: Ints) -> None:
        """Adds times in Unix milliseconds; negative ones mean there is none, and are ignored."""
        self._times.append(times_ms)
        self._weights.append(weights)
        self._kept += len(times_ms)
        if self._kept > KEPT_AT_MOST:
            self.extend(self.take())

    def extend(self, times: Weighted) -> None:
        """Adds times that `take` returned."""
        if times:
            pairs = np.array(times, np.int64)
            self.add(pairs[:, 0], pairs[:, 1])

    def take(self) -> Weighted:
        """Returns all times, merged, and clears them. Times whose distances from the newest differ by less than a half
        form a group; each group is represented by its mean.

        >>> times = Times()
        >>> times.extend([(1_000, 1), (997, 2), (996, 2), (0, 1)])
        >>> times.take(), times.take()
        ([(1000, 1), (997, 2), (996, 2), (0, 1)], [])
        """
        if not self._times:
            return []
        times, weights = np.concatenate(self._times), np.concatenate(self._weights)
        self._times.clear()
        self._weights.clear()
        self._kept = 0
        valid = times >= 0
        times, weights = times[valid], weights[valid]
        if not len(times):
            return []
        newest = int(times.max())
        before = (newest - times).astype(np.float64)
        groups = np.frexp(before)[1]
        counts = np.bincount(groups, weights)
        means = np.bincount(groups, weights * before)
        return [(newest - round(means[at] / counts[at]), int(counts[at])) for at in np.flatnonzero(counts).tolist()]


class Arrivals:
    """Kafka timestamps and event times of the views counted."""

    def __init__(self) -> None:
        self.kafka_times, self.event_times = Times(), Times()

    def add(self, kafka_ms: Ints, rows: Ints, event_times_ms: Ints) -> None:
        """Adds the views in these rows of a chunk: `kafka_ms` has the Kafka timestamps of the chunk, `event_times_ms`
        the event times of the rows. Of more than SAMPLED_AT_MOST views only a sample is added, weighted accordingly.
        """
        step = -(-len(rows) // SAMPLED_AT_MOST)
        chosen = slice(step // 2, None, step)
        event_times = event_times_ms[chosen].copy()
        weights = np.full(len(event_times), step, np.int64)
        weights[-1] = len(rows) - step * (len(event_times) - 1)
        self.kafka_times.add(kafka_ms[rows[chosen]], weights)
        self.event_times.add(event_times, weights)
