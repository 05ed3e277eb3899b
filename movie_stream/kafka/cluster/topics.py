"""The topics: their names, their creation, and checks of their limits and partitions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import (
    ClusterAuthorizationFailedError,
    TopicAuthorizationFailedError,
    for_code,
)

from movie_stream.errors import BrokerForbids, BrokerRefused, TopicMissing
from movie_stream.kafka.cluster import agents, client, configs, permissions
from movie_stream.kafka.cluster.access import user_of
from movie_stream.kafka.cluster.configs import LIMIT
from movie_stream.kafka.cluster.identity import describe_topics, identities
from movie_stream.settings import Settings

_ALREADY_EXISTS: Final = 36
_FORBIDDEN: Final = (TopicAuthorizationFailedError.errno, ClusterAuthorizationFailedError.errno)
_DEFAULT_MAX_RECORD_BYTES: Final = 1_048_588
RETENTION_CONFIGS: Final = ("retention.ms", "retention.bytes")
"""Settings by which a broker deletes records that are still needed, unless they are -1; if unset, the broker's
log.retention.* applies.
"""
MIN_IN_SYNC_CONFIG: Final = "min.insync.replicas"
"""The number of in-sync replicas without which a record is refused, and retried."""
REPLICATION_FACTOR: Final = 3
"""The replication factor of topics that `init` creates, if there are as many brokers."""
MIN_IN_SYNC: Final = 2
"""MIN_IN_SYNC_CONFIG of topics with REPLICATION_FACTOR: one broker may be away, and
acknowledged records survive the loss of one."""
MIN_RECORD_LIMIT_BYTES: Final = 1 << 16
"""The least limit on a record of our own topics that a worker starts with: the figures of one group must fit."""
_ENVELOPE_BYTES: Final = 1 << 16


class AgentTopics(NamedTuple):
    """The topics of one agent."""

    source: str
    """The topic that it reads."""
    changelog: str
    """The topic that keeps its state."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The names of all topics of one group."""

    events: str
    dead_letters: str
    partials: str
    agents: Mapping[str, AgentTopics]
    """The topics of each agent by its name, in the order of AGENTS."""

    @classmethod
    def of(cls, settings: Settings) -> Topics:
        """The names from the settings."""
        return cls(
            settings.kafka_topic,
            settings.dead_letters_topic,
            settings.kafka_partials_topic,
            {
                agent.name: AgentTopics(agent.source(settings), f"{settings.kafka_group}-{agent.name}-changelog")
                for agent in agents.AGENTS
            },
        )

    @property
    def accumulate_changelog(self) -> str:
        """The changelog of the agent that reads the views."""
        return self.agents["accumulate"].changelog

    @property
    def publish_changelog(self) -> str:
        """The changelog of the agent that writes the documents."""
        return self.agents["publish"].changelog

    @property
    def sources(self) -> tuple[str, ...]:
        """The topics that agents read, in the order in which views pass through them."""
        return tuple(agent.source for agent in self.agents.values())

    def agent_of(self, source: str) -> str:
        """The name of the agent that reads a topic."""
        return next(name for name, agent in self.agents.items() if agent.source == source)

    @property
    def changelogs(self) -> Mapping[str, str]:
        """The changelog of each topic that has tables."""
        return {agent.source: agent.changelog for agent in self.agents.values()}

    @property
    def counted(self) -> tuple[str, ...]:
        """The topics that figures depend on; the dead letters are only written."""
        return *self.sources, *(agent.changelog for agent in self.agents.values())

    @property
    def all(self) -> tuple[str, ...]:
        """All topics."""
        return self.events, self.dead_letters, *self.deleted

    @property
    def needs(self) -> Mapping[str, Sequence[permissions.Operation]]:
        """The permissions that a worker needs, by topic; it also works without Delete (see `deleted`)."""
        return {
            self.events: ["Read"],
            self.dead_letters: ["Write"],
            **{topic: ["Read", "Write"] for topic in self.deleted},
        }

    @property
    def deleted(self) -> tuple[str, ...]:
        """The topics whose finished records a worker deletes; without Delete they only grow."""
        return tuple(topic for topic in self.counted if topic != self.events)

    @property
    def written(self) -> tuple[str, ...]:
        """The topics that a worker writes to."""
        return self.dead_letters, *self.deleted


@dataclass(frozen=True, slots=True)
class Topology:
    """The partition counts and ids of the topics."""

    partitions: Mapping[str, int]
    identities: Mapping[str, str]
    """The cluster and topic ids of the topics that figures depend on: a recreated topic has another one."""


async def ensure(settings: Settings) -> list[str]:
    """Creates the missing topics; returns their names. May be called repeatedly and concurrently."""
    topics = Topics.of(settings)
    async with client.admin(settings) as admin:
        with client.explained(settings, "creating the topics"):
            existing = await partition_counts(admin, topics.all)
            counts = intended_partitions(topics, existing, settings.kafka_partitions)
            replicas = min(REPLICATION_FACTOR, len((await admin.describe_cluster())["brokers"]))
            limit = await max_record_bytes(admin, topics.events) if topics.events in existing else None
            safe = {MIN_IN_SYNC_CONFIG: str(MIN_IN_SYNC)} if replicas == REPLICATION_FACTOR else {}
            kept = {"cleanup.policy": "delete", **dict.fromkeys(RETENTION_CONFIGS, "-1"), **safe}
            large = {LIMIT: str(letter_bytes(limit or _DEFAULT_MAX_RECORD_BYTES))}
            others = {topics.events: safe, topics.dead_letters: {**kept, **large}}
            missing = [
                NewTopic(name, counts[name], replicas, topic_configs=others.get(name, kept))
                for name in topics.all
                if name not in existing
            ]
            if not missing:
                return []
            response = await admin.create_topics(missing)
            if forbidden := [name for name, code, *_ in response.topic_errors if code in _FORBIDDEN]:
                what = f"Create on the topics {', '.join(forbidden)}"
                raise BrokerForbids(user=user_of(settings), what=[what])
            for name, code, *message in response.topic_errors:
                if code not in (0, _ALREADY_EXISTS):
                    raise BrokerRefused(doing=f"creating the topic {name}", cause=message[0] or for_code(code).__name__)
            return [topic.name for topic in missing]


def intended_partitions(topics: Topics, existing: Mapping[str, int], events: int) -> dict[str, int]:
    """The number of partitions that each topic has, or is to be created with: as many as the topic of the views, which
    has `events` if it does not exist either. A changelog has as many as the topic whose tables it keeps.
    """
    views = existing.get(topics.events, events)
    counts = {topic: existing.get(topic, views) for topic in (*topics.sources, topics.dead_letters)}
    return counts | {changelog: counts[source] for source, changelog in topics.changelogs.items()}


async def raise_record_limits(settings: Settings) -> tuple[list[str], list[str]]:
    """Raises max.message.bytes of our own topics if it is too low for what a worker writes.

    Returns the names of the changed topics, and a sentence about each that could not be changed.
    """
    names = Topics.of(settings)
    async with client.admin(settings) as admin:
        with client.explained(settings, "looking at the limits of the topics"):
            wanted = wanted_limits(names, await configs.limits(admin, names.all))
            failed = await configs.change(admin, LIMIT, {topic: str(size) for topic, size in wanted.items()})
    sentences = [
        f"{LIMIT} of {topic} should be {wanted[topic]:,}, but: {why}; set it by hand" for topic, why in failed.items()
    ]
    return [topic for topic in wanted if topic not in failed], sentences


def wanted_limits(names: Topics, found: Mapping[str, int | None]) -> dict[str, int]:
    """The max.message.bytes that our own topics need, for those with a lower one; `found` has the limits by topic.

    >>> names = Topics("events", "letters", "partials", {"publish": AgentTopics("partials", "changelog")})
    >>> wanted_limits(names, {"events": 1_000_000, "letters": 1_000_000, "partials": 5_000, "changelog": None})
    {'letters': 1125000, 'partials': 65536}
    """
    event = found.get(names.events)
    least = dict.fromkeys(names.written, MIN_RECORD_LIMIT_BYTES)
    if event is not None:
        least[names.dead_letters] = letter_bytes(event)
    return {topic: size for topic, size in least.items() if (now := found.get(topic)) is not None and now < size}


def letter_bytes(event: int) -> int:
    """The most bytes of a dead letter if a record may have `event`: it has headers, and another compression."""
    return event + max(_ENVELOPE_BYTES, event // 8)


def require_limits(names: Topics, found: Mapping[str, int | None]) -> None:
    """Raises BrokerRefused if the limit of one of our topics is too low for a worker."""
    for topic in names.written:
        if (limit := found.get(topic)) is not None and limit < MIN_RECORD_LIMIT_BYTES:
            raise BrokerRefused(
                doing="checking the topics",
                cause=f"{LIMIT} of {topic} is {limit:,}",
                remedy=f"set it to {MIN_RECORD_LIMIT_BYTES:,} or more, or have it set by: movie-stream init",
            )


async def describe(settings: Settings, admin: AIOKafkaAdminClient | None = None) -> Topology:
    """The partition counts and ids of the topics; opens a connection unless `admin` is given.

    Raises TopicMissing, and BrokerForbids if one is hidden from us.
    """
    if admin is None:
        async with client.admin(settings) as own:
            return await describe(settings, own)
    topics = Topics.of(settings)
    with client.explained(settings, "looking at the topics"):
        partitions = await partition_counts(admin, topics.all)
        if missing := [topic for topic in topics.all if topic not in partitions]:
            await permissions.require_permissions(settings, admin, topics.needs)
            raise TopicMissing(topic=missing[0], servers=settings.require_broker())
        return Topology(partitions, await identities(admin, topics.counted))


async def partition_count_mismatch(settings: Settings) -> str | None:
    """A sentence where KAFKA_PARTITIONS is set, and the topic of the views has another number: that is not changed."""
    if "kafka_partitions" not in settings.model_fields_set:
        return None
    async with client.admin(settings) as admin:
        with client.explained(settings, "looking at the topics"):
            has = (await partition_counts(admin, (settings.kafka_topic,))).get(settings.kafka_topic)
    if has in (settings.kafka_partitions, None):  # of a topic that was just created not every broker knows yet
        return None
    return (
        f"{settings.kafka_topic} has {has} partitions and keeps them, though KAFKA_PARTITIONS is "
        f"{settings.kafka_partitions}: with another number users would change partitions, and no longer be counted once"
    )


def too_few_partitions(topics: Topics, count: Mapping[str, int]) -> list[str]:
    """A sentence for each of our topics with fewer partitions than it needs: the topic of the views may have grown
    since init.

    `count` has the number of partitions by topic.
    """
    needs = {topics.dead_letters: topics.events} | {
        changelog: source for source, changelog in topics.changelogs.items()
    }
    return [
        f"{name} has {count[name]} partitions, fewer than the {count[other]} of {other}"
        for name, other in needs.items()
        if count[name] < count[other]
    ]


async def partition_counts(admin: AIOKafkaAdminClient, names: tuple[str, ...]) -> dict[str, int]:
    """The number of partitions of the topics that exist."""
    seen = await describe_topics(admin, names)
    if seen is not None:
        return {name: topic.partitions for name, topic in seen[1].items() if not topic.error_code}
    # An old broker may create what it is asked for, so it is asked for all topics.
    existing = set(await admin.list_topics()) & set(names)
    if not existing:
        return {}
    return {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics(sorted(existing))}


async def leaderless(admin: AIOKafkaAdminClient, names: Sequence[str]) -> list[str]:
    """The partitions of these topics that have no leader, in words; none if the broker is too old for the request."""
    seen = await describe_topics(admin, names)
    if seen is None:
        return []
    return [f"{name}, partition {number}" for name, topic in seen[1].items() for number in topic.leaderless]


async def max_record_bytes(admin: AIOKafkaAdminClient, topic: str) -> int | None:
    """The most bytes of a batch that the topic accepts; None if the broker does not report it."""
    return (await configs.limits(admin, [topic]))[topic]
