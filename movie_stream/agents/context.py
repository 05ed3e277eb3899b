"""The context that the owners of partitions in one worker share."""

from __future__ import annotations

from dataclasses import dataclass

from movie_stream.agents.flush_schedule import LIVE, Cadence
from movie_stream.agents.group import Group
from movie_stream.aggregates.accumulator import Rules
from movie_stream.aggregates.results import RESULTS, Result
from movie_stream.alerts.completeness import Completeness
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.kafka.log import Broker
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.sink import Sink
from movie_stream.runs.claims import PlacedClaim


@dataclass(frozen=True, slots=True)
class Context:
    """The topics and stores that an owner reads and writes, its rules, and its run."""

    broker: Broker
    group: Group
    topics: Topics
    topology: Topology
    rules: Rules
    run: str
    """The run's name in cursors."""
    run_number: int
    sink: Sink
    """Writes documents."""
    store: PartialsStore
    """Keeps the partial results that are evicted from memory."""
    results: tuple[Result, ...] = RESULTS
    """The results that the run counts."""
    claim: PlacedClaim | None = None
    """The claim on the internal topics, and its offset in `movie-partials`."""
    cadence: Cadence = LIVE
    completeness: Completeness | None = None
    """Records which windows are complete, for the rules for alerts; None without rules."""
