"""The agents of a worker, each declared once: topics, the worker, its app and its progress are derived from AGENTS.

Another agent is a subclass of `agents.owner.Owner`, and an entry here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from movie_stream.settings import Settings


@dataclass(frozen=True, slots=True)
class Agent:
    """One agent: the topic that it reads, and the owner of that topic's partitions.

    Its state is kept in the topic GROUP-`name`-changelog.
    """

    name: str
    """Its name in Faust, in the name of its changelog, and in the fingerprint of runs."""
    source: Callable[[Settings], str]
    """The topic that it reads, which no other agent reads."""
    owner: str
    """Its Owner, as `module:class`, imported when a worker starts: its package is above movie_stream.kafka, which reads
    this list. It is called with an `agents.context.Context` and the name of the topic.
    """
    of_views: bool = False
    """Whether its records are views: these are decoded by columns, beside the thread that counts, and unreadable ones
    are refused. Records that workers write are decoded by its owner.
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
