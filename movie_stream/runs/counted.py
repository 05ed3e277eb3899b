"""The positions up to which a topic is counted, by the checkpoints in the changelog of its tables.

The committed offsets of the group would be faster to read, but any member of the group can commit anything. A cursor is
only written by a worker, after everything below its position has arrived downstream (rule 2 of
docs/explanation/architecture.md).
That holds for every cursor, even for one that does not count because another writer came first.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from movie_stream.errors import ChangelogError
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.scan import newest_first
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import BrokenChangelog, CheckpointId, Cursor, decode
from movie_stream.tables.claim import claim_in

_AT_FIRST: Final = 1
"""Records read from the end at first; the last one is usually a cursor."""


class Checkpoints:
    """The furthest cursor of each partition in one changelog; later calls only read new records."""

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, changelog: str, partitions: int) -> None:
        self._settings, self._reader, self._changelog = settings, reader, changelog
        self._topic_partitions = [TopicPartition(changelog, partition) for partition in range(partitions)]
        self._run: int | frozenset[str] | None = None
        self._read_to: dict[TopicPartition, int] = {}
        self._furthest: dict[int, Cursor] = {}
        self._last: dict[int, CheckpointId] = {}

    async def furthest(self, run: int | frozenset[str]) -> Mapping[int, Cursor]:
        """By partition, the cursor of this run (its number, or hashes of its fingerprint) with the largest position.

        Changes the reader's assignment. Raises ChangelogError, and what the broker answers.
        """
        if run != self._run:
            self._run, self._read_to, self._furthest, self._last = run, {}, {}, {}
        with client.explained(self._settings, f"reading {self._changelog}"):
            ends = await offsets.ends(self._reader, self._topic_partitions)
            for tp, end in ends.items():
                if end > self._read_to.get(tp, 0):
                    await self._read(tp, run)
        return self._furthest

    async def positions(self, run: int) -> dict[int, int]:
        """The position of this run by partition; 0 where it has not begun."""
        furthest = await self.furthest(run)
        return {
            tp.partition: furthest[tp.partition].position if tp.partition in furthest else 0
            for tp in self._topic_partitions
        }

    async def _read(self, tp: TopicPartition, run: int | frozenset[str]) -> None:
        while True:
            oldest = (await offsets.beginnings(self._reader, [tp]))[tp]
            # Only now, since a worker deletes a changelog up to a newer checkpoint, which an earlier end may precede.
            end = (await offsets.ends(self._reader, [tp]))[tp]
            try:
                found = await self._since(tp, max(oldest, self._read_to.get(tp, 0)), end, run)
                break
            except OffsetOutOfRangeError:
                continue  # it was deleted meanwhile
        self._read_to[tp] = end
        if found:
            before = self._furthest.get(tp.partition)
            self._last[tp.partition] = found[0].id
            self._furthest[tp.partition] = max(
                [*found, *([before] if before else [])], key=lambda cursor: cursor.position
            )

    async def _since(self, tp: TopicPartition, start: int, end: int, run: int | frozenset[str]) -> list[Cursor]:
        """The cursors of this run from the last one back to its parent, since the last one may not count."""
        found: list[Cursor] = []
        async for records in newest_first(self._reader, tp, start, end, block=_AT_FIRST):
            for record in records:
                if claim_in(record.value) is not None:
                    continue
                try:
                    entry = decode(record.value)
                except BrokenChangelog as error:
                    raise ChangelogError(
                        topic=tp.topic, partition=tp.partition, expected="checkpoints", got=str(error)
                    ) from error
                if isinstance(entry, Cursor) and _is_of(entry.run, run):
                    found.append(entry)
                    parent = found[0].parent
                    if parent is not None and parent in (entry.id, self._last.get(tp.partition)):
                        return found
        return found


def _is_of(text: str, run: int | frozenset[str]) -> bool:
    """Whether a cursor's run is this one (its number, or one of these hashes of its fingerprint).

    >>> _is_of("17:c0ffee", 17), _is_of("17:c0ffee", frozenset({"c0ffee"})), _is_of("17:c0ffee", 1)
    (True, True, False)
    """
    number, _, fingerprint = text.partition(":")
    return number == str(run) if isinstance(run, int) else fingerprint in run
