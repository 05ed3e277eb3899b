"""The messages between the two agents in `movie-partials`, and the partitioner of that topic."""

from __future__ import annotations

from typing import Final
from zlib import crc32

import msgspec
import numpy as np

from movie_stream.aggregates.arrivals import Weighted
from movie_stream.aggregates.groups import Block
from movie_stream.columnar.spans import Ints, Spans
from movie_stream.kernels.hashing import continue_crc32

_CRC32_TABLE: Final = np.array([crc32(bytes([index ^ 0xFF])) ^ 0xFF000000 for index in range(256)], np.uint32)
"""The remainder of each byte, as zlib has it: its CRC-32 begins and ends with an inversion."""


class Partial(msgspec.Struct, array_like=True, tag="partial"):
    """Cumulative figures of one source partition; a row is exact for the prefix of the log that ends at its label."""

    run: int
    partition: int
    block: Block


class Watermark(msgspec.Struct, array_like=True, tag="watermark"):
    """The largest timestamp that one source partition has applied, in Unix milliseconds."""

    run: int
    partition: int
    timestamp_ms: int
    kafka_times: Weighted = []
    """The Kafka timestamps of the views counted since the last watermark; older versions sent none."""
    event_times: Weighted = []
    """The event times of these views."""
    with_closed: bool = False
    """Whether it follows the partials of all windows that it closes; older versions let those of long lists wait."""


_ENCODER = msgspec.msgpack.Encoder()
_DECODER: msgspec.msgpack.Decoder[Partial | Watermark] = msgspec.msgpack.Decoder(Partial | Watermark)


def encode(message: Partial | Watermark) -> bytes:
    """The message as a Kafka record's value."""
    return _ENCODER.encode(message)


def encode_block(run: int, partition: int, block: bytes) -> bytes:
    """A Partial of an already packed block, as a Kafka record's value."""
    return _ENCODER.encode(Partial(run, partition, msgspec.Raw(block)))  # type: ignore[arg-type]


def decode(value: bytes) -> Partial | Watermark:
    """The inverse of encode. Raises msgspec.DecodeError."""
    return _DECODER.decode(value)


def targets_of(collection: str, starts: Ints, values: Spans | None, targets: int) -> Ints:
    """The partition of `movie-partials`, of so many, that carries a document's partials from all source partitions: the
    CRC-32 of its collection, its window's start in Unix milliseconds and its value, separated by zeros. Without
    `values`, they are "".

    >>> targets_of("daily_stats", np.array([1730332800000, 1730419200000]), Spans.of([b"action", b"drama"]), 3).tolist()
    [1, 1]
    """
    windows, inverse = np.unique(starts, return_inverse=True)
    before = [crc32(f"{collection}\0{start_ms}\0".encode()) for start_ms in windows.tolist()]
    crcs = np.array(before, np.uint32)[inverse]
    if values is not None:
        continue_crc32(values.text, values.begins, values.lengths, _CRC32_TABLE, crcs)
    return crcs.astype(np.int64) % targets
