"""The partitioner agrees with Kafka's own on any keys."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.murmur2 import partitions_of, partitions_of_spans
from movie_stream.columnar.spans import Spans

KEYS = st.lists(
    st.one_of(st.binary(max_size=12), st.binary(max_size=300), st.text(max_size=20).map(str.encode)),
    max_size=60,
)


@given(KEYS, st.integers(1, 1000) | st.just(2**31))
def test_partition_equals_kafkas(keys: list[bytes], partition_count: int) -> None:
    partitions = partitions_of(keys, partition_count)
    assert partitions.dtype == np.int64
    assert partitions.tolist() == [(murmur2(key) & 0x7FFFFFFF) % partition_count for key in keys]
    assert partitions_of_spans(Spans.of(keys), partition_count).tolist() == partitions.tolist()


@pytest.mark.parametrize("key", [b"\0", b"a\0", b"a\0\0\0", b"\0\0\0\0\0", b"user\0\0", b"x" * 100_000])
def test_zero_bytes_at_the_end_count(key: bytes) -> None:
    keys = [key, key.rstrip(b"\0"), b"u1"]
    assert partitions_of(keys, 2**31).tolist() == [murmur2(key) & 0x7FFFFFFF for key in keys]


def test_no_partition_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one partition, got 0"):
        partitions_of([b"u1"], 0)
