"""What the owners of partitions in one worker share."""

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
from movie_stream.runs.claims import Standing


@dataclass(frozen=True, slots=True)
class Context:
    """Where an owner reads and writes, under which rules, and in which run."""

    broker: Broker
    group: Group
    topics: Topics
    topology: Topology
    rules: Rules
    run: str
    """As cursors name it."""
    run_number: int
    sink: Sink
    """Of documents."""
    store: PartialsStore
    """Of what leaves the memory."""
    results: tuple[Result, ...] = RESULTS
    """What the run counts."""
    claim: Standing | None = None
    """Whose the internal topics are, and where that stands in `movie-partials`."""
    cadence: Cadence = LIVE
    completeness: Completeness | None = None
    """Where rules for alerts are told what is complete; None where there are no rules."""
