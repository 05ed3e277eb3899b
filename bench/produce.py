"""The part `produce`: `movie-stream generate` makes a CSV, `movie-stream produce` sends it to Kafka, in time order and
not.
"""

from __future__ import annotations

import asyncio
import random
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from bench.meter import Measured, PeerFailed
from bench.ours import run as run_command
from bench.running import Run
from bench.stream import create, delete
from bench.temporary import temporary_folder

PART: Final = "produce"
SORTING: Final = "produce, sorting the file"
SUBJECTS: Final = ("generate", "produce", SORTING)
WITHIN_S: Final = 600.0
_SENT: Final = re.compile(r"Sent ([\d,]+) views to the topic .* in ([\d,.]+) s")


def measure(run: Run) -> None:
    """Measures round by round, with a CSV of `events` rows."""
    for nth in range(run.rounds):
        with temporary_folder() as folder:
            file = folder / "views.csv"
            run.measure(PART, nth, "generate", lambda f=file: [generate(run, f)])  # type: ignore[misc]
            run.measure(PART, nth, "produce", lambda f=file: [produce(run, f)])  # type: ignore[misc]
            if file.exists():
                shuffle(file)
            run.measure(PART, nth, SORTING, lambda f=file: [produce(run, f)])  # type: ignore[misc]


def generate(run: Run, file: Path) -> Mapping[str, float]:
    """Measures the whole process; rows/s are `events_per_s`. Raises PeerFailed."""
    settings = run.services.settings()
    done = run_command(settings, "generate", "--output", str(file), "--count", str(run.events), within_s=WITHIN_S)
    return _figures(run.events, done)


def shuffle(file: Path) -> None:
    """Puts the rows of a CSV in another order, always the same."""
    header, *rows = file.read_bytes().splitlines(keepends=True)
    random.Random(0).shuffle(rows)
    file.write_bytes(b"".join([header, *rows]))


def produce(run: Run, file: Path) -> Mapping[str, float]:
    """Measures the whole process, with its start, the check of the file, and sorting it. Raises PeerFailed."""
    if not file.exists():
        raise PeerFailed("there is no CSV to send")
    topic, servers = f"produced-{time.time_ns()}", run.services.bootstrap_servers
    asyncio.run(create(servers, topic, 3))
    try:
        settings = run.services.settings(kafka_topic=topic)
        arguments = "produce", "--file", str(file), "--restart"
        done = run_command(settings, *arguments, within_s=WITHIN_S)
    finally:
        asyncio.run(delete(servers, [topic]))
    sent = _SENT.search(done.log)
    if sent is None or int(sent[1].replace(",", "")) != run.events:
        raise PeerFailed(f"it did not send {run.events:,} views: {done.log[-500:]}")
    sending_s = float(sent[2].replace(",", ""))
    return {**_figures(run.events, done), "said_events_per_s": run.events / max(sending_s, 0.001)}


def _figures(events: int, done: Measured) -> dict[str, float]:
    return {
        "events": events,
        "events_per_s": events / done.wall_s,
        "events_per_cpu_s": events / done.cpu_s,
        "cpu_us_per_event": 1e6 * done.cpu_s / events,
        "peak_rss_mb": done.peak_rss_bytes / 1e6,
        "wall_s": done.wall_s,
    }
