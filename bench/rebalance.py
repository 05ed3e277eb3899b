"""The part `rebalance`: how long partitions stand still while a second worker joins, leaves, and is killed.

A million users are in the state of the first worker, and views keep coming. A partition is seen to advance in the
worker's metrics, at most every tick of the sender, so a standstill includes the time between two ticks.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import numpy as np

from bench.beside import beside
from bench.meter import Meter, PeerFailed
from bench.ours import COMMAND, WITHIN_S, fresh, variables, worker_mark
from bench.positions import Positions, advanced, longest_standstill_s
from bench.running import Run
from bench.stream import EVENTS_AN_HOUR, Stream, Writer, delete, fill
from movie_stream.embedded.launch import free_port
from movie_stream.settings import Settings

PART: Final = "rebalance"
NOTHING: Final = "nothing changes"
JOINS: Final = "a second worker joins"
LEAVES: Final = "it leaves"
KILLED: Final = "it is killed"
SUBJECTS: Final = (NOTHING, JOINS, LEAVES, KILLED)
USERS: Final = 1_000_000
PARTITIONS: Final = 4
RATE: Final = 20_000
"""Events/s."""
TICK_S: Final = 0.05
"""The interval at which due views are sent."""
SETTLED_WITHIN_S: Final = 90.0
WATCHED_S: Final = 3.0
"""How long partitions are watched while nothing changes, and after each change."""


@dataclass
class Worker:
    """A running worker."""

    meter: Meter
    positions: Positions

    def until(self, what: str, done: Callable[[], bool], within_s: float = SETTLED_WITHIN_S) -> None:
        """Waits until it is done while this worker runs. Raises PeerFailed."""
        deadline = time.monotonic() + within_s
        while not done():
            if not self.meter.running or time.monotonic() > deadline:
                raise PeerFailed(f"{what}: that did not come; a worker said: {self.meter.process.log()[-500:]}")
            time.sleep(0.01)

    def standstill_s(self, partitions: Collection[int], since_s: float) -> float:
        """The longest standstill of these partitions since then."""
        until_s = self.positions.looks[-1].at_s
        return max(longest_standstill_s(self.positions.looks, one, since_s, until_s) for one in partitions)


def measure(run: Run) -> None:
    """Measures round by round."""
    for nth in range(run.rounds):
        run.measure(PART, nth, SUBJECTS, lambda: rebalanced(run))


def rebalanced(run: Run) -> list[Mapping[str, float]]:
    """The figures of each subject. Raises PeerFailed."""
    topic, servers = f"rebalanced-{time.time_ns()}", run.services.bootstrap_servers
    hours_ms = run.events * 3_600_000 // EVENTS_AN_HOUR
    backlog = Stream(run.events, USERS, begin_ms=time.time_ns() // 1_000_000 - hours_ms)
    with run.step(f"filling a topic with {run.events:,} events", run.events) as advance:
        fill(servers, topic, backlog, partitions=PARTITIONS, wrote=advance)
    try:
        with fresh(run.services, topic) as settings, started(settings) as stays:
            stays.until("the backlog", lambda: sum(stays.positions.now.values()) >= run.events, WITHIN_S)
            with sending(settings):
                found = [_nothing(stays), *_joins_and_leaves(settings, stays), _killed(settings, stays)]
            memory = {"peak_rss_mb": stays.meter.peak_rss_bytes / 1e6}
    finally:
        asyncio.run(delete(servers, [topic]))
    return [one | {"events": run.events} | memory for one in found]


def _nothing(stays: Worker) -> dict[str, float]:
    """The standstill of any partition between two ticks."""
    began_s = time.monotonic()
    every = range(PARTITIONS)
    stays.until("live views", lambda: stays.positions.advancing(every, began_s))
    began_s = time.monotonic()
    time.sleep(WATCHED_S)
    return {"standstill_s": stays.standstill_s(every, began_s)}


def _joins_and_leaves(settings: Settings, stays: Worker) -> tuple[dict[str, float], dict[str, float]]:
    with _joined(settings, stays) as (other, began_s):
        kept, given = set(stays.positions.now), set(other.positions.now)
        joined = {"standstill_s": stays.standstill_s(kept, began_s)}
        left_s = time.monotonic()
        os.kill(other.meter.process.pid, signal.SIGTERM)
        taken_s = _taken_over(stays, given, left_s)
        other.meter.wait(WITHIN_S)
    return joined, {"standstill_s": stays.standstill_s(kept, left_s), "takeover_s": taken_s}


def _killed(settings: Settings, stays: Worker) -> dict[str, float]:
    with _joined(settings, stays) as (other, _):
        kept, given = set(stays.positions.now), set(other.positions.now)
        killed_s = time.monotonic()
        other.meter.process.kill()
        taken_s = _taken_over(stays, given, killed_s)
    return {"standstill_s": stays.standstill_s(kept, killed_s), "takeover_s": taken_s}


@contextmanager
def _joined(settings: Settings, stays: Worker) -> Iterator[tuple[Worker, float]]:
    """A second worker that has its share, and the time at which it was started."""
    began_s = time.monotonic()
    with started(settings) as other:
        other.until("a share of the partitions", lambda: _shared(stays, other, began_s))
        time.sleep(WATCHED_S)
        if not _shared(stays, other, began_s):
            raise PeerFailed(f"the partitions moved on after they were shared: {other.meter.process.log()[-500:]}")
        yield other, began_s


def _shared(stays: Worker, other: Worker, since_s: float) -> bool:
    """Whether each partition advances at one of the workers, and both have some."""
    kept, given = set(stays.positions.now), set(other.positions.now)
    return (
        bool(kept and given)
        and kept.isdisjoint(given)
        and kept | given == set(range(PARTITIONS))
        and other.positions.advancing(given, since_s)
    )


def _taken_over(stays: Worker, partitions: Collection[int], since_s: float) -> float:
    """The seconds until the worker has applied a view of each of these partitions; watches on for a while."""
    positions = stays.positions
    stays.until("a takeover", lambda: positions.advancing(partitions, since_s))
    first_s = [advanced(positions.looks, one, since_s) for one in partitions]
    time.sleep(WATCHED_S)
    return max(at_s - since_s for at_s in first_s if at_s is not None)


@contextmanager
def started(settings: Settings) -> Iterator[Worker]:
    """A worker whose positions are looked at."""
    port = free_port()
    mine, positions = settings.model_copy(update={"metrics_port": port}), Positions(port, settings.kafka_topic)
    with Meter("a worker", [*COMMAND, "worker"], variables(mine), worker_mark) as meter, positions.looking():
        yield Worker(meter, positions)


@contextmanager
def sending(settings: Settings) -> Iterator[None]:
    """Sends views with the present as their time during the block, at RATE."""
    stream = Stream(round(RATE * TICK_S), USERS, seed=8)

    async def send(over: threading.Event) -> None:
        async with Writer(settings.require_broker(), settings.kafka_topic, PARTITIONS) as writer:
            began_s, tick = time.monotonic(), 0
            while not over.is_set():
                await asyncio.sleep(max(began_s + tick * TICK_S - time.monotonic(), 0))
                now_ms = time.time_ns() // 1_000_000
                await writer.write(*stream.records(tick, np.full(stream.events, now_ms)), now_ms)
                await writer.flush()
                tick += 1

    with beside("sends views", lambda over: asyncio.run(send(over))):
        yield
