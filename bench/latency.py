"""The part `latency`: end-to-end latency at a constant rate, from sending a view until MongoDB returns it.

Among the views are probes: one user for each partition, with a genre of the partition's own. The documents of these
genres count only probes, in their order. So as soon as a document has n views, the first n probes are readable. The
product itself knows nothing of probes.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
from pymongo import MongoClient
from pymongo.collection import Collection

from bench.beside import beside
from bench.meter import FIRST, Meter, PeerFailed
from bench.ours import COMMAND, fresh, variables, worker_mark
from bench.running import Run
from bench.stream import Stream, Writer, create
from movie_stream.columnar.murmur2 import partitions_of
from movie_stream.settings import Settings

PART: Final = "latency"
MINUTES: Final = "windows of a minute"
LONGER: Final = "hours, days, all time"
"""These wait for a checkpoint; of them the documents of all time are looked at."""
SUBJECTS: Final = (MINUTES, LONGER)
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
        run.measure(PART, nth, SUBJECTS, lambda: live(run, seconds))


def live(run: Run, seconds: float) -> list[Mapping[str, float]]:
    """Percentiles in milliseconds of each subject, and the resources used by the worker. Raises PeerFailed."""
    topic = f"live-{time.time_ns()}"
    asyncio.run(create(run.services.bootstrap_servers, topic, PARTITIONS))
    with fresh(run.services, topic) as settings:
        both = Probes("movies_aggregates", "total_views"), Probes("category_stats", "total_views")
        with Meter("a worker", [*COMMAND, "worker"], variables(settings), worker_mark) as meter:
            _wait_until_it_works(meter)
            cpu_s, began_s = meter.cpu_s, time.monotonic()
            with looking(settings, both):
                sent = asyncio.run(_send(settings, both, WARM_UP_S + seconds))
                _wait_for_the_last(meter, both)
            used_s, took_s = meter.cpu_s - cpu_s, time.monotonic() - began_s
    used = {
        "events": sent,
        "events_per_s": sent / took_s,
        "cpu_us_per_event": 1e6 * used_s / sent,
        "cores": used_s / took_s,
    }
    return [used | _percentiles(np.array(probes.latencies_ms(began_s + WARM_UP_S))) for probes in both]


def _percentiles(latencies_ms: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, float]:
    quantiles = {f"p{q}_ms": float(np.percentile(latencies_ms, q)) for q in (50, 90, 99)}
    return {"probes": len(latencies_ms), **quantiles, "max_ms": float(latencies_ms.max())}


class Probes:
    """The times at which each probe was sent and seen, by the document that counts it; shared by sender and reader
    threads. `field` has the number of views of a document.
    """

    def __init__(self, collection: str, field: str) -> None:
        self.collection, self.field = collection, field
        self.sent: dict[str, list[float]] = {}
        """Times by the monotonic clock, by `_id`."""
        self.seen: dict[str, list[float]] = {}

    def send(self, document: str) -> None:
        """Records a probe that is sent now."""
        self.sent.setdefault(document, []).append(time.monotonic())

    def waiting(self) -> list[str]:
        """The documents with probes that are not seen yet."""
        return [at for at, sent in list(self.sent.items()) if len(self.seen.get(at, ())) < len(sent)]

    def see(self, document: str, count: int) -> None:
        """Records that the first `count` probes of a document are seen now."""
        seen, now_s = self.seen.setdefault(document, []), time.monotonic()
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


def _wait_for_the_last(meter: Meter, both: Iterable[Probes]) -> None:
    deadline = time.monotonic() + ARRIVED_WITHIN_S
    while waiting := [document for probes in both for document in probes.waiting()]:
        if not meter.running or time.monotonic() > deadline:
            raise PeerFailed(f"probes of {waiting} never arrived: {meter.process.log()[-500:]}")
        time.sleep(0.01)


async def _send(settings: Settings, both: tuple[Probes, Probes], seconds: float) -> int:
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
            for probes, document in zip(
                both, (_id_of_minute(partition, minute), f"genre_stats_probe-{partition}"), strict=True
            ):
                probes.send(document)
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
def looking(settings: Settings, both: Iterable[Probes]) -> Iterator[None]:
    """Polls MongoDB during the block, in a thread of its own."""

    def look(over: threading.Event) -> None:
        with MongoClient[dict[str, Any]](settings.require_mongodb()) as client:
            db = client[settings.mongodb_database]
            while not over.wait(LOOK_EVERY_S):
                for probes in both:
                    _look(db[probes.collection], probes)

    with beside("looks for probes", look):
        yield


def _look(collection: Collection[dict[str, Any]], probes: Probes) -> None:
    if documents := probes.waiting():
        for document in collection.find({"_id": {"$in": documents}}, {probes.field: 1}):
            probes.see(document["_id"], document[probes.field])


def _id_of_minute(partition: int, minute: int) -> str:
    """The id of a window's document.

    >>> _id_of_minute(2, 28839750)
    'probe-2_2024-10-31T14:30:00Z'
    """
    return f"probe-{partition}_{datetime.fromtimestamp(minute * 60, UTC):%Y-%m-%dT%H:%M:%SZ}"
