"""Where partitions begin and end, and what stands behind transactions that are open."""

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
"""As long as aiokafka waits for the answer to a request; a partition has another leader by then, if it can have one."""
ENDED_BY: Final = (
    "its producer ends it, or the broker once its time is up; one that neither ends: "
    "kafka-transactions.sh find-hanging, then abort"
)
"""What helps against a transaction that stays open."""
_NAMED: Final = 3
"""Partitions that a line names."""


class Ends(NamedTuple):
    """The two ends of a partition, which are one where no transaction is open."""

    stable: int
    """The offset of the first record of an open transaction: whoever reads committed records gets no further."""
    written: int
    """The offset after the last record."""


class Held(NamedTuple):
    """Records that cannot be read yet, as they are of an open transaction, or stand behind its first record."""

    place: TopicPartition
    offset: int
    """Where the transaction begins."""
    records: int
    """From there on, by offset."""

    def __str__(self) -> str:
        records = f"{self.records:,} record{'s' * (self.records != 1)}"
        return f"{self.place.topic}, partition {self.place.partition}, from offset {self.offset} on: {records}"


def said_of(held: Sequence[Held]) -> str:
    """What cannot be read yet, in one line, and why.

    >>> said_of([Held(TopicPartition("movie-events", 0), 10, 11)])
    "a producer's transaction is open, and what stands behind its first record counts once it ends: movie-events, \
partition 0, from offset 10 on: 11 records"
    """
    why = "a producer's transaction is open, and what stands behind its first record counts once it ends"
    return f"{why}: {first_of(held)}"


def first_of(places: Sequence[object]) -> str:
    """Some of them in words, and how many more there are.

    >>> first_of(["t, partition 0", "t, partition 1", "t, partition 2", "t, partition 3"])
    't, partition 0; t, partition 1; t, partition 2; and 1 more partitions'
    """
    others = f"; and {len(places) - _NAMED:,} more partitions" if len(places) > _NAMED else ""
    return "; ".join(map(str, places[:_NAMED])) + others


async def beginnings(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> Offsets:
    """The offset of the oldest record that each partition still has, or its end. Raises PartitionSilent."""
    return await _answered(reader, reader.beginning_offsets, places)


async def _answered(
    reader: AIOKafkaConsumer,
    ask: Callable[[list[TopicPartition]], Awaitable[Offsets]],
    places: Sequence[TopicPartition],
) -> Offsets:
    """What the leaders answer. aiokafka asks again for a while where there is none."""
    try:
        return dict(await ask(list(places)))
    except KafkaTimeoutError as error:
        raise _silent(reader, places) from error


def _silent(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> PartitionSilent:
    """The error of partitions that do not answer: those without a leader where there are some, else all of these."""
    leaderless = [place for place in places if reader._client.cluster.leader_for_partition(place) in (None, -1)]
    named = [f"{place.topic}, partition {place.partition}" for place in leaderless or places]
    return PartitionSilent(places=first_of(named), leaderless=bool(leaderless))


async def ends(reader: AIOKafkaConsumer, places: Sequence[TopicPartition], *, committed: bool = True) -> Offsets:
    """The offset after the last record that may be read now.

    Where it is to be `committed`, transactions that are still open, and what stands behind them, are not included.
    Taken from the answer to a fetch: asked for the end, Tansu 0.6 names the start of the last record batch plus one.
    Changes what the reader is assigned, and leaves it paused. Raises PartitionSilent.
    """
    found = await _asked(reader, places)
    return {place: end.stable if committed else end.written for place, end in found.items()}


async def both_ends(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> dict[TopicPartition, Ends]:
    """Both, for a reader of committed records; what is said of `ends` goes for it too."""
    return await _asked(reader, places, hidden=True)


async def held(reader: AIOKafkaConsumer, places: Sequence[TopicPartition]) -> list[Held]:
    """What cannot be read yet, by partition; what is said of `both_ends` goes for it too."""
    found = await both_ends(reader, places)
    return held_between({place: end.stable for place, end in found.items()}, {p: e.written for p, e in found.items()})


def held_between(stable: Offsets, written: Offsets) -> list[Held]:
    """What stands between two ends, where they differ."""
    return [Held(place, at, written[place] - at) for place, at in stable.items() if at < written[place]]


async def _asked(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition], *, hidden: bool = False
) -> dict[TopicPartition, Ends]:
    while True:
        try:
            return await _fetched(reader, places, hidden)
        except OffsetOutOfRangeError:
            continue  # a worker has just deleted what it had finished: look again from where it begins now


async def _fetched(
    reader: AIOKafkaConsumer, places: Sequence[TopicPartition], hidden: bool
) -> dict[TopicPartition, Ends]:
    """Asks the partitions that hold something; if `hidden`, also those that may hold nothing but what is not stable."""
    about = await _answered(reader, reader.end_offsets, places)
    oldest = await _answered(reader, reader.beginning_offsets, places)
    asked = [place for place in places if hidden or about[place] > oldest[place]]
    if asked:
        reader.assign(asked)
        for place in asked:
            reader.seek(place, max(about[place] - 1, oldest[place]))
        deadline_s = monotonic() + ANSWERED_WITHIN_S
        while unanswered := [place for place in asked if reader.highwater(place) is None]:
            if monotonic() > deadline_s:
                raise _silent(reader, unanswered)
            with suppress(BatchRefused):  # what stands there does not matter
                await reader.getmany(timeout_ms=100)
    found = {place: Ends(about[place], about[place]) for place in places}
    for place in asked:
        stable, written = reader.last_stable_offset(place), reader.highwater(place)
        # Who reads uncommitted records is told of none, and no broker before 0.11 knows one.
        found[place] = Ends(written if stable is None or stable < 0 else stable, written)
    # It would fetch on, and what is asked next would wait until records come, or do not. An end of the subscription is
    # none for aiokafka: it then asks for the metadata of all topics, and may hang when it is stopped meanwhile.
    reader.pause(*asked)
    return found
