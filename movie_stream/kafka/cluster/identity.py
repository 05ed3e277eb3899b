"""The ids that a broker assigns to topics when they are created, unlike their names; and our permissions on them.

Metadata v10 (KIP-516) has them; aiokafka stops at v5, so the request is defined here, in aiokafka's terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.struct import Struct
from aiokafka.protocol.types import (
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_UNKNOWN_OPERATIONS: Final = -(1 << 31)


class Uuid:
    """A field type of 16 bytes, for aiokafka's schemas of messages."""

    @classmethod
    def encode(cls, value: bytes) -> bytes:
        return value

    @classmethod
    def decode(cls, data: object) -> bytes:
        return data.read(16)  # type: ignore[attr-defined]  # a BytesIO

    @classmethod
    def repr(cls, value: bytes) -> str:
        return str(UUID(bytes=value))


_TEXT = CompactString("utf-8")


class _MetadataResponse(Response):
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "brokers",
            CompactArray(("node", Int32), ("host", _TEXT), ("port", Int32), ("rack", _TEXT), ("tags", TaggedFields)),
        ),
        ("cluster_id", _TEXT),
        ("controller", Int32),
        (
            "topics",
            CompactArray(
                ("error_code", Int16),
                ("name", _TEXT),
                ("topic_id", Uuid),
                ("is_internal", Boolean),
                (
                    "partitions",
                    CompactArray(
                        ("error_code", Int16),
                        ("partition", Int32),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("replicas", CompactArray(Int32)),
                        ("isr", CompactArray(Int32)),
                        ("offline", CompactArray(Int32)),
                        ("tags", TaggedFields),
                    ),
                ),
                ("authorized", Int32),
                ("tags", TaggedFields),
            ),
        ),
        ("cluster_authorized", Int32),
        ("tags", TaggedFields),
    )


class _MetadataRequestStruct(RequestStruct):
    API_KEY = 3
    API_VERSION = 10
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _MetadataResponse
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", Uuid), ("name", _TEXT), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataRequestStruct]):
    API_KEY = 3

    def __init__(self, topics: Sequence[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataRequestStruct]) -> _MetadataRequestStruct:
        tags: dict[int, bytes] = {}
        topics = [(bytes(16), topic, tags) for topic in self._topics]
        return request_struct_class(
            topics, False, False, True, tags
        )  # creates none, and reports our permissions on each


@dataclass(frozen=True, slots=True)
class Seen:
    """A topic as the broker reports it."""

    error_code: int
    topic_id: UUID
    partitions: int
    operations: int | None
    """The operations that we may do, a bit for each of Kafka's; None if the broker does not report them."""
    leaderless: tuple[int, ...] = ()
    """Its partitions that have no leader at present."""
    copies: int = 1
    """The replication factor, the smallest of its partitions."""


async def describe_topics(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> tuple[str, dict[str, Seen]] | None:
    """The cluster's id, and each topic as reported; None if the broker is too old for the request."""
    try:
        response: Struct = await admin._send_request(_MetadataRequest(topics))
    except NotImplementedError:  # raised by aiokafka if the broker does not know this version
        return None
    return response.cluster_id, {
        name: Seen(
            code,
            UUID(bytes=topic_id),
            len(partitions),
            None if operations == _UNKNOWN_OPERATIONS else operations,
            tuple(sorted(partition for _, partition, leader, *_ in partitions if leader < 0)),
            min((len(replicas) for _, _, _, _, replicas, *_ in partitions), default=1),
        )
        for code, name, topic_id, _, partitions, operations, _ in response.topics
    }


async def identities(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, str]:
    """The ids of the cluster and of each topic as text; the topic's name instead of its id if the broker is too old.

    A topic that does not exist has an id of zeros.
    """
    seen = await describe_topics(admin, topics)
    if seen is None:
        cluster = (await admin.describe_cluster())["cluster_id"]
        return {topic: f"{cluster}/{topic}" for topic in topics}
    cluster, found = seen
    return {topic: f"{cluster}/{found[topic].topic_id}" for topic in topics}
