"""Leaving the consumer group at once, even during a rebalance.

aiokafka (pinned in pyproject.toml; this reaches into its coordinator) leaves only after the request to join is
answered, which the broker delays until every member has joined again or its session has expired.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.consumer.group_coordinator import GroupCoordinator
from aiokafka.errors import KafkaError
from aiokafka.protocol.group import LeaveGroupRequest

from movie_stream.kafka.group.membership import Membership

logger = logging.getLogger(__name__)

AT_REST_WITHIN_S: Final = 0.3
"""How long it takes to stop when nothing is in flight."""
TOLD_WITHIN_S: Final = 1.0
STOPPED_WITHIN_S: Final = 0.5


async def leave_group(membership: Membership, *, reachable: bool = True) -> None:
    """Lets a consumer leave its group within about two seconds; `stop` has to be called afterwards all the same.

    If the broker is not `reachable`, the group is not told.

    A broker answers the requests of a connection in order, and one of them may be the request to join: so the group is
    told by another connection. It is not told if that would block it, see `membership.py`.
    """
    coordinator = membership.coordinator
    await _come_to_an_end(coordinator, AT_REST_WITHIN_S if reachable else 0)
    member = coordinator.member_id
    if not reachable or not member or coordinator.coordinator_id is None:
        return
    if await membership.would_haunt():
        logger.info("leaves a group that forms without telling it, which would stop it; it finds out within seconds")
    else:
        try:
            async with asyncio.timeout(TOLD_WITHIN_S):
                await coordinator._client.send(
                    coordinator.coordinator_id, LeaveGroupRequest(coordinator.group_id, member)
                )
        except (KafkaError, OSError, TimeoutError) as error:
            logger.info("the group could not be told that a worker leaves, and finds out by itself: %r", error)
    coordinator.reset_generation()


async def _come_to_an_end(coordinator: Any, within_s: float) -> None:
    """Neither joins any more nor says that it is alive; what is under way is given so many seconds for it."""
    if not coordinator._closing.done():
        coordinator._closing.set_result(None)
    task = coordinator._coordination_task
    await asyncio.wait([task], timeout=within_s)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AT_REST_WITHIN_S)
    elif not task.cancelled() and (error := task.exception()):
        logger.info("the group had been given up: %r", error)
    await coordinator._stop_heartbeat_task()
    await coordinator._stop_commit_offsets_refresh_task()


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Disconnects. aiokafka's `stop` leaves connections open and cancels its caller if a fetch waits to retry."""
    await _give_up_commits()
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping], timeout=STOPPED_WITHIN_S)
    if not stopping.done() or stopping.cancelled():
        stopping.cancel()
        await consumer._client.close()
    else:
        stopping.result()


async def _give_up_commits() -> None:
    """Ends the commits that still wait for an answer.

    aiokafka shields them from the cancellation of its own caller: nobody would ask what became of them when the
    connection is closed, and asyncio would log that with a traceback.
    """
    name = GroupCoordinator._do_commit_offsets.__qualname__
    commits = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == name]
    for commit in commits:
        commit.cancel()
    await asyncio.gather(*commits, return_exceptions=True)
