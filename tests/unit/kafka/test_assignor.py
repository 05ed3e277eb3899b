"""Partitions are shared out evenly, and stay where they are as far as that allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import pytest
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.coordinator.protocol import ConsumerProtocolMemberAssignment, ConsumerProtocolMemberMetadata
from aiokafka.structs import TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from movie_stream.kafka.group.assignor import Claim, Member, Shares, StickyAssignor, shares

TOPICS = {"events": range(7), "partials": range(3)}
ALL = {TopicPartition(topic, partition) for topic, partitions in TOPICS.items() for partition in partitions}

GROUPS = st.lists(st.sets(st.sampled_from("abcdefghijkl"), min_size=1), min_size=1, max_size=8)
"""Who is in the group, from one rebalance to the next."""


class Cluster:
    """What an assignor needs of the cluster's metadata."""

    def partitions_for_topic(self, topic: str) -> set[int] | None:
        return {*TOPICS[topic]} if topic in TOPICS else None


def assigned(members: Mapping[str, StickyAssignor]) -> Shares:
    """What each member is assigned in one rebalance, over the bytes that Kafka would carry."""
    joins = {name: member.metadata(TOPICS).encode() for name, member in members.items()}
    leader = next(iter(members.values()))
    answers = leader.assign(
        Cluster(),
        {name: ConsumerProtocolMemberMetadata.decode(join) for name, join in joins.items()},
    )
    found = {name: ConsumerProtocolMemberAssignment.decode(answer.encode()) for name, answer in answers.items()}
    for name, member in members.items():
        member.on_assignment(found[name])
    return {name: assignment.partitions() for name, assignment in found.items()}


@given(GROUPS)
def test_each_partition_has_one_owner_and_the_shares_are_even(groups: list[set[str]]) -> None:
    assignors: dict[str, StickyAssignor] = {}
    for group in groups:
        assignors = {name: assignors.get(name, StickyAssignor()) for name in sorted(group)}
        found = assigned(assignors)
        assert Counter(place for share in found.values() for place in share) == Counter(ALL)
        for topic in (*TOPICS, None):
            sizes = [sum(topic in (None, place.topic) for place in share) for share in found.values()]
            assert max(sizes) - min(sizes) <= 1, topic


@given(GROUPS)
def test_who_has_no_more_than_its_share_of_a_topic_keeps_it(groups: list[set[str]]) -> None:
    assignors: dict[str, StickyAssignor] = {}
    before: Shares = {}
    for group in groups:
        assignors = {name: assignors.get(name, StickyAssignor()) for name in sorted(group)}
        found = assigned(assignors)
        for name in group & before.keys():
            for topic, partitions in TOPICS.items():
                had = {place for place in before[name] if place.topic == topic}
                has = {place for place in found[name] if place.topic == topic}
                assert len(had & has) >= min(len(had), len(partitions) // len(group)), (name, topic)
        before = found


@given(GROUPS)
def test_nothing_moves_without_need(groups: list[set[str]]) -> None:
    assignors: dict[str, StickyAssignor] = {}
    for group in groups:
        assignors = {name: assignors.get(name, StickyAssignor()) for name in sorted(group)}
        assert assigned(assignors) == assigned(assignors)


def test_of_two_that_claim_a_partition_the_one_that_was_not_away_has_it() -> None:
    back, present = StickyAssignor(), StickyAssignor()
    assigned({"a": back})
    assigned({"b": present, "c": StickyAssignor()})
    assigned({"b": present, "c": StickyAssignor()})
    held = assigned({"b": present})["b"]
    found = assigned({"a": back, "b": present})
    assert {*found["b"]} <= {*held}
    assert len(found["b"]) == len(ALL) // 2


@pytest.mark.parametrize("other", [b"", b"\xff", b"{}", b"\x92\x01\x02"])
def test_another_program_has_no_claim_and_nobody_is_given_what_it_does_not_read(other: bytes) -> None:
    old = ConsumerProtocolMemberMetadata(0, ["partials"], other)
    new = StickyAssignor().metadata(TOPICS)
    found = StickyAssignor().assign(Cluster(), {"old": old, "new": new})
    assert {place.topic for place in found["old"].partitions()} <= {"partials"}
    assert {place for answer in found.values() for place in answer.partitions()} == ALL


def test_who_knows_only_the_round_robin_may_lead_and_what_it_gives_is_claimed_next_time() -> None:
    member = StickyAssignor()
    joins = {"a": member.metadata(TOPICS), "b": RoundRobinPartitionAssignor.metadata(TOPICS)}
    assert member.name == RoundRobinPartitionAssignor.name
    found = RoundRobinPartitionAssignor.assign(Cluster(), joins)
    member.on_assignment(found["a"])
    assert {*found["a"].partitions()} == {*assigned({"a": member, "c": StickyAssignor()})["a"]}


def test_a_topic_that_nobody_reads_is_nobodys() -> None:
    assert shares({"events": [0]}, {"a": Member((), Claim())}) == {"a": []}
