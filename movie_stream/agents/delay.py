"""The delay of views: how long they waited until MongoDB acknowledged their documents."""

from __future__ import annotations

from collections import deque
from time import monotonic, time
from typing import Final

from movie_stream.aggregates.arrivals import Weighted
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Histogram

RECENT_AT_MOST: Final = 500
"""Delays that the median is taken of: the newest are kept."""
RECENT_S: Final = 15.0
"""Older delays are left out of the median."""


class Delays:
    """Delays of views, since they reached Kafka and since they happened, to the end of the flush of their documents."""

    def __init__(self) -> None:
        self.since_kafka, self.since_event = Histogram(catalogue.DELAYS), Histogram(catalogue.EVENT_DELAYS)
        self._recent: deque[tuple[float, float, int]] = deque(maxlen=RECENT_AT_MOST)

    def written(self, kafka_times: Weighted, event_times: Weighted) -> None:
        """MongoDB has acknowledged the documents of views with these Kafka timestamps and timestamps of their own."""
        at_s, now_ms = monotonic(), time() * 1_000
        for times, histogram in ((kafka_times, self.since_kafka), (event_times, self.since_event)):
            for time_ms, views in times:
                histogram.observe(max(now_ms - time_ms, 0.0) / 1_000, views)  # clocks may differ
        self._recent.extend((at_s, max(now_ms - time_ms, 0.0), views) for time_ms, views in kafka_times)

    @property
    def median_ms(self) -> float | None:
        """The median delay since Kafka of the views of the last RECENT_S seconds; None if nothing was written."""
        since_s = monotonic() - RECENT_S
        recent = sorted((delay_ms, views) for at_s, delay_ms, views in self._recent if at_s >= since_s)
        left = sum(views for _, views in recent) / 2
        for delay_ms, views in recent:
            left -= views
            if left <= 0:
                return delay_ms
        return None
