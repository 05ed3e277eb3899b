"""The part `scale`: twelve partitions, four workers; and the cost of an event per process, in bytes and CPU time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pymongo import MongoClient

from bench.ours import fresh, work
from bench.running import Run
from bench.stream import Stream
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings

PART: Final = "scale"
PARTITIONS: Final = 12
WORKERS: Final = (1, 4)
SUBJECTS: Final = tuple(f"{PARTITIONS} partitions, {count} worker{'s' if count > 1 else ''}" for count in WORKERS)


def measure(run: Run) -> None:
    """Measures one worker and four, round by round."""
    topic = run.topic(Stream(run.events), partitions=PARTITIONS)
    for nth in range(run.rounds):
        for workers, subject in zip(WORKERS, SUBJECTS, strict=True):
            run.measure(PART, nth, subject, lambda w=workers: [costs(run, topic, w)])  # type: ignore[misc]


def costs(run: Run, topic: str, workers: int) -> Mapping[str, float]:
    """The cost per event of counting a topic, for the workers, the broker and mongod. Raises PeerFailed."""
    with fresh(run.services, topic) as settings:
        before_s = run.services.cpu_s()
        worked = work(settings, run.events, workers)
        after_s = run.services.cpu_s()
        names = Topics.of(settings)
        sizes = {
            "event": run.services.stored_bytes(topic),
            "partials": run.services.stored_bytes(names.partials),
            "accumulate_changelog": run.services.stored_bytes(names.accumulate_changelog),
            "publish_changelog": run.services.stored_bytes(names.publish_changelog),
        }
        document_bytes = _mean_document_bytes(settings)
    return {
        **worked.figures(),
        **{f"{name}_us_per_event": 1e6 * (after_s[name] - before_s[name]) / run.events for name in after_s},
        **{f"{name}_bytes_per_event": size / run.events for name, size in sizes.items() if size is not None},
        "document_bytes": document_bytes,
        "documents_per_event": worked.documents / run.events,
    }


def _mean_document_bytes(settings: Settings) -> float:
    """The mean size of the stored results, in BSON."""
    with MongoClient[dict[str, Any]](settings.require_mongodb()) as client:
        stats = client[settings.mongodb_database].command("dbStats")
    return float(stats["avgObjSize"])
