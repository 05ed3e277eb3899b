"""Where partitions begin and end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

Offsets = dict[TopicPartition, int]


async def beginnings(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> Offsets:
    """The offset of the oldest record that each partition still has, or its end."""
    return dict(await reader.beginning_offsets(list(places)))


async def ends(reader: AIOKafkaConsumer, places: Sequence[TopicPartition], *, committed: bool = True) -> Offsets:
    """The offset after the last record that may be read now.

    Where it is to be `committed`, transactions that are still open, and what stands behind them, are not included.
    Taken from the answer to a fetch: asked for the end, Tansu 0.6 names the start of the last record batch plus one.
    Changes what the reader is assigned, and leaves it paused.
    """
    while True:
        try:
            return await _ends(reader, places, reader.last_stable_offset if committed else reader.highwater)
        except OffsetOutOfRangeError:
            continue  # a worker has just deleted what it had finished: look again from where it begins now


async def _ends(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition], end_of: Callable[[TopicPartition], Any]
) -> Offsets:
    about = await reader.end_offsets(list(places))
    oldest = await reader.beginning_offsets(list(places))
    filled = [place for place in places if about[place] > oldest[place]]
    if filled:
        reader.assign(filled)
        for place in filled:
            reader.seek(place, about[place] - 1)
        while any(end_of(place) is None for place in filled):
            await reader.getmany(timeout_ms=100)
    found = {place: end_of(place) if place in filled else about[place] for place in places}
    # It would fetch on, and what is asked next would wait until records come, or do not. An end of the subscription is
    # none for aiokafka: it then asks for the metadata of all topics, and may hang when it is stopped meanwhile.
    reader.pause(*filled)
    return found
