"""Compressed record batches unpacked within a bound: a batch of 1 MB may otherwise become gigabytes in memory.

Brokers bound a batch as it was sent, compressed. aiokafka unpacks whatever comes; so the functions that it unpacks with
(private, like what unpack.py reaches for; the version is pinned) are replaced by these.
"""

from __future__ import annotations

import sys
import threading
import zlib
from typing import Any, Final

import cramjam
import numpy as np
from aiokafka.record import default_records, legacy_records
from numpy.typing import NDArray

from movie_stream.errors import MovieStreamError

LARGEST_BYTES: Final = 16 << 20
"""Of one batch, unpacked. Kafka's limit for a batch as it is sent is 1 MB, unless a topic sets another."""

MOST_RECORDS: Final = 1_000_000
"""Of one batch; the smallest have 7 bytes, and each becomes some hundred in memory."""

_GZIP: Final = 16 + zlib.MAX_WBITS
_NO_ROOM: Final = "failed to write whole buffer"
_own = threading.local()


class BatchTooLarge(MovieStreamError):
    """A record batch unpacks to more than fits; `place` is the topic, partition and offset, where they are known."""

    def __init__(self, *, what: str, place: str = "Kafka") -> None:
        self.what = what
        super().__init__(
            f"{place}: a record batch unpacks to {what}, which no honest producer sends; have the topic's records up "
            "to it deleted (kafka-delete-records.sh), then start again: what it held will be missing"
        )


def bound() -> None:
    """From now on this process unpacks no batch beyond LARGEST_BYTES; BatchTooLarge comes out of who reads one.

    Snappy needs no bound: by its format a byte becomes 22 at most.
    """
    for module in _modules():
        module.gzip_decode, module.lz4_decode, module.zstd_decode = gzip, lz4, zstd


def gzip(payload: bytes | memoryview) -> bytes:
    """All members of a gzip file. Raises BatchTooLarge, and EOFError or zlib.error where it is damaged."""
    rest, parts, room = bytes(payload), list[bytes](), LARGEST_BYTES
    while rest:
        member = zlib.decompressobj(_GZIP)
        parts.append(member.decompress(rest, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise _too_large()
        if not member.eof:
            raise EOFError("the gzip file ends too early")
        rest = member.unused_data
    return b"".join(parts)


def lz4(payload: bytes | memoryview) -> bytes:
    """Raises BatchTooLarge, and cramjam.DecompressionError where it is damaged."""
    return _into_room(cramjam.lz4.decompress_into, payload)


def zstd(payload: bytes | memoryview) -> bytes:
    """Raises BatchTooLarge, and cramjam.DecompressionError where it is damaged."""
    return _into_room(cramjam.zstd.decompress_into, payload)


def _into_room(decompress_into: Any, payload: bytes | memoryview) -> bytes:
    room = _room()
    try:
        size = decompress_into(payload, room)
    except cramjam.DecompressionError as error:
        if str(error) == _NO_ROOM:
            raise _too_large() from error
        raise
    return room[:size].tobytes()


def _room() -> NDArray[np.uint8]:
    """A buffer of this thread's own; of its memory only what was ever written to is really there."""
    if not hasattr(_own, "room"):
        _own.room = np.empty(LARGEST_BYTES, np.uint8)
    room: NDArray[np.uint8] = _own.room
    return room


def _too_large() -> BatchTooLarge:
    return BatchTooLarge(what=f"more than {LARGEST_BYTES:,} bytes")


def _modules() -> list[Any]:
    """Where aiokafka's batches look these functions up: compiled modules, or those in Python."""
    batches = default_records.DefaultRecordBatch, legacy_records.LegacyRecordBatch
    return [sys.modules[batch.__module__] for batch in batches]
