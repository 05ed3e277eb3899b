"""Leaving the consumer group at once, also in the middle of a rebalance.

aiokafka (pinned in pyproject.toml; this reaches into its coordinator) leaves only when the request to join has been
answered, which the broker puts off until every member has joined again or is given up for dead.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

logger = logging.getLogger(__name__)

AT_REST_WITHIN_S: Final = 0.3
"""As long as leaving takes when nothing is under way."""
TOLD_WITHIN_S: Final = 1.0
STOPPED_WITHIN_S: Final = 0.5


async def leave_group(consumer: AIOKafkaConsumer, *, reachable: bool = True) -> None:
    """Has a consumer leave its group; `stop` is due afterwards all the same. Ends within about a second.

    Where the broker is not `reachable`, nobody is told.

    A broker answers the requests of a connection in turn, and the request to join is one of them: the group is told by
    another connection.
    """
    coordinator = consumer._coordinator
    closing = asyncio.ensure_future(coordinator.close())
    await asyncio.wait([closing], timeout=AT_REST_WITHIN_S if reachable else 0)
    if closing.done():
        return closing.result()
    member = coordinator.member_id
    coordinator._coordination_task.cancel()
    await asyncio.wait([closing], timeout=AT_REST_WITHIN_S)
    closing.cancel()
    await coordinator._stop_heartbeat_task()
    await coordinator._stop_commit_offsets_refresh_task()
    if not reachable or not member or coordinator.coordinator_id is None:
        return None
    try:
        async with asyncio.timeout(TOLD_WITHIN_S):
            await consumer._client.send(coordinator.coordinator_id, LeaveGroupRequest(coordinator.group_id, member))
    except (KafkaError, OSError, TimeoutError) as error:
        logger.info("the group could not be told that a worker leaves, and finds out by itself: %r", error)


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Disconnects. aiokafka's own way leaves connections open, and has its caller cancelled, where a fetch waits to be
    tried again.
    """
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping], timeout=STOPPED_WITHIN_S)
    if not stopping.done() or stopping.cancelled():
        stopping.cancel()
        await consumer._client.close()
    else:
        stopping.result()
