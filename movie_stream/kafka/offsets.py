"""The first and last offsets of partitions, and the records that open transactions hold up."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from time import monotonic
from typing import Final, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaTimeoutError, OffsetOutOfRangeError

from movie_stream.errors import PartitionSilent
from movie_stream.kafka.batches.inflate import BatchRefused

Offsets = dict[TopicPartition, int]

ANSWERED_WITHIN_S: Final = 40.0
"""aiokafka's request timeout; a partition has another leader by then, if it can have one."""
ENDED_BY: Final = (
    "its producer ends it, or the broker once its time is up; one that neither ends: "
    "kafka-transactions.sh find-hanging, then abort"
)
"""The remedy for a transaction that stays open."""
_LISTED: Final = 3
"""Partitions that are listed in a line."""


class Ends(NamedTuple):
    """The two ends of a partition, which are equal if no transaction is open."""

    stable: int
    """The last stable offset, that of the first record of an open transaction: readers of committed records stop there.
    """
    written: int
    """The high watermark, the offset after the last record."""


class OpenTransaction(NamedTuple):
    """Records that cannot be read yet: those of an open transaction, and all others after its first record."""

    topic_partition: TopicPartition
    offset: int
    """The offset where the transaction begins."""
    records: int
    """The number of offsets from there to the high watermark."""

    def __str__(self) -> str:
        records = f"{self.records:,} record{'s' * (self.records != 1)}"
        topic, partition = self.topic_partition
        return f"{topic}, partition {partition}, from offset {self.offset} on: {records}"


def describe_open_transactions(held: Sequence[OpenTransaction]) -> str:
    """One line with the records that cannot be read yet, and why.

    >>> describe_open_transactions([OpenTransaction(TopicPartition("movie-events", 0), 10, 11)])
    "a producer's transaction is open, and what stands behind its first record counts once it ends: movie-events, \
partition 0, from offset 10 on: 11 records"
    """
    why = "a producer's transaction is open, and what stands behind its first record counts once it ends"
    return f"{why}: {shortened_list(held)}"


def shortened_list(partitions: Sequence[object]) -> str:
    """The first partitions in words, and how many more there are.

    >>> shortened_list(["t, partition 0", "t, partition 1", "t, partition 2", "t, partition 3"])
    't, partition 0; t, partition 1; t, partition 2; and 1 more partitions'
    """
    others = f"; and {len(partitions) - _LISTED:,} more partitions" if len(partitions) > _LISTED else ""
    return "; ".join(map(str, partitions[:_LISTED])) + others


async def beginnings(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> Offsets:
    """The offset of the oldest record that each partition still has, or its end offset. Raises PartitionSilent."""
    return await _answered(reader, reader.beginning_offsets, tps)


async def _answered(
    reader: AIOKafkaConsumer,
    ask: Callable[[list[TopicPartition]], Awaitable[Offsets]],
    tps: Sequence[TopicPartition],
) -> Offsets:
    """The leaders' answers; aiokafka retries for a while if there is none. Raises PartitionSilent.

    The reader learns of the topics first: asked for one that it does not know, it waits for 0.1 s, twice.
    """
    for topic in {tp.topic for tp in tps}:
        await reader._client.add_topic(topic)
    try:
        return dict(await ask(list(tps)))
    except KafkaTimeoutError as error:
        raise _silent(reader, tps) from error


def _silent(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> PartitionSilent:
    """The error for partitions that do not answer: those without a leader if there are any, else all of them."""
    leaderless = [tp for tp in tps if reader._client.cluster.leader_for_partition(tp) in (None, -1)]
    silent = [f"{tp.topic}, partition {tp.partition}" for tp in leaderless or tps]
    return PartitionSilent(partitions=shortened_list(silent), leaderless=bool(leaderless))


async def ends(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition], *, committed: bool = True) -> Offsets:
    """The offset after the last record that may be read now: the last stable offset, or if not `committed`, the high
    watermark.

    It is taken from the answer to a fetch: asked for the end, Tansu 0.6 returns the start of the last record batch plus
    one. Changes the reader's assignment, and leaves it paused. Raises PartitionSilent.
    """
    found = await _ends(reader, tps)
    return {tp: end.stable if committed else end.written for tp, end in found.items()}


async def both_ends(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> dict[TopicPartition, Ends]:
    """Both ends, for a reader of committed records; like `ends`, it changes the reader and raises PartitionSilent."""
    return await _ends(reader, tps, hidden=True)


async def open_transactions(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition]) -> list[OpenTransaction]:
    """The records that cannot be read yet, by partition; like `ends`, it changes the reader and raises
    PartitionSilent.
    """
    found = await both_ends(reader, tps)
    return open_transactions_between(
        {tp: end.stable for tp, end in found.items()}, {tp: end.written for tp, end in found.items()}
    )


def open_transactions_between(stable: Offsets, written: Offsets) -> list[OpenTransaction]:
    """The records between the last stable offset and the high watermark, for partitions where they differ."""
    return [OpenTransaction(tp, offset, written[tp] - offset) for tp, offset in stable.items() if offset < written[tp]]


async def _ends(
    reader: AIOKafkaConsumer, tps: Sequence[TopicPartition], *, hidden: bool = False
) -> dict[TopicPartition, Ends]:
    while True:
        try:
            return await _fetched(reader, tps, hidden)
        except OffsetOutOfRangeError:
            continue  # a worker has just deleted finished records: retry from the new beginning


async def _fetched(reader: AIOKafkaConsumer, tps: Sequence[TopicPartition], hidden: bool) -> dict[TopicPartition, Ends]:
    """Fetches from the partitions that hold records; if `hidden`, also from those that may hold only unstable ones."""
    approximate = await _answered(reader, reader.end_offsets, tps)
    oldest = await _answered(reader, reader.beginning_offsets, tps)
    fetched = [tp for tp in tps if hidden or approximate[tp] > oldest[tp]]
    if fetched:
        reader.assign(fetched)
        for tp in fetched:
            reader.seek(tp, max(approximate[tp] - 1, oldest[tp]))
        deadline_s = monotonic() + ANSWERED_WITHIN_S
        while unanswered := [tp for tp in fetched if reader.highwater(tp) is None]:
            if monotonic() > deadline_s:
                raise _silent(reader, unanswered)
            with suppress(BatchRefused):  # the records do not matter
                await reader.getmany(timeout_ms=100)
    found = {tp: Ends(approximate[tp], approximate[tp]) for tp in tps}
    for tp in fetched:
        stable, written = reader.last_stable_offset(tp), reader.highwater(tp)
        # A reader of uncommitted records gets no last stable offset, and no broker before 0.11 has one.
        found[tp] = Ends(written if stable is None or stable < 0 else stable, written)
    # Unpaused, it would continue to fetch, and the next request would wait for that. To unsubscribe is no way out:
    # aiokafka then asks for the metadata of all topics, and may hang when it is stopped meanwhile.
    reader.pause(*fetched)
    return found
