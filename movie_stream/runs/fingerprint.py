"""The fingerprint of a run: what its figures depend on besides the log, and whether MongoDB has the same one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from itertools import combinations
from typing import Any, Final

import numpy as np

from movie_stream.aggregates.accumulator import Rules
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.errors import OfAnotherVersion, RunMismatch
from movie_stream.events.contract import MICRO
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.mongo import runs
from movie_stream.mongo.alerts import ALERTING, ALERTS
from movie_stream.mongo.client import Database
from movie_stream.mongo.partials import PARTIALS
from movie_stream.settings import Settings

FORMAT: Final = 4
"""The version of what is stored in changelogs, partials and `_partials`; another format is another run."""
ADDED_AT_MOST: Final = 3
"""The most results that may have been added since a run was begun, if it is to continue without them."""
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


def fingerprint(settings: Settings, topology: Topology, results: tuple[Result, ...] = RESULTS) -> dict[str, Any]:
    """Everything that figures depend on besides the log.

    Its names and texts, and `stored` of the results, are stored: changing one forces every deployment to rebuild.
    """
    names, rules = Topics.of(settings), rules_of(settings)
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
        "results": _hash_of_results(results),
    }


def _hash_of_results(results: tuple[Result, ...]) -> str:
    text = f"[{', '.join(result.stored for result in results)}]"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def possible_result_lists() -> Iterator[tuple[Result, ...]]:
    """The lists of results that one of our runs may have: RESULTS, and RESULTS without up to ADDED_AT_MOST of them,
    the longest first.
    """
    for left_out in range(min(ADDED_AT_MOST, len(RESULTS) - 1) + 1):
        yield from combinations(RESULTS, len(RESULTS) - left_out)


def results_of(run: runs.Run) -> tuple[Result, ...]:
    """The results that a run counts: RESULTS, or the list that it was begun with if results have only been added since.

    So a version with a new result continues with the data in MongoDB and in the changelogs, beside workers that do not
    know it; the result is counted from the next rebuild on. For a run with any other list it is RESULTS, and `changes`
    reports the difference.
    """
    wanted = run.fingerprint.get("results")
    return next((results for results in possible_result_lists() if _hash_of_results(results) == wanted), RESULTS)


def uncounted_results(run: runs.Run) -> str:
    """The names of results that were added after a run was begun, which it does not count; empty if there are none."""
    return ", ".join(_left_out_of(run))


def _left_out_of(run: runs.Run) -> list[str]:
    counted = results_of(run)
    return [result.collection for result in RESULTS if result not in counted]


_DESCRIPTIONS: Final = {
    "results": "the list of results (that of another version of movie-stream, or RESULTS was changed)",
    "format": "the format of what is stored (that of another version of movie-stream)",
}
"""Descriptions of fingerprint fields whose names mean nothing to a user."""


def changes(run: runs.Run, ours: Mapping[str, Any]) -> str:
    """How a run differs from ours, as "X was 3, is 4; ..."; empty if it does not."""
    return "; ".join(
        f"{_DESCRIPTIONS.get(name, name)} was {run.fingerprint.get(name)}, is {ours.get(name)}"
        for name in sorted(ours.keys() | run.fingerprint.keys())
        if run.fingerprint.get(name) != ours.get(name)
    )


def differences(settings: Settings, topology: Topology, run: runs.Run) -> str:
    """How a run differs from what a worker would count in it, in words; empty if the worker may continue it."""
    return changes(run, fingerprint(settings, topology, results_of(run)))


async def open_run(settings: Settings, db: Database, topology: Topology) -> runs.Run:
    """The current run, after finishing the clean-up of an interrupted rebuild, or of one by a version that did not know
    all of our results: it left the documents of the others from an earlier run.

    Raises OfAnotherVersion if the stored format is not ours, RunMismatch if the fingerprint differs in anything else.
    """
    run = await runs.open_run(db, settings.kafka_group, fingerprint(settings, topology))
    if (found := run.fingerprint.get("format")) != FORMAT:
        where = f"the run in MongoDB ({settings.mongodb_database})"
        raise OfAnotherVersion(where=where, found=found, ours=FORMAT)
    if changed := differences(settings, topology, run):
        raise RunMismatch(where=f"what stands in MongoDB ({settings.mongodb_database})", what=changed)
    if not run.cleared:
        await runs.clear(db, settings.kafka_group, run, COLLECTIONS)
    elif left_out := _left_out_of(run):
        await runs.delete_older(db, left_out, run.number)
    return run


def text_of(run: runs.Run) -> str:
    """The run's name in cursors: its number, and the hash of its fingerprint."""
    return f"{run.number}:{hash_of(run.fingerprint)}"


def hash_of(fingerprint: Mapping[str, Any]) -> str:
    """The hash of a fingerprint, which is part of a run's name in cursors."""
    return hashlib.sha256(json.dumps(fingerprint, sort_keys=True).encode()).hexdigest()[:16]
