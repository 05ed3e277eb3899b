"""The dead letters of a topic as an operator sees them: one for each refused record, in its present state.

The topic holds more: a letter may be there twice after a crash; copies of a refused record that are refused too have
letters of their own; and records note the outcome of a copy (`counted`, `again`). All of these have the original's
offset, and the newest decides. Letters of earlier runs do not concern the current run and are left out, unless
requested; those of another topic of the same name are always left out.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.columnar.bitmap import Bitmap
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.produce.large_records import TRUNCATED, TRUNCATED_KEY
from movie_stream.kafka.scan import newest_first, oldest_first
from movie_stream.settings import Settings

Scan = Callable[[AIOKafkaConsumer, TopicPartition, int, int], AsyncIterator[list[Any]]]
REFUSED: Final = ("bad", "late")
KINDS: Final = (*REFUSED, "counted", "again")
_LARGEST: Final = 2**63 - 1
"""The largest offset or time."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A record of the dead letters' topic."""

    at: int
    """The offset of the letter."""
    partition: int
    """The source partition, and that of the letter."""
    original: int
    """The offset of the record that was refused."""
    offset: int
    """The offset of the record with this key and value: the original, or a copy that was refused too."""
    time_ms: int
    """The Kafka timestamp of that record, or of the letter if it has none."""
    kind: str
    """bad or late; or the outcome of a copy: counted or again."""
    reason: str
    run: int
    topic: str
    """The identity of the source topic."""
    key: bytes | None
    value: bytes | None
    truncated: int | None = None
    """The size in bytes of the record's value, if the letter has only its beginning."""
    truncated_key: int | None = None
    """The same for its key."""

    @property
    def is_whole(self) -> bool:
        """Whether it has the whole key and value."""
        return self.truncated is None and self.truncated_key is None


def letter_of(record: Any) -> Letter | None:
    """The letter in a record of the topic; None if it is not one of ours."""
    headers: Mapping[str, bytes] = dict(record.headers)
    try:
        kind, offset = headers["kind"].decode(), int(headers["source-offset"])
        time_ms = int(headers["source-timestamp"])
        original = int(headers.get("original-offset", offset))
        if kind not in KINDS or not (min(offset, original) >= 0 and max(offset, original, time_ms) <= _LARGEST):
            return None
        return Letter(
            at=record.offset,
            partition=record.partition,
            original=original,
            offset=offset,
            time_ms=record.timestamp if time_ms < 0 else time_ms,
            kind=kind,
            reason=headers["reason"].decode(),
            run=int(headers["run"]),
            topic=headers["source-topic-id"].decode(),
            key=record.key,
            value=record.value,
            truncated=_size_in(headers, TRUNCATED),
            truncated_key=_size_in(headers, TRUNCATED_KEY),
        )
    except (KeyError, ValueError, TypeError, AttributeError):
        return None


def _size_in(headers: Mapping[str, bytes], name: str) -> int | None:
    return int(headers[name]) if name in headers else None


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """Conditions on open letters; None: any."""

    reason: str | None = None
    """A part of the reason, case-insensitive."""
    kind: str | None = None
    """bad or late."""
    partition: int | None = None
    since: int | datetime | None = None
    """The offset of the original, or the record's time."""
    until: int | datetime | None = None
    """The same, exclusive."""

    def takes(self, letter: Letter) -> bool:
        """Whether the letter meets all conditions."""
        return (
            (self.kind is None or letter.kind == self.kind)
            and (self.reason is None or self.reason.casefold() in letter.reason.casefold())
            and (self.since is None or _compared(letter, self.since) >= _bound(self.since))
            and (self.until is None or _compared(letter, self.until) < _bound(self.until))
        )


def _compared(letter: Letter, bound: int | datetime) -> int:
    return letter.original if isinstance(bound, int) else letter.time_ms


def _bound(bound: int | datetime) -> int:
    return bound if isinstance(bound, int) else round(bound.timestamp() * 1000)


@dataclass(frozen=True, slots=True)
class Scope:
    """The letters to read: those about this topic, of this run (None: of every run)."""

    topic: str
    run: int | None

    def holds(self, letter: Letter) -> bool:
        """Whether the letter is one of these."""
        return letter.topic == self.topic and self.run in (None, letter.run)


@dataclass(frozen=True, slots=True)
class Extent:
    """The offsets of a partition of the letters' topic, the end exclusive."""

    topic_partition: TopicPartition
    start: int
    end: int


class Letters:
    """Reads the open letters of a scope. Changes the reader's assignment.

    Raises BrokerUnreachable and BrokerRefused.
    """

    def __init__(self, settings: Settings, reader: AIOKafkaConsumer, scope: Scope) -> None:
        self._settings, self._reader, self._scope = settings, reader, scope
        self.read = 0
        """Records read so far, letters or not; those read twice count twice."""
        self.foreign = 0
        """The number of records that are not letters of ours."""
        self.elsewhere = 0
        """The number of letters outside of the scope."""

    async def extents(self, partitions: Sequence[int]) -> list[Extent]:
        """The extents of the partitions that are not empty."""
        topic = self._settings.dead_letters_topic
        tps = [TopicPartition(topic, partition) for partition in partitions]
        with client.explained(self._settings, f"asking how many records {topic} holds"):
            oldest, ends = await offsets.beginnings(self._reader, tps), await offsets.ends(self._reader, tps)
        return [Extent(tp, oldest[tp], ends[tp]) for tp in tps if ends[tp] > oldest[tp]]

    async def newest_first(self, extent: Extent) -> AsyncIterator[list[Letter]]:
        """The open letters of a partition, each once, in its present state; one list for each block read."""
        known = Bitmap()
        async for letters in self._read(newest_first, extent):
            yield [letter for letter in letters if known.add(letter.original) and letter.kind in REFUSED]

    async def oldest_first(self, extent: Extent) -> AsyncIterator[list[Letter]]:
        """The same, oldest first; the partition is read twice."""
        settled, newest = Bitmap(), dict[int, int]()
        async for letters in self._read(oldest_first, extent):
            for letter in letters:
                if letter.kind not in REFUSED:
                    settled.add(letter.original)
                elif letter.offset != letter.original:
                    newest[letter.original] = letter.at
            yield []
        known = Bitmap()
        async for letters in self._read(oldest_first, extent, again=True):
            yield [
                letter
                for letter in letters
                if letter.original not in settled
                and newest.get(letter.original, letter.at) == letter.at
                and known.add(letter.original)
            ]

    async def _read(self, scan: Scan, extent: Extent, *, again: bool = False) -> AsyncIterator[list[Letter]]:
        """All letters of the scope; counts the records that are left out, unless it is the second (`again`) read."""
        with client.explained(self._settings, f"reading {extent.topic_partition.topic}"):
            async for records in scan(self._reader, extent.topic_partition, extent.start, extent.end):
                self.read += len(records)
                found = [letter for record in records if (letter := letter_of(record)) is not None]
                within = [letter for letter in found if self._scope.holds(letter)]
                if not again:
                    self.foreign += len(records) - len(found)
                    self.elsewhere += len(found) - len(within)
                yield within
