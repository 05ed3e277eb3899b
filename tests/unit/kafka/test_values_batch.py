"""Batches of values against aiokafka's reader of them."""

from __future__ import annotations

from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.kafka.produce.values_batch import RECORD_BYTES, batch_of, grouped

sizes = st.integers(0, 300) | st.sampled_from([62, 63, 64, 8_190, 8_191, 8_192, 1 << 20])


@given(st.lists(st.tuples(sizes, st.integers(0, 255)), min_size=1, max_size=40))
def test_aiokafka_reads_what_was_written(some: list[tuple[int, int]]) -> None:
    values = [bytes([byte]) * size for size, byte in some]
    made = batch_of(values)
    data = made._build()
    assert made.size() == len(data) <= 61 + sum(RECORD_BYTES + len(value) for value in values)
    batch = DefaultRecordBatch(bytearray(data))
    assert batch.validate_crc()
    assert batch.next_offset == len(values)
    records = list(batch)
    assert [(record.offset, record.key, record.value, record.headers) for record in records] == [
        (offset, None, value, []) for offset, value in enumerate(values)
    ]
    assert {record.timestamp for record in records} == {batch.first_timestamp} == {batch.max_timestamp}


def test_numbers_of_many_records_are_right() -> None:
    records = list(DefaultRecordBatch(bytearray(batch_of([b""] * 20_000)._build())))
    assert [record.offset for record in records] == list(range(20_000))


@given(st.lists(st.binary(max_size=90), max_size=30), st.integers(1, 200))
def test_groups_keep_the_order_and_the_bound(values: list[bytes], most: int) -> None:
    groups = list(grouped(values, most))
    assert [value for group in groups for value in group] == values
    assert all(len(group) == 1 or sum(RECORD_BYTES + len(value) for value in group) <= most for group in groups)
