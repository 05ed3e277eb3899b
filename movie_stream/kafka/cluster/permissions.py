"""Our permissions by the broker's ACLs, checked before they are needed: the broker itself reports our operations.

A topic that is hidden from us looks like a missing one, unless it is asked for by name.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final, Literal

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupAuthorizationFailedError, TopicAuthorizationFailedError

from movie_stream.errors import BrokerForbids
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.access import user_of
from movie_stream.kafka.cluster.identity import Seen, describe_topics
from movie_stream.settings import Settings

Operation = Literal["Read", "Write", "Delete"]
_BITS: Final[Mapping[Operation, int]] = {"Read": 3, "Write": 4, "Delete": 6}
"""Kafka's codes of its operations."""


async def missing(admin: AIOKafkaAdminClient, needs: Mapping[str, Sequence[Operation]]) -> list[str]:
    """The operations that we need (by topic) and may not do, in words; empty if the broker does not report them."""
    found = await describe_topics(admin, list(needs))
    if found is None:
        return []
    _, seen = found
    topics: defaultdict[str, list[str]] = defaultdict(list)
    for topic, operations in needs.items():
        denied = [operation for operation in operations if not _allows(seen.get(topic), operation)]
        if denied:
            topics[", ".join(denied)].append(topic)
    return [f"{words} on the topic{'s'[: len(names) > 1]} {', '.join(names)}" for words, names in topics.items()]


def _allows(seen: Seen | None, operation: Operation) -> bool:
    if seen is not None and seen.error_code == TopicAuthorizationFailedError.errno:
        return False  # hidden from us, whether it exists or not
    if seen is None or seen.error_code or seen.operations is None:
        return True  # as far as we know
    return bool(seen.operations & 1 << _BITS[operation])


async def missing_on_group(admin: AIOKafkaAdminClient, group: str) -> list[str]:
    """The missing permission on the group, if it is hidden from us, in words; a client that may describe but not read
    it gets an error when it joins.
    """
    try:
        [answer] = await client.coordinated(partial(admin.describe_consumer_groups, [group]))
    except GroupAuthorizationFailedError:
        return [f"Read on the group {group}"]
    codes = {found[0] for found in answer.groups}
    return [f"Read on the group {group}"] if GroupAuthorizationFailedError.errno in codes else []


async def require_permissions(
    settings: Settings, admin: AIOKafkaAdminClient, needs: Mapping[str, Sequence[Operation]]
) -> None:
    """Raises BrokerForbids if we lack a permission; also if a topic seems to be missing, but is hidden."""
    if lacking := await missing(admin, needs):
        raise BrokerForbids(user=user_of(settings), what=lacking)
