"""How long a record has waited when what became of it is written."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import median
from time import monotonic, time
from typing import Final

from movie_stream.events.chunk import Records

SAMPLES_AT_MOST: Final = 200
"""Of one partition between two flushes, and of one agent over all: the newest are kept."""
RECENT_S: Final = 15.0
"""What was written before that says nothing of how it goes now."""


def time_of(records: Records) -> int | None:
    """When these came to the broker, in Unix milliseconds: the Kafka timestamp of the middle one; None where there is
    none. It looks at one record only, however many there are.
    """
    if not len(records):
        return None
    time_ms = int(records.times_ms[len(records) // 2])
    return time_ms if time_ms >= 0 else None


class Delays:
    """Of one agent: from a record's Kafka timestamp to the end of the flush after it, over the last flushes."""

    def __init__(self) -> None:
        self._recent: deque[tuple[float, float]] = deque(maxlen=SAMPLES_AT_MOST)

    def flushed(self, times_ms: Iterable[int]) -> None:
        """A flush has ended, of records with these Kafka timestamps."""
        at_s, now_ms = monotonic(), time() * 1_000
        self._recent.extend((at_s, max(now_ms - time_ms, 0.0)) for time_ms in times_ms)  # clocks may differ

    @property
    def median_ms(self) -> float | None:
        """The median of those of the last seconds; None where nothing was flushed."""
        since_s = monotonic() - RECENT_S
        recent = [delay_ms for at_s, delay_ms in self._recent if at_s >= since_s]
        return median(recent) if recent else None
