"""The agents that are declared, and what follows from that."""

from __future__ import annotations

from pkgutil import resolve_name

from movie_stream.agents.owner import Owner
from movie_stream.agents.startup import owners_of
from movie_stream.kafka.cluster.agents import AGENTS
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings
from tests.unit.agents.test_owner import TOPICS, Broker, Group, context


def test_each_agent_has_an_owner_and_a_topic_that_no_other_reads() -> None:
    for agent in AGENTS:
        owner = resolve_name(agent.owner)
        assert issubclass(owner, Owner)
        assert owner.__name__.lower() == agent.name
    assert len({agent.source(Settings()) for agent in AGENTS}) == len(AGENTS)


def test_the_names_of_changelogs_are_those_that_are_stored() -> None:
    settings = Settings(kafka_group="g", kafka_topic="views", kafka_partials_topic="parts")
    assert dict(Topics.of(settings).changelogs) == {"views": "g-accumulate-changelog", "parts": "g-publish-changelog"}
    assert Topics.of(settings).sources == ("views", "parts"), "in the order in which views pass through them"


async def test_a_worker_has_an_owner_for_each() -> None:
    owners = owners_of(context(Broker(), Group()))
    assert {topic: (owner.topic, owner.changelog) for topic, owner in owners.items()} == {
        "events": ("events", "accumulate-changelog"),
        "partials": ("partials", "publish-changelog"),
    }
    assert list(owners) == [TOPICS.events, TOPICS.partials]
