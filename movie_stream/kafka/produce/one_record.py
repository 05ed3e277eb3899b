"""A batch of one record, compressed as needed: a broker counts the compressed bytes of a batch."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Final

import cramjam
import numpy as np
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from movie_stream.kafka.produce.encoded_batch import HEADER_BYTES, EncodedBatch

Headers = Sequence[tuple[str, bytes]]

FAST: Final = 3
STRONG: Final = 12
"""Levels of zstd; the second one is enough for anything that a producer has compressed."""

_ZSTD: Final = 4
_LARGEST: Final = 1 << 30


class OneRecord(EncodedBatch):
    """A batch of one record.

    >>> batch = OneRecord(b"key", b"value " * 10_000)
    >>> whole, packed = batch.size(), batch.packed(FAST).size()
    >>> whole > 60_000 > 1_000 > packed
    True
    """

    def __init__(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        time_ms = time.time_ns() // 1_000_000
        builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, _LARGEST)
        builder.append(0, time_ms, key, value, [(name, content) for name, content in headers])
        super().__init__(np.frombuffer(builder.build(), np.uint8), 1, time_ms)
        self._plain = self._data[HEADER_BYTES:]

    def packed(self, level: int) -> OneRecord:
        """The batch compressed by zstd at a level, or itself if that is smaller; may take long."""
        body = bytes(cramjam.zstd.compress(self._plain.data, level=level))
        if len(body) < len(self._plain):
            self._data, self._codec = np.frombuffer(bytearray(HEADER_BYTES) + body, np.uint8), _ZSTD
        return self
