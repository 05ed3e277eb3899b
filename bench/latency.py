"""The part `latency`: end-to-end latency at a constant rate, from sending a view until MongoDB returns it.

Among the views are probes: one user for each partition, with a genre of the partition's own. The minute windows of
these genres count only probes, in their order. So as soon as a document has n views, the first n probes are readable.
The product itself knows nothing of probes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from pymongo import MongoClient
from pymongo.collection import Collection

from bench.beside import beside
from bench.goals import OURS
from bench.meter import FIRST, Meter, PeerFailed
from bench.ours import COMMAND, fresh, variables, worker_mark
from bench.running import Run
from bench.stream import Stream, Writer, create
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.settings import Settings

PART: Final = "latency"
SUBJECTS: Final = (OURS,)
RATE: Final = 20_000
"""Events/s."""
TICK_S: Final = 0.05
"""The interval at which the producer sends due views, each time with a probe for one partition."""
LOOK_EVERY_S: Final = 0.003
READY_WITHIN_S: Final = 60.0
ARRIVED_WITHIN_S: Final = 20.0
PARTITIONS: Final = 3
MINUTE_MS: Final = 60_000
WARM_UP_S: Final = 2.0
"""Probes of the first seconds do not count, since the worker is just starting."""


def measure(run: Run, seconds: float) -> None:
    """Measures round by round."""
    for nth in range(run.rounds):
        run.measure(PART, nth, OURS, lambda: [live(run, seconds)])


def live(run: Run, seconds: float) -> Mapping[str, float]:
    """Percentiles in milliseconds, and the resources used by the worker. Raises PeerFailed."""
    topic = f"live-{time.time_ns()}"
    asyncio.run(create(run.services.bootstrap_servers, topic, PARTITIONS))
    with fresh(run.services, topic) as settings:
        probes = Probes()
        with Meter("a worker", [*COMMAND, "worker"], variables(settings), worker_mark) as meter:
            _wait_until_it_works(meter)
            cpu_s, began_s = meter.cpu_s, time.monotonic()
            with looking(settings, probes):
                sent = asyncio.run(_send(settings, probes, WARM_UP_S + seconds))
                _wait_for_the_last(meter, probes)
            used_s, took_s = meter.cpu_s - cpu_s, time.monotonic() - began_s
    latencies_ms = np.array(probes.latencies_ms(began_s + WARM_UP_S))
    return {
        "events": sent,
        "events_per_s": sent / took_s,
        "cpu_us_per_event": 1e6 * used_s / sent,
        "cores": used_s / took_s,
        "probes": len(latencies_ms),
        **{f"p{q}_ms": float(np.percentile(latencies_ms, q)) for q in (50, 90, 99)},
        "max_ms": float(latencies_ms.max()),
    }


class Probes:
    """The times at which each probe was sent and seen, by partition and minute; shared by sender and reader threads."""

    def __init__(self) -> None:
        self.sent: dict[tuple[int, int], list[float]] = {}
        """Times by the monotonic clock."""
        self.seen: dict[tuple[int, int], list[float]] = {}

    def send(self, partition: int, minute: int) -> None:
        """Records a probe that is sent now."""
        self.sent.setdefault((partition, minute), []).append(time.monotonic())

    def waiting(self) -> list[tuple[int, int]]:
        """The windows with probes that are not seen yet."""
        return [at for at, sent in list(self.sent.items()) if len(self.seen.get(at, ())) < len(sent)]

    def see(self, partition: int, minute: int, count: int) -> None:
        """Records that the first `count` probes of a window are seen now."""
        seen, now_s = self.seen.setdefault((partition, minute), []), time.monotonic()
        seen.extend([now_s] * (count - len(seen)))

    def latencies_ms(self, since_s: float) -> list[float]:
        """The times from sending to seeing, of the probes sent since then."""
        pairs = (pair for at, sent in self.sent.items() for pair in zip(sent, self.seen[at], strict=True))
        return [1_000 * (seen_s - sent_s) for sent_s, seen_s in pairs if sent_s >= since_s]


def _wait_until_it_works(meter: Meter) -> None:
    """Waits until the worker is assigned its partitions of both topics."""
    while sum(mark.name == FIRST for mark in meter.marks) < 2 * PARTITIONS:
        if not meter.running or time.monotonic() - meter.began_s > READY_WITHIN_S:
            raise PeerFailed(f"the worker got no partitions: {meter.process.log()[-500:]}")
        time.sleep(0.01)


def _wait_for_the_last(meter: Meter, probes: Probes) -> None:
    deadline = time.monotonic() + ARRIVED_WITHIN_S
    while waiting := probes.waiting():
        if not meter.running or time.monotonic() > deadline:
            raise PeerFailed(f"probes of {waiting} never arrived: {meter.process.log()[-500:]}")
        time.sleep(0.01)


async def _send(settings: Settings, probes: Probes, seconds: float) -> int:
    """Sends views with the present as their time, at RATE; returns their number."""
    rows, users = round(RATE * TICK_S), _users()
    stream = Stream(rows, users=50_000)
    async with Writer(settings.require_broker(), settings.kafka_topic, PARTITIONS) as writer:
        began_s, ticks = time.monotonic(), round(seconds / TICK_S)
        for tick in range(ticks):
            await asyncio.sleep(max(began_s + tick * TICK_S - time.monotonic(), 0))
            now_ms = time.time_ns() // 1_000_000
            keys, values = stream.records(tick, np.full(rows - 1, now_ms))
            partition, minute = tick % PARTITIONS, now_ms // MINUTE_MS
            probes.send(partition, minute)
            keys.append(users[partition])
            values.append(_probe(users[partition], partition, now_ms))
            await writer.write(keys, values, now_ms)
            await writer.flush()
        return ticks * rows


def _users() -> list[bytes]:
    """A user for each partition."""
    names = [b"probe_%d" % number for number in range(100)]
    return [names[int(np.flatnonzero(partitions_of(names, PARTITIONS) == p)[0])] for p in range(PARTITIONS)]


def _probe(user: bytes, partition: int, now_ms: int) -> bytes:
    return b'{"movie_id":"probe","title":"Probe","genre":"probe-%d","user_id":"%b","timestamp":%d,"rating":5}' % (
        partition,
        user,
        now_ms,
    )


@contextmanager
def looking(settings: Settings, probes: Probes) -> Iterator[None]:
    """Polls MongoDB during the block, in a thread of its own."""

    def look(over: threading.Event) -> None:
        with MongoClient[dict[str, Any]](settings.require_mongodb()) as client:
            minutes = client[settings.mongodb_database]["movies_aggregates"]
            while not over.wait(LOOK_EVERY_S):
                _look(minutes, probes)

    with beside("looks for probes", look):
        yield


def _look(minutes: Collection[dict[str, Any]], probes: Probes) -> None:
    windows = {_id(*at): at for at in probes.waiting()}
    if windows:
        for document in minutes.find({"_id": {"$in": list(windows)}}, {"total_views": 1}):
            probes.see(*windows[document["_id"]], document["total_views"])


def _id(partition: int, minute: int) -> str:
    """The id of a window's document.

    >>> _id(2, 28839750)
    'probe-2_2024-10-31T14:30:00Z'
    """
    return f"probe-{partition}_{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%dT%H:%M:%SZ}"
