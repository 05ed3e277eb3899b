"""Sending to the log's topics: how batches for one partition wait."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import RequestTimedOutError

from movie_stream.errors import BrokerRefused
from movie_stream.kafka.log import Broker
from movie_stream.settings import Settings


class Producer:
    """Notes how many batches wait for a partition at a time."""

    def __init__(self, idempotent: bool = True, loses: int | None = None) -> None:
        """Batch number `loses` is never acknowledged."""
        self._txn_manager = object() if idempotent else None
        self.loses, self.batches = loses, 0
        self.waiting, self.most, self.sent = Counter[int](), Counter[int](), Counter[int]()

    async def send_batch(self, batch: Any, topic: str, *, partition: int) -> asyncio.Future[Any]:
        self.waiting[partition] += 1
        self.most[partition] = max(self.most[partition], self.waiting[partition])
        self.most[-1] = max(self.most[-1], self.waiting.total())
        await asyncio.sleep(0)
        self.waiting[partition] -= 1
        acknowledged: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self.batches += 1
        if self.batches == self.loses:
            acknowledged.set_exception(RequestTimedOutError())
            return acknowledged
        acknowledged.set_result(SimpleNamespace(offset=self.sent[partition]))
        self.sent[partition] += batch.record_count()
        return acknowledged


async def test_one_batch_at_a_time_waits_for_a_partition() -> None:
    """aiokafka subtracts the time since a batch began to wait at each of its wake-ups: many in wait time out early."""
    producer: Any = Producer()
    broker = Broker(Settings(kafka_bootstrap_servers="127.0.0.1:1"), producer, admin=SimpleNamespace())
    values = [bytes(400_000)] * 3
    found = await asyncio.gather(*(broker.send("partials", at % 2, values) for at in range(6)))
    assert producer.most == {0: 1, 1: 1, -1: 2}
    assert sorted(offset for offsets in found[::2] for offset in offsets) == [*range(9)]


async def test_without_idempotence_nothing_is_sent_after_a_batch_that_is_lost() -> None:
    """A watermark that comes though partials before it are lost would make windows final too early."""
    producer: Any = Producer(idempotent=False, loses=2)
    broker = Broker(Settings(kafka_bootstrap_servers="127.0.0.1:1"), producer, admin=SimpleNamespace())
    with pytest.raises(BrokerRefused):
        await broker.send("partials", 0, [bytes(300_000)] * 4)
    assert producer.batches == 2
