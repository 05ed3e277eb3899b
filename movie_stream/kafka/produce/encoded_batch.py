"""A record batch that is written here instead of by aiokafka, record by record.

Its format: https://kafka.apache.org/documentation/#recordbatch
"""

from __future__ import annotations

import struct
from typing import Final

import google_crc32c

from movie_stream.kernels.compiled import Bytes

HEADER: Final = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES: Final = HEADER.size
_ANY_OFFSET: Final = 0
_ANY_EPOCH: Final = -1
"""The broker assigns the offset, and knows the epoch of the leader."""
_FORMAT: Final = 2
_LENGTH_FROM: Final = 12
_CRC: Final = struct.Struct(">I")
_CRC_AT, _CRC_FROM = 17, 21


class EncodedBatch:
    """Takes the place of a BatchBuilder in aiokafka's `send_batch`: nothing can be added to it."""

    def __init__(self, data: Bytes, count: int, time_ms: int) -> None:
        """`data` has HEADER_BYTES, which are written here, and then `count` encoded records, all of this time."""
        self._data, self._count, self._time_ms = data, count, time_ms
        self._codec = 0
        self._producer = -1, -1, 0

    def size(self) -> int:
        """The size in bytes, as a broker counts it."""
        return len(self._data)

    def record_count(self) -> int:
        """The number of records."""
        return self._count

    def closed(self) -> bool:
        """Whether it is closed: always, since nothing can be added."""
        return True

    def close(self) -> None:
        """Does nothing: it is closed already."""

    def append(self, **_: object) -> None:
        """Refuses the record, as a full batch does."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        self._producer = producer_id, producer_epoch, base_sequence

    def _build(self) -> memoryview:
        length, last, times = self.size() - _LENGTH_FROM, self._count - 1, (self._time_ms, self._time_ms)
        before = _ANY_OFFSET, length, _ANY_EPOCH, _FORMAT, 0, self._codec, last
        HEADER.pack_into(self._data.data, 0, *before, *times, *self._producer, self._count)
        checked = self._data[_CRC_FROM:]
        checked.flags.writeable = False  # of other buffers google_crc32c wants a copy
        _CRC.pack_into(self._data.data, _CRC_AT, google_crc32c.value(checked))
        return self._data.data
