"""Which partition a key belongs to: Kafka's default partitioner (murmur2), for whole columns of keys at once.

Every user's views must stand in one partition, so whoever produces into the source topic has to choose as
Kafka's Java client does; librdkafka's default is another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import FIRST_BYTES, HEAD_BYTES, Spans, words_of

SEED: Final = np.uint32(0x9747B28C)
MULTIPLIER: Final = np.uint32(0x5BD1E995)
WORD: Final = 4
"""murmur2 eats four bytes at a time."""


def partitions_of(keys: Sequence[bytes], partition_count: int) -> NDArray[np.int64]:
    """The partition of each key in a topic of `partition_count` partitions.

    >>> partitions_of([b"u1", b"u2", b"u3"], 3).tolist()
    [1, 0, 1]
    """
    if partition_count < 1:
        raise ValueError(f"a topic has at least one partition, got {partition_count}")
    return (murmur2_many(keys) & np.uint32(0x7FFFFFFF)).astype(np.int64) % partition_count


def partitions_of_spans(keys: Spans, partition_count: int) -> NDArray[np.int64]:
    """The same for keys in one buffer, of about one length.

    >>> partitions_of_spans(Spans.of([b"u1", b"user_2", b"u3"]), 3).tolist() == partitions_of(
    ...     [b"u1", b"user_2", b"u3"], 3
    ... ).tolist()
    True
    """
    words, lengths, heads = words_of(keys.text), keys.lengths, keys.heads()
    hashes = SEED ^ lengths.astype(np.uint32)
    for at in range(0, int(lengths.max(initial=0)), WORD):
        left = np.clip(lengths - at, 0, WORD)
        if at < HEAD_BYTES:
            half = heads[:, at // 8] >> np.uint64(at % 8 * 8)
        else:
            half = words[np.where(left, keys.begins + at, 0)] & FIRST_BYTES[left]
        word = half.astype(np.uint32)
        mixed = word * MULTIPLIER
        mixed ^= mixed >> np.uint32(24)
        mixed *= MULTIPLIER
        mixed ^= hashes * MULTIPLIER
        if (left == WORD).all():
            hashes = mixed
        else:
            rest = np.where(left, (hashes ^ word) * MULTIPLIER, hashes)
            hashes = np.where(left == WORD, mixed, rest)
    return (_finished(hashes) & np.uint32(0x7FFFFFFF)).astype(np.int64) % partition_count


def murmur2_many(keys: Sequence[bytes]) -> NDArray[np.uint32]:
    """The 32-bit murmur2 hash of each key, as Kafka's Java client computes it.

    >>> murmur2_many([b"", b"21"]).tolist()
    [275646681, 3321034988]
    """
    lengths = np.fromiter(map(len, keys), np.int64, len(keys))
    hashes = np.empty(len(keys), np.uint32)
    size_classes = np.frexp(lengths)[1]  # the bit length: padding at most doubles what the keys weigh
    for size_class in np.unique(size_classes).tolist():
        rows = np.flatnonzero(size_classes == size_class)
        alike = keys if len(rows) == len(keys) else [keys[row] for row in rows.tolist()]
        hashes[rows] = _hash_alike(alike, lengths[rows])
    return hashes


def _hash_alike(keys: Sequence[bytes], lengths: NDArray[np.int64]) -> NDArray[np.uint32]:
    """The hashes of keys of about one length, as columns of words: word by word, all keys at once."""
    width = (int(lengths.max()) // WORD + 1) * WORD
    padded = np.array(keys, dtype=f"S{width}").view(np.uint8).reshape(len(keys), width)
    words = np.ascontiguousarray(padded.view("<u4").T)
    whole_words = lengths // WORD
    hashes = SEED ^ lengths.astype(np.uint32)
    everywhere = int(whole_words.min())
    for column in range(int(whole_words.max())):
        mixed = words[column] * MULTIPLIER
        mixed ^= mixed >> np.uint32(24)
        mixed *= MULTIPLIER
        mixed ^= hashes * MULTIPLIER
        hashes = mixed if column < everywhere else np.where(column < whole_words, mixed, hashes)
    # The one to three bytes that are left stand in a word of their own; the zeros beside them change nothing.
    rest = words[whole_words, np.arange(len(keys))]
    hashes = np.where(lengths % WORD > 0, (hashes ^ rest) * MULTIPLIER, hashes)
    return _finished(hashes)


def _finished(hashes: NDArray[np.uint32]) -> NDArray[np.uint32]:
    hashes ^= hashes >> np.uint32(13)
    hashes *= MULTIPLIER
    hashes ^= hashes >> np.uint32(15)
    return hashes
