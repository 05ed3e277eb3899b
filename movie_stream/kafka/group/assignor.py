"""How the partitions of a group are shared out: evenly by topic, and each stays with the worker that has it.

A worker that gets back a partition has its state in memory, so it goes on without a restore; see agents/owner.py. Kafka
and aiokafka have a sticky assignor too, but it only evens out the total: of two workers, one may get all partitions of
`movie-events`, and with them nearly all of the work.

The leader of a group assigns; all that it knows of the members is what they send with their requests to join. So each
claims the partitions of its last assignment, with the number of that assignment. Where two claim the same partition,
one of them was away meanwhile: its number is the smaller. Nothing but speed depends on a claim.

To the broker it is Kafka's round robin, to whose requests it adds the claims. So whoever knows that one may be in the
group too: it ignores the claims of others, and if it leads, it shares out as it does. Two protocols would be the usual
way, of which a group agrees on the first that all know. But aiokafka then sends two requests to join, each of which
begins a rebalance; and Tansu 0.6 refuses a member that does not know the first one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from aiokafka.cluster import ClusterMetadata
from aiokafka.coordinator.assignors.abstract import AbstractPartitionAssignor
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.structs import TopicPartition

_VERSION: Final = 0


class Claim(msgspec.Struct, array_like=True):
    """The last assignment of a member; 0 if there was none yet."""

    number: int = 0
    partitions: list[tuple[str, int]] = []


class Member(NamedTuple):
    """A member of the group, as its leader knows it."""

    topics: Collection[str]
    claim: Claim


Shares = dict[str, list[TopicPartition]]
"""The partitions of each member, in the order of their topics."""

_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Claim)


def shares(partitions: Mapping[str, Collection[int]], members: Mapping[str, Member]) -> Shares:
    """Shares out the partitions of each topic among the members that subscribe to it.

    The shares of a topic differ by one partition at most, and so do those of all topics together if all members
    subscribe to the same. As many partitions as that allows stay where they are.

    >>> two = {"movie-events": [0, 1, 2], "movie-partials": [0]}
    >>> all_of_one = [("movie-events", partition) for partition in range(3)]
    >>> members = {"a": Member(two, Claim(1, all_of_one)), "b": Member(two, Claim())}
    >>> {member: [place.partition for place in share] for member, share in shares(two, members).items()}
    {'a': [0, 1], 'b': [2, 0]}
    """
    owner = _owners(members)
    shared: Shares = {member: [] for member in members}
    for topic in sorted(partitions):
        subscribed = [member for member, said in members.items() if topic in said.topics]
        if not subscribed:
            continue
        places = [TopicPartition(topic, partition) for partition in sorted(partitions[topic])]
        stays = {member: [place for place in places if owner.get(place) == member] for member in subscribed}
        # Whoever has least so far gets one more; of several, whoever has most of this topic.
        ranked = sorted(subscribed, key=lambda member: (len(shared[member]), -len(stays[member]), member))
        least, over = divmod(len(places), len(ranked))
        quotas = {member: least + (rank < over) for rank, member in enumerate(ranked)}
        kept = {member: stays[member][: quotas[member]] for member in ranked}
        free = sorted(set(places).difference(*kept.values()))
        for member in ranked:
            lacking = quotas[member] - len(kept[member])
            shared[member] += sorted(kept[member] + free[:lacking])
            free = free[lacking:]
    return shared


def _owners(members: Mapping[str, Member]) -> dict[TopicPartition, str]:
    """The member that has each partition, by the newest claim."""
    by_age = sorted(members.items(), key=lambda item: (item[1].claim.number, item[0]))
    return {TopicPartition(*place): member for member, said in by_age for place in said.claim.partitions}


class StickyAssignor(AbstractPartitionAssignor):
    """The assignor of one member of a group."""

    name = RoundRobinPartitionAssignor.name

    def __init__(self) -> None:
        self._claim = Claim()

    def metadata(self, topics: Iterable[str]) -> ConsumerProtocolMemberMetadata:
        """What this member sends with its request to join."""
        return ConsumerProtocolMemberMetadata(_VERSION, list(topics), _ENCODER.encode(self._claim))

    def assign(
        self, cluster: ClusterMetadata, members: Mapping[str, ConsumerProtocolMemberMetadata]
    ) -> dict[str, ConsumerProtocolMemberAssignment]:
        """What each member gets, if this one leads the group."""
        said = {name: Member(member.subscription, _claim_in(member.user_data)) for name, member in members.items()}
        topics = {topic for member in said.values() for topic in member.topics}
        shared = shares({topic: cluster.partitions_for_topic(topic) or () for topic in topics}, said)
        number = 1 + max(member.claim.number for member in said.values())
        return {name: _assignment(share, number) for name, share in shared.items()}

    def on_assignment(self, assignment: ConsumerProtocolMemberAssignment) -> None:
        """Notes what this member was assigned, by whichever assignor."""
        places = [(place.topic, place.partition) for place in assignment.partitions()]
        self._claim = Claim(_claim_in(assignment.user_data).number, places)


def _assignment(share: Collection[TopicPartition], number: int) -> ConsumerProtocolMemberAssignment:
    by_topic: dict[str, list[int]] = {}
    for topic, partition in share:
        by_topic.setdefault(topic, []).append(partition)
    return ConsumerProtocolMemberAssignment(_VERSION, list(by_topic.items()), _ENCODER.encode(Claim(number)))


def _claim_in(user_data: bytes | None) -> Claim:
    """The claim in what a member, or the leader, has sent; none if that is no worker of ours, or of another version."""
    try:
        return _DECODER.decode(user_data or b"")
    except msgspec.DecodeError:
        return Claim()
