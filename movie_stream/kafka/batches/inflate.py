"""Decompression of record batches within bounds: a batch of 1 MB may otherwise become gigabytes in memory.

Brokers limit only the compressed size of a batch. A batch that is small once unpacked is unpacked as a whole
(AT_ONCE); a larger one piece by piece (`pieces`), up to the bounds in the settings. aiokafka unpacks without a bound,
so its functions for that (private, like the parts that unpack.py uses; the version is pinned) are replaced by bounded
ones.
"""

from __future__ import annotations

import struct
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import cramjam
import numpy as np
import zstandard
from aiokafka.errors import CorruptRecordException, UnsupportedCodecError
from aiokafka.record import default_records, legacy_records
from numpy.typing import NDArray

from movie_stream.errors import MovieStreamError
from movie_stream.masking import printable

Packed = bytes | memoryview

AT_ONCE_BYTES = 16 << 20
"""The most bytes of a batch that is unpacked as a whole; a larger one is unpacked in pieces."""
PIECE_BYTES = 1 << 20
"""Approximate bytes of a piece; a block of lz4 has up to 4 MiB."""

DAMAGE: Final = (
    cramjam.DecompressionError,
    zlib.error,
    zstandard.ZstdError,
    EOFError,
    struct.error,
    CorruptRecordException,
    UnsupportedCodecError,
)
"""The errors raised for a batch that cannot be unpacked or read."""

_LONGEST_REASON: Final = 120
_CRC_MESSAGE: Final = "Invalid CRC"
WRONG_CHECKSUM: Final = "its checksum is wrong"
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_MEMBER: Final = b"\x1f\x8b\x08"
"""The first bytes of a member. Other bytes after a member are ignored, as by Java's GZIPInputStream."""
_FED_BYTES: Final = 64 << 10
"""Compressed bytes passed to zlib at a time: it copies those that it does not use."""
_NO_ROOM: Final = "failed to write whole buffer"
_XERIAL: Final = b"\x82SNAPPY\x00"
_XERIAL_HEADER_BYTES: Final = 16
_XERIAL_SIZE_BYTES: Final = 4
"""Bytes of the size before each block."""
_LZ4_MAGIC: Final = 0x184D2204
_LZ4_INDEPENDENT, _LZ4_BLOCK_SUMS, _LZ4_SIZE, _LZ4_SUM, _LZ4_DICTIONARY = 0x20, 0x10, 0x08, 0x04, 0x01
_LZ4_BLOCK_BYTES: Final = 4 << 20
_LZ4_UNCOMPRESSED: Final = 1 << 31
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Limits:
    """The bounds in bytes, unpacked, of a record and of a batch; the settings MAX_RECORD_BYTES and MAX_BATCH_BYTES."""

    record: int = 64 << 20
    batch: int = 1 << 30


class BatchRefused(MovieStreamError):
    """A record batch is not read. `location` is its topic, partition and offset, if known, `end` the offset after it.

    What to do: see whether a setting has to be raised; else have the records deleted that cannot be read.

    >>> print(BatchRefused(what="it cannot be read", location="movie-partials, partition 0, offset 7"))
    movie-partials, partition 0, offset 7: it cannot be read; have the topic's records up to it deleted \
(kafka-delete-records.sh), then start again: what it held will be missing
    """

    def __init__(self, *, what: str, remedy: str = "", location: str = "Kafka", end: int | None = None) -> None:
        self.what, self.remedy, self.location, self.end = what, remedy, location, end
        super().__init__(
            f"{location}: {what}; {remedy}have the topic's records up to it deleted (kafka-delete-records.sh), then "
            "start again: what it held will be missing"
        )

    def at(self, location: str, end: int | None = None) -> BatchRefused:
        """The same error, with the batch's location."""
        return type(self)(what=self.what, remedy=self.remedy, location=location, end=end)


class BatchTooLarge(BatchRefused):
    """A record batch that unpacks to more than a setting allows.

    What to do: raise the setting that is named, if the memory is there; else have the records deleted.

    >>> print(BatchTooLarge(
    ...     what="it is too large",
    ...     remedy="raise MAX_BATCH_BYTES, or ",
    ...     location="movie-partials, partition 0, offset 7"
    ... ))
    movie-partials, partition 0, offset 7: it is too large; raise MAX_BATCH_BYTES, or have the topic's records up to \
it deleted (kafka-delete-records.sh), then start again: what it held will be missing
    """


class BatchDamaged(BatchRefused):
    """A record batch that cannot be unpacked, or whose records do not match its header.

    What to do: restore the topic from a backup, or have the records deleted.

    >>> print(BatchDamaged(
    ...     what="a record batch is damaged (its checksum is wrong)",
    ...     location="movie-partials, partition 0, offset 7"
    ... ))
    movie-partials, partition 0, offset 7: a record batch is damaged (its checksum is wrong); have the topic's records \
up to it deleted (kafka-delete-records.sh), then start again: what it held will be missing
    """


def refused(error: Exception, location: str, end: int | None = None) -> BatchRefused:
    """The BatchRefused, with the batch's location, for one of DAMAGE or a BatchRefused."""
    if isinstance(error, BatchRefused):
        return error.at(location, end)
    return BatchDamaged(what=f"a record batch is damaged ({why(error)})", location=location, end=end)


def why(error: Exception) -> str:
    """An error's message, without the name and the number that aiokafka puts before it."""
    message = ", ".join(map(str, error.args))
    return (
        WRONG_CHECKSUM
        if message.startswith(_CRC_MESSAGE)
        else printable(message[:_LONGEST_REASON]) or type(error).__name__
    )


class TooLargeAtOnce(ValueError):
    """A batch that unpacks to more than AT_ONCE_BYTES."""


class _Bounds:
    limits = Limits()


def limit_decompression() -> None:
    """Makes aiokafka, in this process, unpack no batch beyond the limits; reading such a batch raises BatchTooLarge."""
    for module in _modules():
        _, module.gzip_decode, module.snappy_decode, module.lz4_decode, module.zstd_decode = WHOLE


def set_limits(limits: Limits) -> None:
    """Sets the bounds of this process: aiokafka's decompression does not know which consumer a batch is for."""
    _Bounds.limits = limits


def limits() -> Limits:
    """The bounds of this process."""
    return _Bounds.limits


def record_too_large(size: int) -> BatchTooLarge:
    """The error for a record of `size` bytes, more than MAX_RECORD_BYTES."""
    return BatchTooLarge(
        what=f"a record batch unpacks to a record of {size:,} bytes, more than MAX_RECORD_BYTES ({limits().record:,})",
        remedy="if its producer is honest, raise MAX_RECORD_BYTES; else ",
    )


def plain(payload: Packed) -> Packed:
    """Uncompressed records, unchanged. Raises TooLargeAtOnce."""
    if len(payload) > AT_ONCE_BYTES:
        raise TooLargeAtOnce
    return payload


def gzip(payload: Packed) -> bytes:
    """The content of all members of a gzip file. Raises TooLargeAtOnce, and one of DAMAGE."""
    rest, parts, room = bytes(payload), list[bytes](), AT_ONCE_BYTES
    while rest and (not parts or rest.startswith(_GZIP_MEMBER)):
        member = zlib.decompressobj(_GZIP)
        parts.append(member.decompress(rest, room + 1))
        room -= len(parts[-1])
        if room < 0:
            raise TooLargeAtOnce
        if not member.eof:
            raise EOFError("the gzip file ends too early")
        rest = member.unused_data
    return b"".join(parts)


def snappy(payload: Packed) -> bytes:
    """Unpacks snappy, with or without the frames of the xerial library. Raises TooLargeAtOnce, and one of DAMAGE."""
    blocks = list(_snappy_blocks(payload))
    if sum(map(cramjam.snappy.decompress_raw_len, blocks)) > AT_ONCE_BYTES:
        raise TooLargeAtOnce
    return b"".join(memoryview(cramjam.snappy.decompress_raw(block)) for block in blocks)


def lz4(payload: Packed) -> bytes:
    """Unpacks lz4 frames. Raises TooLargeAtOnce, and one of DAMAGE."""
    return _into_buffer(cramjam.lz4.decompress_into, payload)


def zstd(payload: Packed) -> bytes:
    """Unpacks zstd. Raises TooLargeAtOnce, and one of DAMAGE."""
    return _into_buffer(cramjam.zstd.decompress_into, payload)


AT_ONCE: Final[tuple[Callable[[Packed], Packed], ...]] = (plain, gzip, snappy, lz4, zstd)
"""The functions above, indexed by the number of the codec."""


def pieces(codec: int, payload: Packed) -> Iterator[Packed]:
    """The unpacked bytes in pieces of about PIECE_BYTES. Raises BatchTooLarge, and one of DAMAGE.

    Truncated zstd raises no error: the reader must notice the missing records.
    """
    size = 0
    for piece in _PIECES[codec](payload):
        size += len(piece)
        if codec and size > limits().batch:
            raise _too_large()
        yield piece


def _slices(payload: Packed) -> Iterator[Packed]:
    view = memoryview(payload)
    for at in range(0, len(view), PIECE_BYTES):
        yield view[at : at + PIECE_BYTES]


def _gzip_pieces(payload: Packed) -> Iterator[bytes]:
    view, at = memoryview(payload), 0
    while at < len(view) and (not at or bytes(view[at : at + len(_GZIP_MEMBER)]) == _GZIP_MEMBER):
        member = zlib.decompressobj(_GZIP)
        while not member.eof:
            fed = bytes(view[at : at + _FED_BYTES])
            piece = member.decompress(fed, PIECE_BYTES)
            at += len(fed) - len(member.unconsumed_tail) - len(member.unused_data)
            if piece:
                yield piece
            elif not fed:
                raise EOFError("the gzip file ends too early")


def _snappy_pieces(payload: Packed) -> Iterator[Packed]:
    """One block at a time; data without frames is one block, which has to be unpacked as a whole."""
    for block in _snappy_blocks(payload):
        size = cramjam.snappy.decompress_raw_len(block)
        if size > limits().batch:
            raise _too_large()
        if size > _snappy_bound(block):
            raise EOFError("a block of snappy is shorter than it says")
        yield from _slices(memoryview(cramjam.snappy.decompress_raw(block)))


def _snappy_bound(block: Packed) -> int:
    """An upper bound on the unpacked size of a block: three bytes make 64 at most."""
    return 22 * len(block)


def _snappy_blocks(payload: Packed) -> Iterator[Packed]:
    """The blocks of concatenated files of the xerial library, or the whole payload if it has no such frames."""
    view = memoryview(payload)
    if bytes(view[: len(_XERIAL)]) != _XERIAL:
        yield view
        return
    at = _XERIAL_HEADER_BYTES
    while len(view) - at >= _XERIAL_SIZE_BYTES:  # the library ignores a shorter rest
        if bytes(view[at : at + len(_XERIAL)]) == _XERIAL:
            at += _XERIAL_HEADER_BYTES
            continue
        (size,) = struct.unpack_from(">i", view, at)
        at += _XERIAL_SIZE_BYTES
        if not 0 < size <= len(view) - at:
            raise EOFError("a block of snappy has another length than it says")
        yield view[at : at + size]
        at += size


def _lz4_pieces(payload: Packed) -> Iterator[Packed]:
    """One block at a time; if blocks depend on those before them, which Kafka forbids, all are unpacked as a whole."""
    view, at = memoryview(payload), 0
    buffer: Any = np.empty(_LZ4_BLOCK_BYTES, np.uint8)
    while at < len(view):
        (magic,) = struct.unpack_from("<I", view, at)
        flags = view[at + 4] if at + 4 < len(view) else 0
        if magic != _LZ4_MAGIC or not flags & _LZ4_INDEPENDENT:
            yield from _slices(_lz4_whole(view[at:]))
            return
        at += 7 + 8 * bool(flags & _LZ4_SIZE) + 4 * bool(flags & _LZ4_DICTIONARY)
        while True:
            (size,) = struct.unpack_from("<I", view, at)
            at += 4
            if not size:
                break
            uncompressed, size = size & _LZ4_UNCOMPRESSED, size & ~_LZ4_UNCOMPRESSED
            block = view[at : at + size]
            if len(block) < size:
                raise EOFError("the lz4 frame ends too early")
            if uncompressed:
                yield block
            else:
                yield buffer[: cramjam.lz4.decompress_block_into(block, buffer, output_len=len(buffer))].tobytes()
            at += size + 4 * bool(flags & _LZ4_BLOCK_SUMS)
        at += 4 * bool(flags & _LZ4_SUM)


def _lz4_whole(payload: Packed) -> memoryview:
    buffer: Any = np.empty(limits().record, np.uint8)
    try:
        return memoryview(buffer[: cramjam.lz4.decompress_into(payload, buffer)])
    except cramjam.DecompressionError as error:
        if str(error) == _NO_ROOM:
            raise record_too_large(len(buffer) + 1) from error
        raise


def _zstd_pieces(payload: Packed) -> Iterator[bytes]:
    with zstandard.ZstdDecompressor().stream_reader(payload, read_across_frames=True) as reader:
        while piece := reader.read(PIECE_BYTES):
            yield piece


_PIECES: Final[tuple[Callable[[Packed], Iterator[Packed]], ...]] = (
    _slices,
    _gzip_pieces,
    _snappy_pieces,
    _lz4_pieces,
    _zstd_pieces,
)


def _whole(codec: int) -> Callable[[Packed], Packed]:
    """A function that unpacks a batch for aiokafka, of any size within the bounds."""

    def unpack(payload: Packed) -> Packed:
        try:
            return AT_ONCE[codec](payload)
        except TooLargeAtOnce:
            return b"".join(pieces(codec, payload))

    return unpack


WHOLE: Final = tuple(map(_whole, range(len(AT_ONCE))))
"""The functions that unpack a batch of any size within the bounds, indexed by the number of the codec."""


def _into_buffer(decompress_into: Any, payload: Packed) -> bytes:
    buffer = _buffer()[:AT_ONCE_BYTES]
    try:
        size = decompress_into(payload, buffer)
    except cramjam.DecompressionError as error:
        if str(error) == _NO_ROOM:
            raise TooLargeAtOnce from error
        raise
    return buffer[:size].tobytes()


def _buffer() -> NDArray[np.uint8]:
    """A buffer of this thread; its pages are only allocated once they are written to."""
    if not hasattr(_local, "buffer"):
        _local.buffer = np.empty(AT_ONCE_BYTES, np.uint8)
    buffer: NDArray[np.uint8] = _local.buffer
    return buffer


def _too_large() -> BatchTooLarge:
    return BatchTooLarge(
        what=f"a record batch unpacks to more than MAX_BATCH_BYTES ({limits().batch:,})",
        remedy="if its producer is honest, raise MAX_BATCH_BYTES; else ",
    )


def _modules() -> list[Any]:
    """The modules where aiokafka's batches look these functions up: compiled ones, or those in Python."""
    batches = default_records.DefaultRecordBatch, legacy_records.LegacyRecordBatch
    return [sys.modules[batch.__module__] for batch in batches]
