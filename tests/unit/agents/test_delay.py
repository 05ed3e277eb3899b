"""How long views have waited: from their arrival in Kafka to MongoDB's acknowledgement of their documents."""

from __future__ import annotations

import asyncio
import json
from time import time
from typing import Any

import pytest

from movie_stream.agents.delay import RECENT_AT_MOST, RECENT_S, Delays
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.events.chunk import chunk_of
from movie_stream.mongo.report import WriteReport
from tests.support.memory_log import MemoryLog
from tests.unit.agents.test_owner import VIEW, Away, Broker, Group, own, publish


def test_the_median_is_of_the_views_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr("movie_stream.agents.delay.monotonic", lambda: now_s)
    monkeypatch.setattr("movie_stream.agents.delay.time", lambda: now_s)
    delays = Delays()
    assert [delays.median_ms] == [None]
    delays.written([(999_000, 3), (999_800, 1), (998_000, 2)], [])
    assert delays.median_ms == 1_000
    delays.written([(2_000_000, 7)], [])  # a clock that is ahead
    assert delays.median_ms == 0
    now_s += RECENT_S
    delays.written([(int(now_s) * 1_000 - n, 1) for n in range(10_000)], [])
    assert delays.median_ms == 10_000 - RECENT_AT_MOST / 2 - 1, "the newest of very many"
    now_s += RECENT_S + 1
    assert delays.median_ms is None


def test_each_view_counts_in_the_histograms(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("movie_stream.agents.delay.time", lambda: 1_000.0)
    delays = Delays()
    delays.written([(999_950, 3), (992_000, 2), (2_000_000, 1)], [(0, 6)])
    assert dict(delays.since_kafka.cumulated())["0.1"] == 4
    assert sum(delays.since_kafka.counts) == 6
    assert delays.since_kafka.sum == pytest.approx(3 * 0.05 + 2 * 8)
    assert (dict(delays.since_event.cumulated())["3600.0"], delays.since_event.sum) == (6, 6_000)


class Gate(Away):
    """Takes documents once it is open."""

    def __init__(self) -> None:
        super().__init__(0)
        self.asked, self.open = asyncio.Event(), asyncio.Event()

    async def write(self, documents: Any) -> WriteReport:
        self.asked.set()
        await self.open.wait()
        return await super().write(documents)


async def test_a_view_has_arrived_once_mongodb_has_taken_its_documents() -> None:
    sink = Gate()
    agent = publish(Broker(), Group(), sink)
    owned = own(agent, MemoryLog())
    came_ms = int(time() * 1_000) - 60_000
    values = [json.dumps({**VIEW, "user_id": user}).encode() for user in ("u1", "u2")]
    counting = Accumulator(0, 1, Rules())
    counting.apply(chunk_of(0, 0, [*values, b"bad"], times_ms=[came_ms] * 3))
    agent.apply(chunk_of(0, 0, [message for _, message in counting.partials(1)]))
    flushing = asyncio.create_task(agent._flush(0, owned))
    await sink.asked.wait()
    assert (agent.delay_ms, sum(agent.delays.since_kafka.counts)) == (None, 0), "it is not acknowledged"
    sink.open.set()
    await flushing
    told = agent.delay_ms
    assert told is not None
    assert told >= 60_000
    histogram = agent.delays.since_kafka
    assert sum(histogram.counts) == 2, "two views, and no bad record"
    assert sum(agent.delays.since_event.counts) == 2
    agent.apply(chunk_of(0, owned.table.state.position, [message for _, message in counting.partials(1)]))
    await agent._flush(0, owned)
    assert sum(histogram.counts) == 2, "none is told twice"
