"""The members of the consumer group: our workers, and others that use its name by mistake."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata

from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.kafka.group import consumer_group
from movie_stream.kafka.group.group_state import NO_GROUP, state_of
from movie_stream.settings import Settings

_UUID: Final = re.compile(r"-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
"""The suffix that a broker appends to the client id to make the id of a member."""


@dataclass(frozen=True, slots=True)
class Member:
    """One member of the group, as the broker describes it."""

    client: str
    """The client id."""
    host: str
    """Empty if the broker does not say (Tansu 0.6)."""
    topics: frozenset[str]
    """Subscribed topics; empty if the broker does not say (Apache Kafka during a rebalance)."""
    partitions: tuple[TopicPartition, ...]
    """Assigned partitions; likewise empty if the broker does not say."""

    def is_worker(self, names: Topics) -> bool:
        """Whether it is one of the workers that count these topics."""
        return self.client.startswith(client.CLIENT_ID) and self.topics in (set(), {*names.sources})

    def __str__(self) -> str:
        """In words.

        >>> str(Member("billing", "10.0.0.7", frozenset(), (TopicPartition("views", 1), TopicPartition("views", 0))))
        'billing at 10.0.0.7, which holds views 0, 1'
        """
        where = f" at {self.host}" if self.host else ""
        return self.client + where + (f", which holds {_in_words(self.partitions)}" if self.partitions else "")


async def members_of(settings: Settings, admin: AIOKafkaAdminClient) -> list[Member]:
    """All members that the broker knows; Tansu 0.6 includes one that has ended.

    Raises BrokerUnreachable, BrokerForbids, BrokerRefused.
    """

    async def ask() -> list[Member]:
        [answer] = await admin.describe_consumer_groups([settings.kafka_group])
        if state_of(answer).state == NO_GROUP and (found := await consumer_group.describe(admin, settings.kafka_group)):
            return [Member(each.client, each.host.lstrip("/"), each.topics, each.partitions) for each in found.members]
        return [_member(*fields) for group in answer.groups for fields in group[5]]

    with client.explained(settings, f"looking at the group {settings.kafka_group}"):
        return await client.coordinated(ask)


def strangers(names: Topics, members: Iterable[Member]) -> list[Member]:
    """The members that are not our workers."""
    return [member for member in members if not member.is_worker(names)]


def complaint(settings: Settings, those: Sequence[Member]) -> str:
    """The complaint about strangers in the group."""
    who = "; ".join(map(str, those))
    number = "a consumer that is no worker" if len(those) == 1 else f"{len(those)} consumers that are no workers"
    return f"in the group {settings.kafka_group} there is {number}, and what it is given is not counted: {who}"


REMEDY: Final = "stop it, or give it a group of its own"


def _member(member_id: str, name: str, host: str, metadata: bytes, assignment: bytes) -> Member:
    return Member(
        name or _UUID.sub("", member_id),
        host.lstrip("/"),
        frozenset(_decoded(ConsumerProtocolMemberMetadata, metadata, "subscription")),
        tuple(
            TopicPartition(topic, partition)
            for topic, partitions in _decoded(ConsumerProtocolMemberAssignment, assignment, "assignment")
            for partition in partitions
        ),
    )


def _decoded(kind: Any, data: bytes, field: str) -> Any:
    """A field of a consumer's metadata; empty for other protocols, or if it is missing."""
    try:
        return getattr(kind.decode(data), field) if data else ()
    except (ValueError, TypeError):  # another protocol, such as that of Kafka Connect
        return ()


def _in_words(partitions: Iterable[TopicPartition]) -> str:
    by_topic = defaultdict[str, list[int]](list)
    for topic, partition in partitions:
        by_topic[topic].append(partition)
    return "; ".join(f"{topic} {', '.join(map(str, sorted(by_topic[topic])))}" for topic in sorted(by_topic))
