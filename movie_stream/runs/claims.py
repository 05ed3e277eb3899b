"""Claims on the internal topics: reading and writing them; see tables/claim.py."""

from __future__ import annotations

from collections.abc import AsyncIterator, Container
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import OffsetOutOfRangeError

from movie_stream.errors import MovieStreamError
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.kafka.scan import SkipAndLog, Unreadable, newest_first
from movie_stream.settings import Settings
from movie_stream.tables import checkpoint
from movie_stream.tables.claim import PARTITION, Claim, claim_in, encode

_PARTIALS: Final = (b"partial", b"watermark", b"claim")
_CHANGELOG: Final = (b"entry", b"cursor", b"claim")
_VIEW: Final = b"{"


class TopicsShared(MovieStreamError):
    """Another deployment uses one of our topics.

    What to do: give each deployment a group and topics of its own.

    >>> print(TopicsShared(
    ...     topic="movie-partials",
    ...     ours=Claim(1, "ours", "movies", "mongo:27017", "x"),
    ...     theirs=Claim(1, "theirs", "shop", "mongo:27017", "y")
    ... ))
    the topic movie-partials belongs to the group theirs with the database shop at mongo:27017, and cannot serve the \
group ours with the database movies at mongo:27017 too; give each deployment a KAFKA_GROUP and a KAFKA_PARTIALS_TOPIC \
of its own, or, where the other is no more, take its topics over with: movie-stream rebuild
    """

    def __init__(self, *, topic: str, ours: Claim, theirs: Claim) -> None:
        super().__init__(
            f"the topic {topic} belongs to {theirs}, and cannot serve {ours} too; give each deployment a KAFKA_GROUP "
            "and a KAFKA_PARTIALS_TOPIC of its own, or, where the other is no more, take its topics over with: "
            "movie-stream rebuild"
        )


class TopicOfAnotherKind(MovieStreamError):
    """A topic holds records of another kind; `holds` says which.

    What to do: set the variable to a topic of its own.

    >>> print(TopicOfAnotherKind(variable="KAFKA_PARTIALS_TOPIC", topic="movie-events", holds="views"))
    the topic movie-events holds views; set KAFKA_PARTIALS_TOPIC to another
    """

    def __init__(self, *, variable: str, topic: str, holds: str) -> None:
        super().__init__(f"the topic {topic} holds {holds}; set {variable} to another")


@dataclass(frozen=True, slots=True)
class PlacedClaim:
    """A claim and its offset."""

    claim: Claim
    offset: int


async def check(
    settings: Settings,
    reader: AIOKafkaConsumer,
    ours: Claim,
    there: Container[str] | None = None,
    unreadable: Unreadable | None = None,
) -> dict[str, PlacedClaim]:
    """Our claims by topic, for the topics that have one; reads only topics that are in `there`, by default all. Changes
    the reader's assignment. Unreadable batches of views are passed to `unreadable`, which by default logs and skips
    them.

    Raises TopicsShared if a topic has another deployment's claim, TopicOfAnotherKind if its records are of another
    kind, and BatchDamaged if records of an internal topic cannot be read.
    """
    names, found = Topics.of(settings), dict[str, PlacedClaim]()
    if there is None:
        there = names.all
    if names.events in there:
        await _check_events(settings, reader, names, unreadable or SkipAndLog())
    for topic, kinds, variable in (
        (names.partials, _PARTIALS, "KAFKA_PARTIALS_TOPIC"),
        (names.accumulate_changelog, _CHANGELOG, "KAFKA_GROUP"),
    ):
        newest = None if topic not in there else await _newest(settings, reader, topic, kinds, variable)
        if newest is not None and not newest.claim.is_of(ours):
            raise TopicsShared(topic=topic, ours=ours, theirs=newest.claim)
        if newest is not None:
            found[topic] = newest
    return found


async def claim(settings: Settings, producer: AIOKafkaProducer, ours: Claim) -> dict[str, PlacedClaim]:
    """Writes our claims; returns them with their offsets, by topic."""
    names = Topics.of(settings)
    with client.explained(settings, f"claiming {names.partials}"):
        return {
            topic: PlacedClaim(ours, (await producer.send_and_wait(topic, encode(ours), partition=PARTITION)).offset)
            for topic in (names.partials, names.accumulate_changelog)
        }


async def _check_events(settings: Settings, reader: AIOKafkaConsumer, names: Topics, unreadable: Unreadable) -> None:
    """Raises TopicOfAnotherKind if the topic of the views is an internal topic of some deployment."""
    async for record in _newest_first(settings, reader, names.events, unreadable):
        kind = _kind_of(record.value)
        if kind in _PARTIALS or kind in _CHANGELOG:
            raise TopicOfAnotherKind(variable="KAFKA_TOPIC", topic=names.events, holds="what workers tell each other")
        return


async def _newest(
    settings: Settings, reader: AIOKafkaConsumer, topic: str, kinds: tuple[bytes, ...], variable: str
) -> PlacedClaim | None:
    """The last claim, as its own record or in the cursor of a checkpoint."""
    async for record in _newest_first(settings, reader, topic):
        kind = _kind_of(record.value)
        if kind == _VIEW:
            raise TopicOfAnotherKind(variable=variable, topic=topic, holds="views")
        if kind not in kinds and kind in {*_PARTIALS, *_CHANGELOG}:
            holds = "checkpoints" if kind in _CHANGELOG else "partial results"
            raise TopicOfAnotherKind(variable=variable, topic=topic, holds=holds)
        if kind not in kinds:
            return None  # a worker that reads it reports that
        found = _claim_of_cursor(record.value) if kind == b"cursor" else claim_in(record.value)
        if found is not None:
            return PlacedClaim(found, record.offset)
    return None


def _claim_of_cursor(value: bytes) -> Claim | None:
    try:
        cursor = checkpoint.decode(value)
    except checkpoint.BrokenChangelog:
        return None  # a worker that reads it reports that, after it has checked which version wrote it
    return cursor.claim if isinstance(cursor, checkpoint.Cursor) else None


async def _newest_first(
    settings: Settings, reader: AIOKafkaConsumer, topic: str, unreadable: Unreadable | None = None
) -> AsyncIterator[Any]:
    """The records of the partition with claims, newest first; some are repeated if others are deleted meanwhile."""
    tp = TopicPartition(topic, PARTITION)
    with client.explained(settings, f"asking whose {topic} is"):
        while True:
            start = (await offsets.beginnings(reader, [tp]))[tp]
            end = (await offsets.ends(reader, [tp]))[tp]
            try:
                async for records in newest_first(reader, tp, start, end, 1, unreadable):
                    for record in records:
                        yield record
            except OffsetOutOfRangeError:
                continue
            return


def _kind_of(value: bytes | None) -> bytes:
    r"""The tag of one of our records, `{` for a view, empty for anything else.

    >>> _kind_of(b"\x95\xa5claim\x07"), _kind_of(b' {"movie_id": "m1"}'), _kind_of(b"\xff"), _kind_of(None)
    (b'claim', b'{', b'', b'')
    """
    text = (value or b"").lstrip()
    if text[:1] == _VIEW:
        return _VIEW
    if len(text) > 1 and text[0] & 0xF0 == 0x90 and text[1] & 0xE0 == 0xA0:  # msgpack: a short array, a short string
        return text[2 : 2 + (text[1] & 0x1F)]
    return b""
