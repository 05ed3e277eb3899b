"""When the views came and when they happened that were counted since the last partials: a few times, and how many views
each of them stands for.

The second agent, which alone knows when MongoDB has acknowledged what they changed, measures by them how long that
took. No figure depends on them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from movie_stream.columnar.columns import Ints

Weighted = list[tuple[int, int]]
"""Times, in Unix milliseconds, each with the number of views that it stands for."""

SAMPLED_AT_MOST: Final = 512
"""Views of one chunk whose times are looked at, evenly spread."""
KEPT_AT_MOST: Final = 1 << 14
"""Times that are kept as they came; more of them are put together."""


class Times:
    """Times, each with its weight."""

    def __init__(self) -> None:
        self._times: list[Ints] = []
        self._weights: list[Ints] = []
        self._kept = 0

    def add(self, times_ms: Ints, weights: Ints) -> None:
        """Adds these; negative times are none."""
        self._times.append(times_ms)
        self._weights.append(weights)
        self._kept += len(times_ms)
        if self._kept > KEPT_AT_MOST:
            self.extend(self.take())

    def extend(self, times: Weighted) -> None:
        """Adds what `take` gave."""
        if times:
            pairs = np.array(times, np.int64)
            self.add(pairs[:, 0], pairs[:, 1])

    def take(self) -> Weighted:
        """All of them, put together by their distance from the newest, which in a group differs by less than a half;
        each group is told by its mean. None is kept.

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
        there = times >= 0
        times, weights = times[there], weights[there]
        if not len(times):
            return []
        newest = int(times.max())
        before = (newest - times).astype(np.float64)
        groups = np.frexp(before)[1]
        counts = np.bincount(groups, weights)
        means = np.bincount(groups, weights * before)
        return [(newest - round(means[at] / counts[at]), int(counts[at])) for at in np.flatnonzero(counts).tolist()]


class Arrivals:
    """Of the views that were counted, their Kafka timestamps and their own."""

    def __init__(self) -> None:
        self.came, self.happened = Times(), Times()

    def add(self, kafka_ms: Ints, rows: Ints, happened_ms: Ints) -> None:
        """Adds the views that stand in these rows of a chunk with these Kafka timestamps, and have these of their own;
        of more than SAMPLED_AT_MOST only some, which stand for their neighbours too.
        """
        step = -(-len(rows) // SAMPLED_AT_MOST)
        chosen = slice(step // 2, None, step)
        happened = happened_ms[chosen].copy()
        weights = np.full(len(happened), step, np.int64)
        weights[-1] = len(rows) - step * (len(happened) - 1)
        self.came.add(kafka_ms[rows[chosen]], weights)
        self.happened.add(happened, weights)
