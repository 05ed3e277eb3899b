"""The part `sparse`: ratings that make about a document each, against a bare client that only writes the documents."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pymongo import MongoClient

from bench.bulk_write import dumped
from bench.goals import OURS
from bench.meter import LAST, Meter, PeerFailed
from bench.movielens import Ratings
from bench.ours import fresh, variables, work
from bench.results import ROOT
from bench.running import Run
from bench.temporary import temporary_folder

PART: Final = "sparse"
BARE: Final = "bare pymongo bulk_write"
SUBJECTS: Final = (OURS, BARE)
MOST: Final = 2_000_000
"""The most ratings, whatever the events of a run: a round writes as many documents twice."""
WITHIN_S: Final = 1_800.0


def measure(run: Run) -> None:
    """Measures round by round: the worker, then the bare client with the worker's documents."""
    ratings = min(run.events, MOST)
    topic = run.topic(Ratings(ratings))
    for nth in range(run.rounds):
        with temporary_folder() as folder:
            run.measure(PART, nth, OURS, lambda f=folder: [counted(run, topic, ratings, f)])  # type: ignore[misc]
            run.measure(PART, nth, BARE, lambda f=folder: [written(run, topic, ratings, f)])  # type: ignore[misc]


def counted(run: Run, topic: str, ratings: int, folder: Path) -> Mapping[str, float]:
    """Counts the topic with one worker, and leaves its documents in the folder. Raises PeerFailed.

    `documents` are those that are there at the end, each counted once however often it was written.
    """
    with fresh(run.services, topic) as settings:
        before_s = run.services.cpu_s()["mongod"]
        worked = work(settings, ratings, within_s=WITHIN_S)
        mongod_s = run.services.cpu_s()["mongod"] - before_s
        database = settings.mongodb_database
        documents = dumped(run.services.mongodb_uri, database, folder)
        disk_bytes = _disk_bytes(run.services.mongodb_uri, database)
    return {
        **worked.figures(),
        **_figures(ratings, documents, worked.wall_s, worked.cpu_s, mongod_s),
        "written_documents": worked.documents,
        "disk_bytes_per_document": disk_bytes / documents,
    }


def written(run: Run, topic: str, ratings: int, folder: Path) -> Mapping[str, float]:
    """Writes the documents of the folder into an empty database of `init`. Raises PeerFailed."""
    if not any(folder.iterdir()):
        raise PeerFailed("there are no documents to write")
    with fresh(run.services, topic) as settings:
        program = [sys.executable, "-m", "bench.bulk_write", str(folder)]
        argv = [*program, run.services.mongodb_uri, settings.mongodb_database]
        before_s = run.services.cpu_s()["mongod"]
        with Meter(BARE, argv, variables(settings) | {"PYTHONPATH": str(ROOT)}) as meter:
            done = meter.wait(WITHIN_S)
        mongod_s = run.services.cpu_s()["mongod"] - before_s
    said = done.mark(LAST).values
    figures = _figures(ratings, said["documents"], said["wall_s"], said["cpu_s"], mongod_s)
    return figures | {"peak_rss_mb": done.peak_rss_bytes / 1e6}


def _figures(ratings: int, documents: int, wall_s: float, cpu_s: float, mongod_s: float) -> dict[str, float]:
    return {
        "events": ratings,
        "documents": documents,
        "documents_per_s": documents / wall_s,
        "cpu_us_per_document": 1e6 * cpu_s / documents,
        "mongod_us_per_document": 1e6 * mongod_s / documents,
        "wall_s": wall_s,
        "cpu_s": cpu_s,
    }


def _disk_bytes(uri: str, database: str) -> float:
    """What the collections and their indexes take on disk, compressed."""
    with MongoClient[dict[str, Any]](uri) as client:
        client.admin.command("fsync")
        stats = client[database].command("dbStats")
    return float(stats["totalSize"])
