"""The agents of a worker, each declared once: the topics, the worker, its app and how far it is follow from AGENTS.

Another agent is a subclass of `agents.owner.Owner`, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from movie_stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: what it reads, and what owns the partitions of that.

    Its state is kept in the topic GROUP-`name`-changelog.
    """

    name: str
    """As it is known to Faust, and as it stands in the name of its changelog and in the fingerprint of runs."""
    source: Callable[[Settings], str]
    """The topic that it reads, which no other agent reads."""
    owner: str
    """Its Owner, as `module:class`, imported when a worker starts: it stands above Kafka, which looks into this list.
    It is made with an `agents.context.Context` and the name of the topic.
    """
    of_views: bool = False
    """Whether its records are views: these are decoded by columns, beside the thread that counts, and what cannot be
    unpacked is refused; what else workers write is decoded by its owner.
    """


AGENTS: Final = (
    Agent(
        "accumulate",
        source=lambda settings: settings.kafka_topic,
        owner="movie_stream.agents.accumulate:Accumulate",
        of_views=True,
    ),
    Agent(
        "publish",
        source=lambda settings: settings.kafka_partials_topic,
        owner="movie_stream.agents.publish:Publish",
    ),
)
"""In the order in which views pass through them."""
