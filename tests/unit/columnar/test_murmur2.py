"""The partitioner agrees with Kafka's own on any keys."""

from __future__ import annotations

import numpy as np
import pytest
from aiokafka.partitioner import murmur2
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.columnar.murmur2 import murmur2_of, partitions_of, partitions_of_spans
from movie_stream.columnar.spans import Spans

KEYS = st.lists(
    st.one_of(st.binary(max_size=12), st.binary(max_size=300), st.text(max_size=20).map(str.encode)),
    max_size=60,
)


@given(KEYS)
def test_hash_equals_kafkas_whatever_the_lengths(keys: list[bytes]) -> None:
    hashes = murmur2_of(keys)
    assert hashes.dtype == np.uint32
    assert hashes.tolist() == [murmur2(key) for key in keys]


@given(KEYS, st.integers(1, 1000))
def test_partition_equals_kafkas(keys: list[bytes], partition_count: int) -> None:
    partitions = partitions_of(keys, partition_count)
    assert partitions.dtype == np.int64
    assert partitions.tolist() == [(murmur2(key) & 0x7FFFFFFF) % partition_count for key in keys]
    assert partitions_of_spans(Spans.of(keys), partition_count).tolist() == partitions.tolist()


@pytest.mark.parametrize("key", [b"\0", b"a\0", b"a\0\0\0", b"\0\0\0\0\0", b"user\0\0"])
def test_trailing_zero_bytes_count(key: bytes) -> None:
    assert murmur2_of([key, key.rstrip(b"\0")]).tolist() == [murmur2(key), murmur2(key.rstrip(b"\0"))]


def test_one_huge_key_does_not_widen_the_others() -> None:
    keys = [b"u%d" % i for i in range(20_000)] + [b"x" * 100_000]
    assert murmur2_of(keys)[-1] == murmur2(keys[-1])


def test_no_partition_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="at least one partition, got 0"):
        partitions_of([b"u1"], 0)
