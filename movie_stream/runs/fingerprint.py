"""The fingerprint of a run: what figures depend on besides the log, and whether MongoDB was counted by the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import numpy as np

from movie_stream.aggregates.accumulator import Rules
from movie_stream.aggregates.results import RESULTS
from movie_stream.errors import RunMismatch
from movie_stream.events.contract import MICRO
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.mongo import runs
from movie_stream.mongo.alerts import ALERTING, ALERTS
from movie_stream.mongo.client import Database
from movie_stream.mongo.partials import PARTIALS
from movie_stream.settings import Settings

FORMAT: Final = 4
"""The version of what is stored in changelogs, partials and `_partials`; another format is another run."""
COLLECTIONS: Final = (*(result.collection for result in RESULTS), PARTIALS, ALERTS, ALERTING)
"""The collections whose documents carry the number of their run."""


def rules_of(settings: Settings) -> Rules:
    """The settings that change figures, in the units of the core."""
    return Rules(
        allowed_lateness_ms=settings.allowed_lateness // timedelta(milliseconds=1),
        future_tolerance_ms=settings.future_tolerance // timedelta(milliseconds=1),
        session_gap_ms=settings.session_gap // timedelta(milliseconds=1),
        timezone=settings.timezone,
        revenue_per_view_micro=int(np.rint(settings.revenue_per_view * MICRO)),
    )


def fingerprint(settings: Settings, topology: Topology) -> dict[str, Any]:
    """Everything that figures depend on besides the log.

    Its names and texts, and `stored` of the results, are stored: changing one forces every deployment to rebuild.
    """
    names, rules = Topics.of(settings), rules_of(settings)
    results = f"[{', '.join(result.stored for result in RESULTS)}]"
    return {
        "format": FORMAT,
        "topic": topology.identities[names.events],
        "partitions": topology.partitions[names.events],
        "partials_topic": topology.identities[names.partials],
        "partials_partitions": topology.partitions[names.partials],
        **{f"{name}_changelog": topology.identities[of.changelog] for name, of in names.agents.items()},
        "ALLOWED_LATENESS_MS": rules.allowed_lateness_ms,
        "FUTURE_TOLERANCE_MS": rules.future_tolerance_ms,
        "SESSION_GAP_MS": rules.session_gap_ms,
        "TIMEZONE": rules.timezone,
        "REVENUE_PER_VIEW_MICRO": rules.revenue_per_view_micro,
        "results": hashlib.sha256(results.encode()).hexdigest()[:16],
    }


_WORDS: Final = {
    "results": "the list of results (that of another version of movie-stream, or RESULTS was changed)",
    "format": "the format of what is stored (that of another version of movie-stream)",
}
"""What stands for names of the fingerprint that say nothing to a user."""


def changes(run: runs.Run, ours: Mapping[str, Any]) -> str:
    """How a run differs from ours, as "X was 3, is 4; ..."; empty if it does not."""
    return "; ".join(
        f"{_WORDS.get(name, name)} was {run.fingerprint.get(name)}, is {ours.get(name)}"
        for name in sorted(ours.keys() | run.fingerprint.keys())
        if run.fingerprint.get(name) != ours.get(name)
    )


async def open_run(settings: Settings, db: Database, topology: Topology) -> runs.Run:
    """The current run, after finishing the clean-up of a rebuild that was interrupted.

    Raises RunMismatch if its fingerprint differs from ours.
    """
    ours = fingerprint(settings, topology)
    run = await runs.open_run(db, settings.kafka_group, ours)
    if changed := changes(run, ours):
        raise RunMismatch(where=f"what stands in MongoDB ({settings.mongodb_database})", what=changed)
    if not run.cleared:
        await runs.clear(db, settings.kafka_group, run, COLLECTIONS)
    return run


def text_of(run: runs.Run) -> str:
    """The run as cursors name it."""
    return f"{run.number}:{hash_of(run.fingerprint)}"


def hash_of(fingerprint: Mapping[str, Any]) -> str:
    """The hash of a fingerprint, by which cursors name runs after the number."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]
