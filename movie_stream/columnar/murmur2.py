"""The partition of a key by Kafka's default partitioner (murmur2), for whole columns of keys.

All views of a user must be in one partition, so producers of the source topic have to partition as Kafka's Java client
does; librdkafka's default is another.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from movie_stream.columnar.spans import Spans
from movie_stream.kernels.hashing import murmur2_hashes


def partitions_of(keys: Sequence[bytes], partition_count: int) -> NDArray[np.int64]:
    """The partition of each key in a topic of `partition_count` partitions.

    >>> partitions_of([b"u1", b"u2", b"u3"], 3).tolist()
    [1, 0, 1]
    """
    return partitions_of_spans(Spans.of(keys), partition_count)


def partitions_of_spans(keys: Spans, partition_count: int) -> NDArray[np.int64]:
    """The partition of each key, for keys in one buffer.

    >>> partitions_of_spans(Spans.of([b"u1", b"u2", b"u3"]), 3).tolist()
    [1, 0, 1]
    """
    if partition_count < 1:
        raise ValueError(f"a topic has at least one partition, got {partition_count}")
    hashes = np.empty(len(keys), np.uint32)
    murmur2_hashes(keys.text, keys.begins, keys.lengths, hashes)
    return (hashes & np.uint32(0x7FFFFFFF)).astype(np.int64) % partition_count
