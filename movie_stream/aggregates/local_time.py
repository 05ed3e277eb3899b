"""The hour of the day in a time zone, for whole columns of timestamps."""

from __future__ import annotations

from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np

from movie_stream.columnar.columns import Ints
from movie_stream.events.timestamps import datetime_of

_HOUR_MS: Final = 3_600_000
_BUCKET_MS: Final = 900_000
_CACHED_BUCKETS: Final = 100_000


class LocalHours:
    """Hours of the day, 0 to 23, in an IANA time zone.

    >>> LocalHours("Asia/Kolkata").of(np.array([1_730_385_000_000])).tolist()
    [20]
    """

    def __init__(self, timezone: str) -> None:
        self._zone = ZoneInfo(timezone)
        self._is_utc = timezone == "UTC"
        self._offsets: dict[int, int | None] = {}

    def of(self, timestamp_ms: Ints) -> Ints:
        """The local hour at each timestamp."""
        if self._is_utc:
            return timestamp_ms // _HOUR_MS % 24
        buckets, inverse = np.unique(timestamp_ms // _BUCKET_MS, return_inverse=True)
        offsets = [self._offset_of_bucket(bucket) for bucket in buckets.tolist()]
        local = timestamp_ms + np.array([offset or 0 for offset in offsets], np.int64)[inverse]
        for bucket in (i for i, offset in enumerate(offsets) if offset is None):
            rows = np.flatnonzero(inverse == bucket)
            local[rows] = [stamp + self._offset(stamp) for stamp in timestamp_ms[rows].tolist()]
        return local // _HOUR_MS % 24

    def _offset_of_bucket(self, bucket: int) -> int | None:
        """The offset from UTC in milliseconds during a quarter of an hour; None if it changes within it."""
        if bucket not in self._offsets:
            if len(self._offsets) >= _CACHED_BUCKETS:
                self._offsets.clear()
            first, last = (self._offset(edge) for edge in (bucket * _BUCKET_MS, (bucket + 1) * _BUCKET_MS - 1))
            self._offsets[bucket] = first if first == last else None
        return self._offsets[bucket]

    def _offset(self, timestamp_ms: int) -> int:
        offset = datetime_of(timestamp_ms).astimezone(self._zone).utcoffset()
        assert offset is not None
        return offset // timedelta(milliseconds=1)
