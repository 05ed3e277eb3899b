"""The messages between the two agents in `movie-partials`, and the partitioner of that topic."""

from __future__ import annotations

from zlib import crc32

import msgspec

from movie_stream.aggregates.arrivals import Weighted
from movie_stream.aggregates.groups import Block


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


def target(collection: str, start_ms: int, value: str, targets: int) -> int:
    """The partition of `movie-partials` that carries a document's partials from all source partitions.

    >>> 0 <= target("daily_stats", 1730332800000, "action", 3) < 3
    True
    """
    return crc32(f"{collection}\0{start_ms}\0{value}".encode()) % targets
