"""A database with real documents, and a real server over it, for tests of what `serve` gives and shows."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from movie_stream.aggregates import results
from movie_stream.aggregates.accumulator import Accumulator, Rules
from movie_stream.aggregates.merger import Merger
from movie_stream.events.chunk import chunk_of
from movie_stream.mongo.client import Database, opened
from movie_stream.mongo.guard import GuardedDocument, body_of, guarded
from movie_stream.mongo.schema import ensure
from movie_stream.mongo.sink import Sink
from movie_stream.settings import Settings
from tests.support.reference import DAY_MS, HOUR_MS
from tests.support.whole_path import COMMAND, PATIENCE_S, environment

MIDNIGHT_MS: Final = 1_730_332_800_000
"""2024-10-31T00:00:00Z: the last day of `events`."""
GENRES: Final = ("Drama", "Sci-Fi", "Film Noir", "Comédie", "Action/Adventure", "100% 🎬")
_ENDS_WITHIN_S: Final = 10.0
_ADDRESS: Final = re.compile(rb"(?<=Serving the results at )http://\S+")


def events(count: int = 2_000, days: int = 3, seed: int = 7) -> list[dict[str, Any]]:
    """Views of some films and users over some days up to the end of 2024-10-31, in the order of time."""
    chance = random.Random(seed)
    end_ms = MIDNIGHT_MS + DAY_MS
    times = sorted(chance.randrange(end_ms - days * DAY_MS, end_ms) for _ in range(count))
    return [view(at, chance.randrange(40), chance.randrange(120), chance) for at in times]


def view(at_ms: int, film: int, user: int, chance: random.Random) -> dict[str, Any]:
    """One view at that time."""
    return {
        "movie_id": f"m{film}",
        "title": f"Film {film}",
        "genre": GENRES[film % len(GENRES)],
        "user_id": f"u{user}",
        "timestamp": at_ms,
        "rating": chance.choice((None, 0.5, 2.5, 3.0, 4.5, 5.0)),
        "duration": chance.choice((None, 20, 90, 121)),
        "price": chance.choice((None, 0.99, 4.5)),
    }


def documents_of(views: Sequence[dict[str, Any]], rev: int = 1) -> list[GuardedDocument]:
    """The documents of these views and of a record that is none, counted by the project itself."""
    accumulator = Accumulator(0, 1, Rules(allowed_lateness_ms=10_000 * HOUR_MS), results=results.RESULTS)
    merger = Merger(1, results=results.RESULTS)
    records = [json.dumps(one).encode() for one in views]
    accumulator.apply(chunk_of(0, 0, [*records, b"[]"]))
    merger.apply(chunk_of(0, 0, [message for _, message in accumulator.partials(1)]))
    return [
        guarded(document.key.collection, document.id, (rev,), 1, body_of(document.encoded))
        for document in merger.documents(limit=10**9)
    ]


async def fill(settings: Settings, views: Sequence[dict[str, Any]], rev: int = 1) -> None:
    """Makes the database, and writes what the views amount to; a larger `rev` replaces what was there."""
    async with opened(settings) as db:
        await ensure(db)
        await write(db, views, rev)


async def write(db: Database, views: Sequence[dict[str, Any]], rev: int = 1) -> None:
    """Writes what the views amount to through the workers' own sink."""
    report = await Sink(db).write(documents_of(views, rev))
    assert report.changed > 0, report


@dataclass
class Serving:
    """A server that runs: its process, its address, and what it has printed so far."""

    process: subprocess.Popen[bytes]
    address: str
    printed: list[bytes]

    @property
    def api(self) -> str:
        """The address of the REST API."""
        return f"{self.address}/api/v1"

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Tells it to end; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(_ENDS_WITHIN_S)


@contextmanager
def serving(
    settings: Settings, *arguments: str, program: Sequence[str] = (sys.executable,), **more: str
) -> Iterator[Serving]:
    """`movie-stream serve` as a process, on a free port unless the arguments or `more` name one."""
    words = [*program, COMMAND, "serve", *arguments]
    if "--port" not in arguments and "API_PORT" not in more:
        words += ["--port", "0"]
    process = subprocess.Popen(
        words, env=environment(settings, **more), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert process.stdout is not None
    printed: list[bytes] = []
    began = threading.Event()

    def read() -> None:
        assert process.stdout is not None
        for line in process.stdout:
            printed.append(line)
            if _ADDRESS.search(line):
                began.set()
        began.set()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert began.wait(PATIENCE_S), printed
        found = _ADDRESS.search(b"".join(printed))
        assert found is not None, printed
        yield Serving(process, found[0].decode(), printed)
    finally:
        process.kill()
        process.wait()
        reader.join()
        process.stdout.close()
