"""The state and the members of a consumer group, as a broker describes them."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import for_code

from movie_stream.kafka.cluster import client
from movie_stream.kafka.group import consumer_group
from movie_stream.settings import Settings

REMEDY: Final = "stop all workers, wait 10 s, start them again; nobody else may be a member of KAFKA_GROUP"
"""For a group that assigns no partitions."""
SETTLED_WITHIN_S: Final = 10.0
"""The longest rebalance if every member takes part; with Tansu 8 s."""
_ASK_EVERY_S: Final = 0.5
NO_GROUP: Final = "Dead"
"""Also the answer for a group whose broker assigns the partitions; see consumer_group.py."""
_AT_REST: Final = frozenset({"Stable", "Empty", NO_GROUP})
_SHARED_OUT_BY_BROKER: Final = frozenset({"Assigning", "Reconciling"})
_TANSUS_FORMING: Final = "Unknown"
_ERROR_CODE, _NAME, _STATE, _MEMBERS, _ID = 0, 1, 2, 5, 0
"""Indices in the description of a group and of a member, in every version of the protocol."""


@dataclass(frozen=True, slots=True)
class GroupState:
    """A group at one time."""

    state: str
    """The broker's name of it: Stable, PreparingRebalance, CompletingRebalance, Empty, Dead, and Tansu's own; Assigning
    or Reconciling if the broker assigns the partitions.
    """
    members: frozenset[str]
    """The ids of the members; Tansu 0.6 includes one that was killed, until another joins."""

    @property
    def at_rest(self) -> bool:
        """Whether no rebalance is under way."""
        return self.state in _AT_REST

    @property
    def forming_under_a_leader(self) -> bool:
        """Whether this is Tansu in a rebalance led by a member, present or past; no other broker has that state."""
        return self.state == _TANSUS_FORMING

    @property
    def stuck_rebalance_cause(self) -> str:
        """The likely cause of a rebalance that does not end."""
        if self.at_rest:
            return "the broker does not take this worker in"
        if self.state in _SHARED_OUT_BY_BROKER:
            return "a member does not give up what it is to give up"
        if self.forming_under_a_leader or self.state == "CompletingRebalance":
            return "the member that leads does not share out the partitions"
        return "a member is waited for that does not join again"

    def __str__(self) -> str:
        state = "forming" if self.forming_under_a_leader else self.state
        return f"members {len(self.members)}, state {state}"


def state_of(response: Any) -> GroupState:
    """The group in a DescribeGroupsResponse. Raises KafkaError if that is an error.

    >>> from aiokafka.protocol.admin import DescribeGroupsResponse_v0
    >>> member = ("worker-1", "worker", "/127.0.0.1", b"", b"")
    >>> str(state_of(DescribeGroupsResponse_v0([(0, "views", "Stable", "consumer", "roundrobin", [member])])))
    'members 1, state Stable'
    """
    [group] = response.groups
    if group[_ERROR_CODE]:
        raise for_code(group[_ERROR_CODE])(group[_NAME])
    return GroupState(group[_STATE], frozenset(member[_ID] for member in group[_MEMBERS]))


async def describe_group(settings: Settings, admin: AIOKafkaAdminClient) -> GroupState:
    """The present state of the group of these settings. Raises the errors of `client.explained`."""

    async def ask() -> GroupState:
        [answer] = await admin.describe_consumer_groups([settings.kafka_group])
        classic = state_of(answer)
        if classic.state == NO_GROUP and (found := await consumer_group.describe(admin, settings.kafka_group)):
            return GroupState(found.state, frozenset(member.id for member in found.members))
        return classic

    with client.explained(settings, f"looking at the group {settings.kafka_group}"):
        return await client.coordinated(ask)


async def settled_group(settings: Settings, admin: AIOKafkaAdminClient) -> GroupState:
    """The state after a rebalance in progress has ended, or after SETTLED_WITHIN_S."""
    deadline_s = monotonic() + SETTLED_WITHIN_S
    while True:
        group = await describe_group(settings, admin)
        if group.at_rest or monotonic() > deadline_s:
            return group
        await asyncio.sleep(_ASK_EVERY_S)
