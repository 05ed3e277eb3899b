"""How long records have waited: from their Kafka timestamps to the end of the flush after them."""

from __future__ import annotations

import json
from time import time

import pytest

from movie_stream.agents.delay import RECENT_S, SAMPLES_AT_MOST, Delays, time_of
from movie_stream.events.chunk import chunk_of
from tests.support.memory_log import MemoryLog
from tests.unit.agents.test_owner import VIEW, Broker, Group, accumulate, own


def test_a_chunk_came_when_its_middle_record_did() -> None:
    assert time_of(chunk_of(0, 5, [b"a", b"b", b"c"], times_ms=[10, 20, 900])) == 20
    assert time_of(chunk_of(0, 5, [b"a"])) is None, "a broker may give no time"
    assert time_of(chunk_of(0, 5, [])) is None


def test_the_median_is_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 1_000.0
    monkeypatch.setattr("movie_stream.agents.delay.monotonic", lambda: now_s)
    monkeypatch.setattr("movie_stream.agents.delay.time", lambda: now_s)
    delays = Delays()
    assert [delays.median_ms] == [None]
    delays.flushed([999_000, 999_800, -(2**62)])
    assert delays.median_ms == 1_000
    delays.flushed([2_000_000] * 4)  # a clock that is ahead
    assert delays.median_ms == 0
    now_s += RECENT_S
    delays.flushed(int(now_s) * 1_000 - n for n in range(10_000))
    assert delays.median_ms == 10_000 - (SAMPLES_AT_MOST + 1) / 2, "the newest of very many"
    now_s += RECENT_S + 1
    assert delays.median_ms is None


async def test_a_flush_tells_of_what_was_applied_before_it() -> None:
    broker = Broker()
    agent = accumulate(broker, Group())
    owned = own(agent, MemoryLog())
    value = json.dumps(VIEW).encode()
    came_ms = int(time() * 1_000) - 60_000
    agent.apply(chunk_of(0, 0, [value], times_ms=[came_ms]))
    assert [agent.delays.median_ms] == [None], "it has not arrived"
    await agent._flush(0, owned)
    told = agent.delays.median_ms
    assert told is not None
    assert told >= 60_000
    assert list(owned.arrived_ms) == []
    agent.apply(chunk_of(0, 1, []))
    await agent._flush(0, owned)
    assert agent.delays.median_ms == told
