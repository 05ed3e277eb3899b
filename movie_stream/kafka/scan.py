"""Reads whole partitions, from their beginning or from their end, without holding them in memory.

A batch that cannot be read raises BatchRefused; or if the reader passes `unreadable`, that is called with the error,
and the batch is skipped.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.kafka.batches.inflate import BatchRefused

logger = logging.getLogger(__name__)

Unreadable = Callable[[BatchRefused], None]

_BLOCK_BYTES: Final = 4 << 20
_FIRST_BLOCK: Final = 100
_LARGEST_BLOCK: Final = 20_000


async def oldest_first(
    reader: AIOKafkaConsumer, tp: TopicPartition, start: int, end: int, unreadable: Unreadable | None = None
) -> AsyncIterator[list[Any]]:
    """The records with start <= offset < end, in lists as fetched. Changes the reader's assignment."""
    if start >= end:
        return
    reader.assign([tp])
    reader.seek(tp, start)
    while (position := await reader.position(tp)) < end:
        try:
            fetched = (await reader.getmany(timeout_ms=500)).get(tp, [])
        except BatchRefused as error:
            if unreadable is None or error.end is None or error.end <= position:
                raise
            unreadable(error)
            reader.seek(tp, error.end)
            continue
        yield [record for record in fetched if record.offset < end]


class SkipAndLog:
    """An `unreadable` callback that logs each skipped batch once."""

    def __init__(self) -> None:
        self._logged: set[str] = set()

    def __call__(self, error: BatchRefused) -> None:
        if error.location not in self._logged:
            self._logged.add(error.location)
            logger.warning("%s: %s; passed over", error.location, error.what)


async def newest_first(
    reader: AIOKafkaConsumer,
    tp: TopicPartition,
    start: int,
    end: int,
    block: int = _FIRST_BLOCK,
    unreadable: Unreadable | None = None,
) -> AsyncIterator[list[Any]]:
    """The same records, last one first, in lists that hold the newest first.

    They are read in blocks: of `block` records at first, since the caller may need only a few, then of about the same
    bytes.
    """
    while end > start:
        begin = max(start, end - block)
        parts = oldest_first(reader, tp, begin, end, unreadable)
        found = [record async for records in parts for record in records]
        yield found[::-1]
        size = sum(len(record.value or b"") + len(record.key or b"") + 200 for record in found) or 1
        block = max(1, min(_LARGEST_BLOCK, 4 * block, _BLOCK_BYTES * block // size))
        end = begin
