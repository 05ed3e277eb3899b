"""Records that may exceed the size limit of their topic: compressed, and dead letters truncated if that is not enough.

A record of the source was small when it arrived, compressed with its neighbours by its producer. Its letter, or a copy
of it, has a batch of its own, compressed as well. A letter that the topic still refuses is truncated: its headers
TRUNCATED and TRUNCATED_KEY have the whole sizes, and it has the source offset of the whole record.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiokafka import AIOKafkaProducer
from aiokafka.errors import MessageSizeTooLargeError

from movie_stream.errors import RecordTooLarge
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.produce.one_record import FAST, STRONG, Headers, OneRecord
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)

LARGE_BYTES: Final = 64 << 10
"""Bytes of key and value; smaller letters share batches, and fit into any topic that a worker starts with."""
TRUNCATED: Final = "truncated"
"""The header with the size in bytes of the whole value."""
TRUNCATED_KEY: Final = "truncated-key"
_LEAST_KEPT: Final = 1_000


class LargeRecords:
    """Writes large records to one topic, one at a time, with a producer of its own that is started when needed.

    That producer is not idempotent: a refused batch would leave a gap in its sequence, for which every later batch
    would be refused. So a record may be written twice, as after a crash.
    """

    def __init__(self, settings: Settings, topic: str, limit: int | None) -> None:
        """`limit` is the max.message.bytes of the topic, if known."""
        self._settings, self._topic, self._limit = settings, topic, limit
        self._producer: AIOKafkaProducer | None = None

    async def send_whole(self, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> bool:
        """Writes a record, acknowledged; False if the topic refuses it. Raises aiokafka's errors."""
        batch = await _packed(key, value, headers, FAST)
        if (self._limit is None or batch.size() <= self._limit) and await self._accepted(partition, batch):
            return True
        return await self._accepted(partition, await _packed(key, value, headers, STRONG))

    async def send_letter(self, partition: int, key: bytes | None, value: bytes | None, headers: Headers) -> None:
        """Writes a dead letter, whole or truncated, and waits for the acknowledgement.

        Raises RecordTooLarge if nothing of it fits, and aiokafka's errors.
        """
        if await self.send_whole(partition, key, value, headers):
            return
        batch = await _packed(key, value, headers, FAST)
        kept = len(key or b"") + len(value or b"")
        limit = min(await self._present_limit() or batch.size(), batch.size() - 1)
        while (kept := min(kept * 3 // 4, kept * limit // batch.size())) >= _LEAST_KEPT:
            short_key, short_value, sizes = shortened(key, value, kept)
            batch = await _packed(short_key, short_value, (*headers, *sizes), FAST)
            if batch.size() <= limit and await self._accepted(partition, batch):
                logger.warning(
                    "%s, partition %s: a dead letter exceeds the limit of the topic and was truncated; its record is "
                    "whole in the source, movie-stream dead-letters list shows its offset",
                    *(self._topic, partition),
                )
                return
        raise RecordTooLarge(topic=self._topic, size=topics.MIN_RECORD_LIMIT_BYTES, limit=self._limit)

    async def _present_limit(self) -> int | None:
        """The present limit of the topic."""
        async with client.admin(self._settings) as admin:
            self._limit = await topics.max_record_bytes(admin, self._topic)
        return self._limit

    async def _accepted(self, partition: int, batch: OneRecord) -> bool:
        if self._producer is None:
            self._producer = await client.start_producer(self._settings, idempotent=False)
        try:
            await (await self._producer.send_batch(batch, self._topic, partition=partition))
        except MessageSizeTooLargeError:
            return False
        return True

    async def stop(self) -> None:
        """Disconnects."""
        if self._producer is not None:
            await self._producer.stop()


def shortened(key: bytes | None, value: bytes | None, size: int) -> tuple[bytes | None, bytes | None, Headers]:
    """The beginnings of a key and a value, of `size` bytes together, and headers with the whole sizes. The key gets
    half of it at most.

    >>> shortened(b"key", b"a value", 8)
    (b'key', b'a val', [('truncated', b'7')])
    >>> shortened(b"a long key", None, 8)
    (b'a lo', None, [('truncated-key', b'10')])
    """
    sizes = []
    if key is not None and len(key) > size // 2:
        sizes.append((TRUNCATED_KEY, str(len(key)).encode()))
        key = key[: size // 2]
    room = size - len(key or b"")
    if value is not None and len(value) > room:
        sizes.append((TRUNCATED, str(len(value)).encode()))
        value = value[:room]
    return key, value, sizes


async def _packed(key: bytes | None, value: bytes | None, headers: Headers, level: int) -> OneRecord:
    """The record compressed, in a thread, since it may take seconds."""
    return await asyncio.to_thread(lambda: OneRecord(key, value, headers).packed(level))
