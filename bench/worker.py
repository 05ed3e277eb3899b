"""The part `worker`: a backlog counted by one worker and by two, of few and many users and films, compressed or not;
and the time that a worker takes to start.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from bench.meter import Meter, PeerFailed
from bench.ours import COMMAND, fresh, variables, work, worker_mark
from bench.running import Run
from bench.stream import Compression, Stream
from bench.temporary import temporary_folder
from movie_stream import kernels
from movie_stream.embedded.launch import free_port

PART: Final = "worker"
START_EVENTS: Final = 3_000
START_WITHIN_S: Final = 120.0
COUNTED: Final = "movie_stream_events_total "


@dataclass(frozen=True)
class Variant:
    """One way to count a backlog."""

    subject: str
    users: int = 50_000
    films: int = 5_000
    compression: Compression = "none"
    workers: int = 1


VARIANTS: Final = (
    Variant("1 worker"),
    Variant("2 workers", workers=2),
    Variant("10,000 users", users=10_000),
    Variant("1,000,000 users", users=1_000_000),
    Variant("1,000 films", films=1_000),
    Variant("100,000 films", films=100_000),
    Variant("lz4", compression="lz4"),
    Variant("zstd", compression="zstd"),
)
START: Final = "start"
FIRST_START: Final = "start, first ever"
"""With an empty store of kernels, as where the package was installed but not yet run."""
SUBJECTS: Final = (*(variant.subject for variant in VARIANTS), START, FIRST_START)


def measure(run: Run, only: str = "") -> None:
    """Measures all subjects in turn, round by round; with `only`, those of SUBJECTS whose name contains it."""
    chosen = [variant for variant in VARIANTS if only in variant.subject]
    topics = {
        variant: run.topic(Stream(run.events, variant.users, variant.films), compression=variant.compression)
        for variant in chosen
    }
    for nth in range(run.rounds):
        for variant, topic in topics.items():
            run.measure(PART, nth, variant.subject, lambda v=variant, t=topic: [backlog(run, t, v.workers)])  # type: ignore[misc]
        if only in START:
            run.measure(PART, nth, START, lambda: [start(run)])
        if only in FIRST_START:
            run.measure(PART, nth, FIRST_START, lambda: [first_start(run)])


def backlog(run: Run, topic: str, workers: int = 1) -> Mapping[str, float]:
    """Counts a topic from its beginning to its end. Raises PeerFailed."""
    with fresh(run.services, topic) as settings:
        return work(settings, run.events, workers).figures()


def first_start(run: Run) -> Mapping[str, float]:
    """The same of a copy of the package that has no compiled kernels yet, nor has its user."""
    package = Path(kernels.__file__).parents[1]
    with temporary_folder() as folder:
        shutil.copytree(package, folder / package.name, ignore=shutil.ignore_patterns("kernels-*"))
        return start(run, PYTHONPATH=str(folder), XDG_CACHE_HOME=str(folder / "cache"))


def start(run: Run, **more: str) -> Mapping[str, float]:
    """The time from the start of the process until its first event is applied, with empty state; `more` is for its
    environment. Raises PeerFailed.
    """
    topic = run.topic(Stream(START_EVENTS))
    with fresh(run.services, topic, metrics_port=free_port()) as settings:
        url = f"http://127.0.0.1:{settings.metrics_port}/metrics"
        with Meter("a worker", [*COMMAND, "worker"], variables(settings, **more), worker_mark) as meter:
            while not _counted(url):
                if time.monotonic() - meter.began_s > START_WITHIN_S or not meter.running:
                    raise PeerFailed(f"no event was applied: {meter.process.log()[-500:]}")
                time.sleep(0.01)
            return {"first_event_s": time.monotonic() - meter.began_s, "events": START_EVENTS}


def _counted(url: str) -> bool:
    """Whether the worker's metrics report an event."""
    try:
        with urlopen(url, timeout=5) as answer:
            text = answer.read().decode()
    except (URLError, ConnectionError, TimeoutError):
        return False
    return any(float(line.split()[-1]) > 0 for line in text.splitlines() if line.startswith(COUNTED))
