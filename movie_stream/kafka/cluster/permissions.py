"""What the broker's ACLs allow us, asked before it is needed: the broker itself says which operations are ours.

A topic that is hidden from us looks like one that is not there, unless it is asked for by name.
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
from movie_stream.kafka.cluster.identity import Seen, look_at
from movie_stream.settings import Settings

Operation = Literal["Read", "Write", "Delete"]
_BITS: Final[Mapping[Operation, int]] = {"Read": 3, "Write": 4, "Delete": 6}
"""Kafka's numbers of its operations."""


async def lacking(admin: AIOKafkaAdminClient, needs: Mapping[str, Sequence[Operation]]) -> list[str]:
    """What we need (operations by topic) and may not do, in words; of a broker that does not tell, nothing."""
    found = await look_at(admin, list(needs))
    if found is None:
        return []
    _, seen = found
    topics: defaultdict[str, list[str]] = defaultdict(list)
    for topic, operations in needs.items():
        missing = [operation for operation in operations if not _allows(seen.get(topic), operation)]
        if missing:
            topics[", ".join(missing)].append(topic)
    return [f"{words} on the topic{'s'[: len(those) > 1]} {', '.join(those)}" for words, those in topics.items()]


def _allows(seen: Seen | None, operation: Operation) -> bool:
    if seen is not None and seen.error_code == TopicAuthorizationFailedError.errno:
        return False  # hidden from us, whether it is there or not
    if seen is None or seen.error_code or seen.operations is None:
        return True  # for all that we know
    return bool(seen.operations & 1 << _BITS[operation])


async def lacking_on_group(admin: AIOKafkaAdminClient, group: str) -> list[str]:
    """The same for the group, where it is hidden from us; who may describe but not read it hears of that in joining."""
    try:
        [answer] = await client.coordinated(partial(admin.describe_consumer_groups, [group]))
    except GroupAuthorizationFailedError:
        return [f"Read on the group {group}"]
    codes = {found[0] for found in answer.groups}
    return [f"Read on the group {group}"] if GroupAuthorizationFailedError.errno in codes else []


async def insist(settings: Settings, admin: AIOKafkaAdminClient, needs: Mapping[str, Sequence[Operation]]) -> None:
    """Raises BrokerForbids where we may not do all of it; also where a topic seems not to be there, but is hidden."""
    if missing := await lacking(admin, needs):
        raise BrokerForbids(user=user_of(settings), what=missing)
