"""The partition of a key by Kafka's default partitioner (murmur2), for whole columns of keys.

All views of a user must be in one partition, so producers of the source topic have to partition as Kafka's Java client
does; librdkafka's default is another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import FIRST_BYTES, HEAD_BYTES, Spans, words_of

SEED: Final = np.uint32(0x9747B28C)
MULTIPLIER: Final = np.uint32(0x5BD1E995)
WORD: Final = 4
"""Bytes that murmur2 processes at a time."""
Words32 = NDArray[np.uint32]


def partitions_of(keys: Sequence[bytes], partition_count: int) -> NDArray[np.int64]:
    """The partition of each key in a topic of `partition_count` partitions.

    >>> partitions_of([b"u1", b"u2", b"u3"], 3).tolist()
    [1, 0, 1]
    """
    if partition_count < 1:
        raise ValueError(f"a topic has at least one partition, got {partition_count}")
    return _partitions(murmur2_of(keys), partition_count)


def partitions_of_spans(keys: Spans, partition_count: int) -> NDArray[np.int64]:
    """The partition of each key, for keys in one buffer, of similar length.

    >>> partitions_of_spans(Spans.of([b"u1", b"u2", b"u3"]), 3).tolist()
    [1, 0, 1]
    """
    words, lengths, heads = words_of(keys.text), keys.lengths, keys.heads()

    def word_at(at: int) -> Words32:
        if at < HEAD_BYTES:
            word = heads[:, at // 8] >> np.uint64(at % 8 * 8)
        else:
            left = np.clip(lengths - at, 0, WORD)
            word = words[np.where(left, keys.begins + at, 0)] & FIRST_BYTES[left]
        return word.astype(np.uint32)

    return _partitions(_murmur2(lengths, word_at), partition_count)


def murmur2_of(keys: Sequence[bytes]) -> Words32:
    """The 32-bit murmur2 hash of each key, as Kafka's Java client computes it.

    >>> murmur2_of([b"", b"21"]).tolist()
    [275646681, 3321034988]
    """
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    hashes = np.empty(len(keys), np.uint32)
    size_classes = np.frexp(lengths)[1]  # the bit length: padding at most doubles the keys' bytes
    for size_class in np.unique(size_classes).tolist():
        rows = np.flatnonzero(size_classes == size_class)
        similar = keys if len(rows) == len(keys) else [keys[row] for row in rows.tolist()]
        hashes[rows] = _murmur2_of_similar(similar, lengths[rows])
    return hashes


def _murmur2_of_similar(keys: Sequence[bytes], lengths: NDArray[np.int64]) -> Words32:
    """The hashes of keys of similar length."""
    width = int(lengths.max()) // WORD + 1
    padded = np.array(keys, dtype=f"S{width * WORD}").view("<u4").reshape(len(keys), width)
    words = np.ascontiguousarray(padded.T)  # column by column
    return _murmur2(lengths, lambda at: words[at // WORD])


def _murmur2(lengths: NDArray[np.int64], word_at: Callable[[int], Words32]) -> Words32:
    """The hashes of keys of these lengths in bytes, computed word by word for all keys together.

    `word_at(at)` returns the word at byte `at` of each key, with zeros after the key's end.
    """
    hashes = SEED ^ lengths.astype(np.uint32)
    shortest = int(lengths.min()) if len(lengths) else 0
    for at in range(0, int(lengths.max(initial=0)), WORD):
        word = word_at(at)
        mixed = word * MULTIPLIER
        mixed ^= mixed >> np.uint32(24)
        mixed *= MULTIPLIER
        mixed ^= hashes * MULTIPLIER
        if at + WORD > shortest:
            left = lengths - at
            # The last one to three bytes are a word of their own; the zeros beside them change nothing.
            rest = np.where(left > 0, (hashes ^ word) * MULTIPLIER, hashes)
            mixed = np.where(left >= WORD, mixed, rest)
        hashes = mixed
    hashes ^= hashes >> np.uint32(13)
    hashes *= MULTIPLIER
    hashes ^= hashes >> np.uint32(15)
    return hashes


def _partitions(hashes: Words32, partition_count: int) -> NDArray[np.int64]:
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partition_count
