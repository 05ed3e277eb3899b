"""The settings of topics: reading them, and changing single ones without the others.

aiokafka has only the older request for changes, which resets all settings that it does not name. So the incremental
one (KIP-339) is defined here, in aiokafka's terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import IncompatibleBrokerVersion, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import Array, Boolean, Int8, Int16, Int32, Schema, String

LIMIT: Final = "max.message.bytes"
"""The setting of a topic with the most bytes of a batch, as compressed."""
_TOPIC: Final = 2
_SET: Final = 0
_TEXT = String("utf-8")


class _Response(Response):
    API_KEY = 44
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("responses", Array(("error_code", Int16), ("error_message", _TEXT), ("kind", Int8), ("name", _TEXT))),
    )


class _RequestStruct(RequestStruct):
    API_KEY = 44
    API_VERSION = 0
    RESPONSE_TYPE = _Response
    SCHEMA = Schema(
        (
            "resources",
            Array(
                ("kind", Int8), ("name", _TEXT), ("configs", Array(("name", _TEXT), ("how", Int8), ("value", _TEXT)))
            ),
        ),
        ("validate_only", Boolean),
    )


class _Request(Request[_RequestStruct]):
    API_KEY = 44

    def __init__(self, resources: list[tuple[int, str, list[tuple[str, int, str]]]]) -> None:
        self._resources = resources

    def build(self, request_struct_class: type[_RequestStruct]) -> _RequestStruct:
        return request_struct_class(self._resources, False)


async def change(admin: AIOKafkaAdminClient, name: str, values: Mapping[str, str]) -> dict[str, str]:
    """Sets the setting `name` of each topic to its value; returns the reason, in words, for each topic that failed."""
    if not values:
        return {}
    resources = [(_TOPIC, topic, [(name, _SET, value)]) for topic, value in values.items()]
    try:
        response = await admin._send_request(_Request(resources))
    except (IncompatibleBrokerVersion, NotImplementedError):
        return dict.fromkeys(values, "the broker cannot change it")
    return {topic: message or for_code(code).__name__ for code, message, _, topic in response.responses if code}


async def limits(admin: AIOKafkaAdminClient, names: Sequence[str]) -> dict[str, int | None]:
    """The most bytes of a batch of records that each topic accepts; None if the broker does not report it."""
    resources = [ConfigResource(ConfigResourceType.TOPIC, name) for name in names]
    found: dict[str, int | None] = dict.fromkeys(names)
    try:
        responses = await admin.describe_configs(resources)
    except (IncompatibleBrokerVersion, NotImplementedError):  # it does not know the request
        return found
    for response in responses:
        for _, _, _, name, entries in response.resources:
            found[name] = next((int(value) for setting, value, *_ in entries if setting == LIMIT and value), None)
    return found


async def configs_of(admin: AIOKafkaAdminClient, topic: str) -> dict[str, str]:
    """The settings of the topic, including defaults, as far as the broker reports them."""
    found: dict[str, str] = {}
    for response in await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, topic)]):
        for resource in response.resources:
            for entry in resource[4]:
                if entry[1]:
                    found[entry[0]] = entry[1]
    return found
