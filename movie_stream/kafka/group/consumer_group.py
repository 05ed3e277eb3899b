"""A group whose broker assigns the partitions (KIP-848, `group.protocol=consumer`).

The classic request is answered by "no such group", though workers can join it beside those members. So the broker gets
a second request, which aiokafka lacks and which is defined here in aiokafka's terms.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    GroupIdNotFound,
    IncompatibleBrokerVersion,
    TopicAuthorizationFailedError,
    UnsupportedVersionError,
    for_code,
)
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.struct import Struct
from aiokafka.protocol.types import Boolean, CompactArray, CompactString, Int16, Int32, Schema, TaggedFields

from movie_stream.kafka.cluster.identity import Uuid

_NO_SUCH_GROUP: Final = (GroupIdNotFound.errno, UnsupportedVersionError.errno)
"""The second one is from a broker that knows the request, but has such groups turned off."""
_HIDDEN: Final = "one that reads topics which this Kafka user may not see"
_TEXT = CompactString("utf-8")
_ASSIGNMENT = Schema(
    (
        "partitions",
        CompactArray(("topic_id", Uuid), ("topic", _TEXT), ("partitions", CompactArray(Int32)), ("tags", TaggedFields)),
    ),
    ("tags", TaggedFields),
)


@dataclass(frozen=True, slots=True)
class ConsumerMember:
    """A member of such a group."""

    id: str
    client: str
    host: str
    topics: frozenset[str]
    partitions: tuple[TopicPartition, ...]


@dataclass(frozen=True, slots=True)
class ConsumerGroup:
    """Such a group at one time."""

    state: str
    """The broker's name of it: Assigning, Reconciling or Stable."""
    members: tuple[ConsumerMember, ...]
    """Includes workers, which join it by the classic protocol."""


class ConsumerGroupDescribeResponse(Response):
    API_KEY = 69
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "groups",
            CompactArray(
                ("error_code", Int16),
                ("error_message", _TEXT),
                ("group", _TEXT),
                ("state", _TEXT),
                ("group_epoch", Int32),
                ("assignment_epoch", Int32),
                ("assignor", _TEXT),
                (
                    "members",
                    CompactArray(
                        ("member_id", _TEXT),
                        ("instance_id", _TEXT),
                        ("rack_id", _TEXT),
                        ("epoch", Int32),
                        ("client_id", _TEXT),
                        ("client_host", _TEXT),
                        ("topics", CompactArray(_TEXT)),
                        ("topic_regex", _TEXT),
                        ("assignment", _ASSIGNMENT),
                        ("target_assignment", _ASSIGNMENT),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized_operations", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _RequestStruct(RequestStruct):
    API_KEY = 69
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = ConsumerGroupDescribeResponse
    SCHEMA = Schema(("groups", CompactArray(_TEXT)), ("include_authorized_operations", Boolean), ("tags", TaggedFields))


class _Request(Request[_RequestStruct]):
    API_KEY = 69

    def __init__(self, group: str) -> None:
        self._group = group

    def build(self, request_struct_class: type[_RequestStruct]) -> _RequestStruct:
        tags: dict[int, bytes] = {}
        return request_struct_class([self._group], False, tags)


async def describe(admin: AIOKafkaAdminClient, group: str) -> ConsumerGroup | None:
    """The group, as its coordinator describes it; None if it has no members, or the broker has no such groups.

    Raises KafkaError.
    """
    try:
        return group_in(await admin._send_request(_Request(group), await admin.find_coordinator(group)))
    except (NotImplementedError, IncompatibleBrokerVersion):
        return None


def group_in(response: Struct) -> ConsumerGroup | None:
    """The group in an answer; None if it has no members. Raises KafkaError if the answer is an error."""
    [(code, message, group, state, _, _, _, members, *_)] = response.groups
    if code in _NO_SUCH_GROUP or (not code and not members):  # Tansu 0.6 has an empty one of any name
        return None
    if code == TopicAuthorizationFailedError.errno:  # members are hidden; workers read only what we may read
        return ConsumerGroup("Stable", (ConsumerMember(_HIDDEN, _HIDDEN, "", frozenset(), ()),))
    if code:
        raise for_code(code)(message or group)
    return ConsumerGroup(state, tuple(_member(*fields) for fields in members))


def _member(
    member_id: str,
    _instance: str | None,
    _rack: str | None,
    _epoch: int,
    client: str,
    host: str,
    topics: list[str] | None,
    _regex: str | None,
    assignment: Any,
    *_: object,
) -> ConsumerMember:
    held, _tags = assignment
    return ConsumerMember(
        member_id,
        client,
        host,
        frozenset(topics or ()),
        tuple(TopicPartition(topic, partition) for _, topic, numbers, _ in held for partition in numbers),
    )
