"""The whole records of dead letters that were truncated."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from aiokafka import AIOKafkaConsumer, TopicPartition

from movie_stream.dead_letters.letters import Letter
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.settings import Settings

_READ_WITHIN_S: Final = 10.0


async def completed(settings: Settings, letters: Sequence[Letter]) -> list[Letter]:
    """The letters in order, truncated ones completed with the key and value of their record in the source, without
    those whose record no longer exists.

    Raises BrokerUnreachable and BrokerRefused.
    """
    if all(letter.is_whole for letter in letters):
        return list(letters)
    with client.explained(settings, f"reading {settings.kafka_topic}"):
        async with client.reader(settings) as reader:
            found = [letter if letter.is_whole else await _whole(settings, reader, letter) for letter in letters]
    return [letter for letter in found if letter is not None]


async def _whole(settings: Settings, reader: AIOKafkaConsumer, letter: Letter) -> Letter | None:
    tp = TopicPartition(settings.kafka_topic, letter.partition)
    if letter.offset < (await offsets.beginnings(reader, [tp]))[tp]:
        return None
    reader.assign([tp])
    reader.seek(tp, letter.offset)
    try:
        async with asyncio.timeout(_READ_WITHIN_S):
            record = await reader.getone(tp)
    except TimeoutError:
        return None
    if record.offset != letter.offset or not _is_of(letter, record.key, record.value):
        return None
    return replace(letter, key=record.key, value=record.value, truncated=None, truncated_key=None)


def _is_of(letter: Letter, key: bytes | None, value: bytes | None) -> bool:
    """Whether the letter's key and value are the beginning of the record's."""
    return (
        (key or b"").startswith(letter.key or b"")
        and (value or b"").startswith(letter.value or b"")
        and letter.truncated in (None, len(value or b""))
        and letter.truncated_key in (None, len(key or b""))
    )
