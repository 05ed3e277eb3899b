"""A record batch of values without keys: they are copied once, and the checksum is computed in hardware."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from movie_stream.kafka.produce.encoded_batch import HEADER_BYTES, EncodedBatch

RECORD_BYTES: Final = 20
"""The most bytes of a record besides its value."""
_NO_ATTRIBUTES, _SAME_TIME, _NO_KEY, _NO_HEADERS = b"\0", b"\0", b"\1", b"\0"


def batch_of(values: Sequence[bytes]) -> EncodedBatch:
    """The values as a batch of records, all of the present time."""
    parts = [bytes(HEADER_BYTES)]
    for number, value in enumerate(values):
        head = b"".join((_NO_ATTRIBUTES, _SAME_TIME, _varint(number), _NO_KEY, _varint(len(value))))
        parts += [_varint(len(head) + len(value) + len(_NO_HEADERS)), head, value, _NO_HEADERS]
    return EncodedBatch(np.frombuffer(bytearray().join(parts), np.uint8), len(values), time.time_ns() // 1_000_000)


def grouped(values: Sequence[bytes], most: int) -> Iterator[list[bytes]]:
    """The values in groups whose batches have up to `most` bytes, or one value.

    >>> [list(map(len, group)) for group in grouped([bytes(9), bytes(70), bytes(10), b"", bytes(200)], 130)]
    [[9, 70], [10, 0], [200]]
    """
    group, size = list[bytes](), 0
    for value in values:
        if group and size + RECORD_BYTES + len(value) > most:
            yield group
            group, size = [], 0
        group.append(value)
        size += RECORD_BYTES + len(value)
    if group:
        yield group


def _varint(number: int) -> bytes:
    """A number from 0 on as a zigzag varint.

    >>> [_varint(number).hex() for number in (0, 63, 64)]
    ['00', '7e', '8001']
    """
    left, encoded = number << 1, bytearray()
    while left > 0x7F:
        encoded.append(left & 0x7F | 0x80)
        left >>= 7
    encoded.append(left)
    return bytes(encoded)
