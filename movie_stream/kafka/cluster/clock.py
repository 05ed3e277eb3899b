"""The time on the brokers.

No request asks for it, but one is answered with it: the controller of Apache Kafka from 3.3 on, asked for its quorum
(KIP-836), reports when it last caught up with itself, which is now. aiokafka lacks the request, so it is defined here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import IncompatibleBrokerVersion
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.struct import Struct
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

_METADATA: Final = "__cluster_metadata"
_TEXT = CompactString("utf-8")
_REPLICAS = CompactArray(
    ("replica_id", Int32),
    ("log_end_offset", Int64),
    ("last_fetch_ms", Int64),
    ("last_caught_up_ms", Int64),
    ("tags", TaggedFields),
)


class _DescribeQuorumResponse(Response):
    API_KEY = 55
    API_VERSION = 1
    SCHEMA = Schema(
        ("error_code", Int16),
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                (
                    "partitions",
                    CompactArray(
                        ("partition", Int32),
                        ("error_code", Int16),
                        ("leader", Int32),
                        ("leader_epoch", Int32),
                        ("high_watermark", Int64),
                        ("voters", _REPLICAS),
                        ("observers", _REPLICAS),
                        ("tags", TaggedFields),
                    ),
                ),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeQuorumStruct(RequestStruct):
    API_KEY = 55
    API_VERSION = 1
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _DescribeQuorumResponse
    SCHEMA = Schema(
        (
            "topics",
            CompactArray(
                ("name", _TEXT),
                ("partitions", CompactArray(("partition", Int32), ("tags", TaggedFields))),
                ("tags", TaggedFields),
            ),
        ),
        ("tags", TaggedFields),
    )


class _DescribeQuorumRequest(Request[_DescribeQuorumStruct]):
    API_KEY = 55

    def build(self, request_struct_class: type[_DescribeQuorumStruct]) -> _DescribeQuorumStruct:
        tags: dict[int, bytes] = {}
        return request_struct_class([(_METADATA, [(0, tags)], tags)], tags)


async def time_of(admin: AIOKafkaAdminClient) -> datetime | None:
    """The time by the controller's clock; None if unknown: an older broker, another kind, no permission."""
    try:
        response: Struct = await admin._send_request(_DescribeQuorumRequest())
    except (NotImplementedError, IncompatibleBrokerVersion):
        return None
    for _, partitions, _ in response.topics:
        for _, _, leader, _, _, voters, _, _ in partitions:
            for replica, _, _, caught_up_ms, _ in voters:
                if replica == leader and caught_up_ms > 0:
                    return datetime.fromtimestamp(caught_up_ms / 1000, UTC)
    return None
