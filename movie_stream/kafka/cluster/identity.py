"""Which topic it is, not only how it is called: the id that a broker gives a topic when it is created. And what this
client may do with it.

Metadata v10 (KIP-516) carries it; aiokafka stops at v5, so the request is spelled out here, in aiokafka's own terms.
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

_NOT_SAID: Final = -(1 << 31)


class Uuid:
    """16 bytes, as aiokafka reads and writes the fields of a message."""

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
        return request_struct_class(topics, False, False, True, tags)  # creates none, and says what we may do with each


@dataclass(frozen=True, slots=True)
class Seen:
    """What the broker tells us of a topic."""

    error_code: int
    topic_id: UUID
    partitions: int
    operations: int | None
    """What we may do with it, a bit for each of Kafka's operations; None where the broker does not say."""
    leaderless: tuple[int, ...] = ()
    """Its partitions that nobody leads at the moment."""
    copies: int = 1
    """On how many brokers its records are, of the partition that is on the fewest."""


async def look_at(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> tuple[str, dict[str, Seen]] | None:
    """The cluster's id, and what is seen of each topic; None where the broker is too old to be asked so."""
    try:
        response: Struct = await admin._send_request(_MetadataRequest(topics))
    except NotImplementedError:  # how aiokafka says that the broker does not know this version
        return None
    return response.cluster_id, {
        name: Seen(
            code,
            UUID(bytes=topic_id),
            len(partitions),
            None if operations == _NOT_SAID else operations,
            tuple(sorted(partition for _, partition, leader, *_ in partitions if leader < 0)),
            min((len(replicas) for _, _, _, _, replicas, *_ in partitions), default=1),
        )
        for code, name, topic_id, _, partitions, operations, _ in response.topics
    }


async def identities(admin: AIOKafkaAdminClient, topics: Sequence[str]) -> dict[str, str]:
    """The cluster's and the topic's id of each topic as text; without a topic id where the broker is too old for one.

    A topic that is not there has an id of zeros.
    """
    seen = await look_at(admin, topics)
    if seen is None:
        cluster = (await admin.describe_cluster())["cluster_id"]
        return {topic: f"{cluster}/{topic}" for topic in topics}
    cluster, found = seen
    return {topic: f"{cluster}/{found[topic].topic_id}" for topic in topics}
