"""A batch of one record, compressed as needed: a broker counts the compressed bytes of a batch."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import cramjam
import google_crc32c
from aiokafka.record.default_records import DefaultRecordBatchBuilder

Headers = Sequence[tuple[str, bytes]]

FAST: Final = 3
STRONG: Final = 12
"""Levels of zstd; the second one is enough for anything that a producer has compressed."""

_HEADER_BYTES: Final = 61
_LENGTH_AT, _LENGTH_FROM = 8, 12
_CRC_AT, _ATTRIBUTES_AT = 17, 21
_PRODUCER_AT: Final = 43
_PRODUCER: Final = struct.Struct(">qhi")
_ZSTD: Final = 4
_LARGEST: Final = 1 << 30


class OneRecord:
    """Takes the place of a BatchBuilder in aiokafka's `send_batch`.

    >>> batch = OneRecord(b"key", b"value " * 10_000)
    >>> whole, packed = batch.size(), batch.packed(FAST).size()
    >>> whole > 60_000 > 1_000 > packed
    True
    """

    def __init__(self, key: bytes | None, value: bytes | None, headers: Headers = ()) -> None:
        builder = DefaultRecordBatchBuilder(2, 0, False, -1, -1, -1, _LARGEST)
        builder.append(0, None, key, value, [(name, content) for name, content in headers])
        built = memoryview(builder.build())
        self._header, self._plain = bytearray(built[:_HEADER_BYTES]), built[_HEADER_BYTES:]
        self._body: bytes | memoryview = self._plain
        self._codec = 0

    def packed(self, level: int) -> OneRecord:
        """The batch compressed by zstd at a level, or itself if that is smaller; may take long."""
        body = bytes(cramjam.zstd.compress(self._plain, level=level))
        if len(body) < len(self._plain):
            self._body, self._codec = body, _ZSTD
        return self

    def size(self) -> int:
        """The size in bytes, as a broker counts it."""
        return _HEADER_BYTES + len(self._body)

    def record_count(self) -> int:
        """The number of records: one."""
        return 1

    def closed(self) -> bool:
        """Whether it is closed: always, since nothing can be added."""
        return True

    def close(self) -> None:
        """Does nothing: it is closed already."""

    def append(self, **_: object) -> None:
        """Refuses the record, as a full batch does."""

    def _set_producer_state(self, producer_id: int, producer_epoch: int, base_sequence: int) -> None:
        _PRODUCER.pack_into(self._header, _PRODUCER_AT, producer_id, producer_epoch, base_sequence)

    def _build(self) -> bytearray:
        data = self._header + self._body
        struct.pack_into(">i", data, _LENGTH_AT, len(data) - _LENGTH_FROM)
        data[_ATTRIBUTES_AT + 1] |= self._codec
        struct.pack_into(">I", data, _CRC_AT, google_crc32c.value(bytes(data[_ATTRIBUTES_AT:])))
        return data
