"""Which run we belong to: what figures depend on besides the log, and whether that is what MongoDB was counted by."""

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
from movie_stream.mongo.client import Database
from movie_stream.mongo.partials import PARTIALS
from movie_stream.settings import Settings

FORMAT: Final = 4
"""Of what stands in changelogs, partials and `_partials`; another format is another run."""
COLLECTIONS: Final = (*(result.collection for result in RESULTS), PARTIALS)
"""Those whose documents carry the number of their run."""


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
    """All that figures depend on besides the log: a run is the counting of one log under one of these.

    Names and texts in it are stored, here and in `stored` of the results: whoever changes one has everybody rebuild.
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


def changes(run: runs.Run, ours: Mapping[str, Any]) -> str:
    """What a run counts otherwise than we would, as "X was 3, is 4; ..."; empty where it is the same."""
    return "; ".join(
        f"{name} was {run.fingerprint.get(name)}, is {ours.get(name)}"
        for name in sorted(ours.keys() | run.fingerprint.keys())
        if run.fingerprint.get(name) != ours.get(name)
    )


async def open_run(settings: Settings, db: Database, topology: Topology) -> runs.Run:
    """The run that counts, without what a rebuild that was cut off has left of earlier ones.

    Raises RunMismatch if it counts something else than we would.
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
    """A fingerprint as the runs that have it are named by cursors, behind their number."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]
