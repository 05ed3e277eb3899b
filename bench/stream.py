"""The dense views of most parts: seeded, in time order, at a constant rate of event time; and a topic of any views."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any, Final, Literal, Protocol

import numpy as np
from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from numpy.typing import NDArray

from movie_stream.columnar.murmur2 import partitions_of

ROWS: Final = 20_000
"""Views per chunk."""
BATCH_BYTES: Final = 1 << 19
"""The size of a record batch before compression: half of a broker's default limit."""
BEGIN_MS: Final = 1_730_383_200_000
"""2024-10-31T14:00:00Z."""
EVENTS_AN_HOUR: Final = 1_500_000
"""The rate in event time: 3,000,000 views are two hours."""
POPULARITY: Final = 1.3
"""The exponent of the Zipf distribution of films."""
GENRES: Final = (
    *("Action", "Comedy", "Drama", "Thriller", "Sci-Fi", "Romance"),
    *("Horror", "Animation", "Documentary", "Fantasy", "Crime", "Mystery"),
)
SHORTEST, LONGEST = 60, 200
"""The range of durations in minutes, the end exclusive."""
RATINGS: Final = tuple(half / 2 for half in range(11))

Compression = Literal["none", "gzip", "snappy", "lz4", "zstd"]
Records = tuple[list[bytes], list[bytes]]
"""Keys and values."""


class Views(Protocol):
    """Views for a topic; the same arguments make the same ones. It is hashable."""

    @property
    def events(self) -> int: ...

    @property
    def kind(self) -> str:
        """In words: by how many users, of how many films."""
        ...

    def chunks(self) -> Iterator[Records]:
        """All records, in time order."""
        ...


@dataclass(frozen=True)
class Stream:
    """`events` views of `films` films by `users` users; the same arguments make the same views.

    A few films are watched most of the time (Zipf), all users alike. With the default an event has about 136 bytes.
    """

    events: int
    users: int = 50_000
    films: int = 5_000
    seed: int = 7
    begin_ms: int = BEGIN_MS

    @property
    def kind(self) -> str:
        return f"{self.users:,} users, {self.films:,} films"

    def chunks(self) -> Iterator[Records]:
        """All records, ROWS at a time."""
        for first in range(0, self.events, ROWS):
            number = np.arange(first, min(first + ROWS, self.events))
            yield self.records(first // ROWS, self.begin_ms + number * 3_600_000 // EVENTS_AN_HOUR)

    def records(self, chunk: int, time_ms: NDArray[np.int64]) -> Records:
        """The records of a chunk by its number, as many as there are times (Unix ms)."""
        chance, rows = np.random.default_rng([self.seed, chunk]), len(time_ms)
        user = chance.integers(0, self.users, rows).tolist()
        ranked = chance.zipf(POPULARITY, rows)
        film = np.where(ranked <= self.films, ranked - 1, chance.integers(0, self.films, rows)).tolist()
        end = chance.integers(0, len(self._ends), rows).tolist()
        films, ends = self._films, self._ends
        keys = [b"user_%d" % number for number in user]
        values = [
            b'%b%b","timestamp":%d%b' % (films[f], key, t, ends[e])
            for f, key, t, e in zip(film, keys, time_ms.tolist(), end, strict=True)
        ]
        return keys, values

    @cached_property
    def _films(self) -> list[bytes]:
        """The beginning of an event, by film."""
        return [
            b'{"movie_id":"%d","title":"Movie Title %d","genre":"%b","user_id":"'
            % (number, number, GENRES[number % len(GENRES)].encode())
            for number in range(1, self.films + 1)
        ]

    @cached_property
    def _ends(self) -> list[bytes]:
        """The ends of an event: each rating with each duration."""
        minutes = range(SHORTEST, LONGEST)
        return [b',"rating":%.1f,"duration":%d}' % (rating, m) for rating in RATINGS for m in minutes]


def fill(
    servers: str,
    topic: str,
    stream: Views,
    *,
    partitions: int = 3,
    compression: Compression = "none",
    wrote: Callable[[int], None] = lambda events: None,
) -> int:
    """Creates a topic and writes the stream to it, keyed by user; `wrote` is called with the number of records.

    Returns the bytes of all values.
    """
    return asyncio.run(_fill(servers, topic, stream, partitions, compression, wrote))


async def _fill(
    servers: str, topic: str, stream: Views, partitions: int, compression: Compression, wrote: Callable[[int], None]
) -> int:
    await create(servers, topic, partitions)
    size = 0
    async with Writer(servers, topic, partitions, compression) as writer:
        for keys, values in stream.chunks():
            await writer.write(keys, values)
            size += sum(map(len, values))
            wrote(len(values))
    return size


async def create(servers: str, topic: str, partitions: int) -> None:
    """Creates a topic with unlimited retention."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, partitions, 1, topic_configs={"retention.ms": "-1"})])
        while await _leaderless(admin, topic, partitions):  # noqa: ASYNC110  (nobody tells)
            await asyncio.sleep(0.05)
    finally:
        await admin.close()


async def _leaderless(admin: AIOKafkaAdminClient, topic: str, partitions: int) -> bool:
    [described] = await admin.describe_topics([topic])
    return len([one for one in described["partitions"] if one["leader"] >= 0]) < partitions


async def delete(servers: str, topics: Sequence[str]) -> None:
    """Removes topics."""
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
    finally:
        await admin.close()


class Writer:
    """Writes records in batches, in order within each partition, within an `async with` block."""

    def __init__(self, servers: str, topic: str, partitions: int, compression: Compression = "none") -> None:
        self._topic, self._partitions = topic, partitions
        self._options: dict[str, Any] = {
            "bootstrap_servers": servers,
            "max_batch_size": BATCH_BYTES,
            "compression_type": None if compression == "none" else compression,
            "acks": "all",
        }
        self._batches: list[Any] = []
        self._sent: dict[int, asyncio.Future[Any]] = {}

    async def __aenter__(self) -> Writer:
        self._producer = AIOKafkaProducer(**self._options)
        await self._producer.start()
        self._batches = [self._producer.create_batch() for _ in range(self._partitions)]
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self.flush()
        finally:
            await self._producer.stop()

    async def write(self, keys: Sequence[bytes], values: Sequence[bytes], time_ms: int | None = None) -> None:
        """Adds records to the batches of their partitions, and sends full ones."""
        targets = partitions_of(keys, self._partitions)
        for partition in range(self._partitions):
            batch = self._batches[partition]
            for row in np.flatnonzero(targets == partition).tolist():
                if batch.append(timestamp=time_ms, key=keys[row], value=values[row]) is None:
                    await self._send(partition)
                    batch = self._batches[partition]
                    batch.append(timestamp=time_ms, key=keys[row], value=values[row])

    async def flush(self) -> None:
        """Sends the remaining batches, and waits until all are acknowledged."""
        for partition in range(self._partitions):
            if self._batches[partition].record_count():
                await self._send(partition)
        await asyncio.gather(*self._sent.values())

    async def _send(self, partition: int) -> None:
        if (before := self._sent.get(partition)) is not None:
            await before  # one batch in flight per partition keeps them in order
        batch, self._batches[partition] = self._batches[partition], self._producer.create_batch()
        self._sent[partition] = await self._producer.send_batch(batch, self._topic, partition=partition)


def all_records(stream: Views) -> Records:
    """All records in one chunk, for tests.

    >>> keys, values = all_records(Stream(2))
    >>> keys, values[0][:54]
    ([b'user_47245', b'user_31254'], b'{"movie_id":"2","title":"Movie Title 2","genre":"Drama')
    """
    keys, values = zip(*stream.chunks(), strict=True)
    return list(chain.from_iterable(keys)), list(chain.from_iterable(values))
