"""One measured run of our own commands: `movie-stream init` and workers that end at the end of the topic."""

from __future__ import annotations

import asyncio
import re
import sys
import uuid
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

from pymongo import MongoClient

from bench.meter import FIRST, LAST, LOOK_EVERY_S, Measured, Meter, PeerFailed, environment
from bench.services import Services
from bench.stream import delete
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings, variable_of

COMMAND: Final = (sys.executable, "-c", "from movie_stream.cli import main; main()")
WITHIN_S: Final = 900.0
INIT_WITHIN_S: Final = 60.0

_GOES_ON: Final = re.compile(r"goes on at offset \d+")
_COUNTED: Final = re.compile(r"stops; read ([\d,]+) events: .* wrote ([\d,]+) documents")
_TOLD_TO_STOP: Final = re.compile(r"Signal received: ")
TOLD: Final = "told"
"""Logged when all is counted and every document written, so that the worker stops itself."""


def worker_mark(line: str) -> tuple[str, Mapping[str, Any]] | None:
    """The mark in a line of a worker's log: the first fetch, the end of the topic, or the summary.

    >>> worker_mark("2026-01-01T00:00:00Z INFO    movie-events, partition 0: goes on at offset 0")
    ('first', {})
    >>> worker_mark("... stops; read 1,000 events: 1,000 counted, 0 bad, 0 late; wrote 7 documents")
    ('last', {'events': 1000, 'documents': 7})
    """
    if _GOES_ON.search(line):
        return FIRST, {}
    if _TOLD_TO_STOP.search(line):
        return TOLD, {}
    if found := _COUNTED.search(line):
        events, documents = (int(number.replace(",", "")) for number in found.groups())
        return LAST, {"events": events, "documents": documents}
    return None


def variables(settings: Settings, **more: str) -> dict[str, str]:
    """The environment of a command that uses only these settings."""
    names = [variable_of(name) for name in type(settings).model_fields]
    ours = [name + suffix for name in names for suffix in ("", "_FILE")]
    return environment(ours, **settings.environment(), PYTHONUNBUFFERED="1", **more)


def run(settings: Settings, *arguments: str, within_s: float = INIT_WITHIN_S) -> Measured:
    """Runs one of our commands to its end. Raises PeerFailed."""
    with Meter(f"movie-stream {arguments[0]}", [*COMMAND, *arguments], variables(settings)) as meter:
        return meter.wait(within_s)


@contextmanager
def fresh(services: Services, topic: str, **more: object) -> Iterator[Settings]:
    """Settings with a group, internal topics and a database of their own, created by `init` and removed at the end."""
    unique = uuid.uuid4().hex[:8]
    settings = services.settings(
        kafka_topic=topic,
        kafka_partials_topic=f"bench-{unique}-partials",
        kafka_group=f"bench-{unique}",
        mongodb_database=f"bench_{unique}",
        log_level="DEBUG",  # adds only Faust's lines about the signal to stop
        **more,
    )
    run(settings, "init")
    try:
        yield settings
    finally:
        asyncio.run(delete(services.bootstrap_servers, Topics.of(settings).deleted))
        with MongoClient[dict[str, Any]](services.mongodb_uri) as client:
            client.drop_database(settings.mongodb_database)


@dataclass(frozen=True)
class Worked:
    """The totals of all workers, from the first fetch to the last document."""

    events: int
    documents: int
    wall_s: float
    cpu_s: float
    """User and system time of all workers, within these `wall_s`."""
    cpu_with_start_s: float
    """Wall time from their start to their end."""
    wall_with_start_s: float
    peak_rss_bytes: int
    """Peak memory of the largest worker."""

    def figures(self) -> dict[str, float]:
        """The figures as in results.py."""
        with_start = self.wall_with_start_s, self.cpu_with_start_s
        return rates(self.events, self.wall_s, self.cpu_s, with_start) | {
            "peak_rss_mb": self.peak_rss_bytes / 1e6,
            "documents": self.documents,
            "documents_per_s": self.documents / self.wall_s,
        }


def rates(events: int, wall_s: float, cpu_s: float, with_start: tuple[float, float] | None = None) -> dict[str, float]:
    """The figures of all subjects; `with_start` is wall and CPU time from the start of the process.

    >>> rates(3_000_000, 10.0, 12.0)["cpu_us_per_event"]
    4.0
    """
    wall_s = max(wall_s, LOOK_EVERY_S)  # the precision of marks
    figures = {
        "events_per_s": events / wall_s,
        "events_per_cpu_s": events / max(cpu_s, 0.01),
        "cpu_us_per_event": 1e6 * cpu_s / events,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
    }
    if with_start is not None:
        figures["events_per_s_with_start"] = events / with_start[0]
        figures["events_per_cpu_s_with_start"] = events / with_start[1]
    return figures


def work(settings: Settings, events: int, workers: int = 1, within_s: float = WITHIN_S) -> Worked:
    """Starts the workers together and waits until they have counted `events` and ended. Raises PeerFailed."""
    argv, env = [*COMMAND, "worker", "--until-end"], variables(settings)
    with ExitStack() as stack:
        meters = [stack.enter_context(Meter("a worker", argv, env, worker_mark)) for _ in range(workers)]
        done = [meter.wait(within_s) for meter in meters]
    # One of several workers may leave its partitions to the others, which find that all is counted.
    began_s = min(one.mark(FIRST).at_s for one in done)
    ended_s = min(one.mark(TOLD).at_s for one in done)
    totals = [one.mark(LAST).values for one in done]
    counted = sum(worker["events"] for worker in totals)
    if counted < events:
        raise PeerFailed(f"{counted:,} of {events:,} events were counted: {done[0].log}")
    return Worked(
        events,
        sum(worker["documents"] for worker in totals),
        ended_s - began_s,
        sum(one.mark(TOLD).cpu_s - one.mark(FIRST).cpu_s for one in done),
        sum(one.cpu_s for one in done),
        max(one.ended_s for one in done) - min(one.began_s for one in done),
        max(one.peak_rss_bytes for one in done),
    )
