"""Leaving the consumer group without delay, even during a rebalance.

aiokafka (pinned in pyproject.toml; this reaches into its coordinator) leaves only after the request to join is
answered, which the broker delays until every member has rejoined or its session has expired.
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
SENT_WITHIN_S: Final = 1.0
STOPPED_WITHIN_S: Final = 0.5


async def leave_group(membership: Membership, *, reachable: bool = True) -> None:
    """Lets a consumer leave its group within about two seconds; `stop` has to be called afterwards all the same.

    If the broker is not `reachable`, no request to leave is sent.

    A broker answers the requests of a connection in order, and one of them may be the request to join: so the request
    to leave uses another connection. It is not sent if it would block the group, see `membership.py`.
    """
    coordinator = membership.coordinator
    await _stop_coordination(coordinator, AT_REST_WITHIN_S if reachable else 0)
    member = coordinator.member_id
    if not reachable or not member or coordinator.coordinator_id is None:
        return
    if await membership.would_block_group():
        logger.info("leaves a forming group without a request, which would block it; the session expires in seconds")
    else:
        try:
            async with asyncio.timeout(SENT_WITHIN_S):
                await coordinator._client.send(
                    coordinator.coordinator_id, LeaveGroupRequest(coordinator.group_id, member)
                )
        except (KafkaError, OSError, TimeoutError) as error:
            logger.info("the request to leave the group failed, its session will expire instead: %r", error)
    coordinator.reset_generation()


async def _stop_coordination(coordinator: Any, within_s: float) -> None:
    """Stops joining and sending heartbeats; requests under way may take `within_s` seconds to end."""
    if not coordinator._closing.done():
        coordinator._closing.set_result(None)
    task = coordinator._coordination_task
    await asyncio.wait([task], timeout=within_s)
    if not task.done():
        task.cancel()
        await asyncio.wait([task], timeout=AT_REST_WITHIN_S)
    elif not task.cancelled() and (error := task.exception()):
        logger.info("the coordination of the group had failed: %r", error)
    await coordinator._stop_heartbeat_task()
    await coordinator._stop_commit_offsets_refresh_task()


async def stop_consumer(consumer: AIOKafkaConsumer) -> None:
    """Disconnects, also if a fetch waits to retry: aiokafka's `stop` then leaves connections open and cancels its
    caller.
    """
    await _give_up_commits()
    stopping = asyncio.ensure_future(consumer.stop())
    await asyncio.wait([stopping], timeout=STOPPED_WITHIN_S)
    if not stopping.done() or stopping.cancelled():
        stopping.cancel()
        await consumer._client.close()
    else:
        stopping.result()


async def _give_up_commits() -> None:
    """Cancels the commits that still wait for an answer.

    aiokafka shields them from the cancellation of its own caller: nobody would retrieve their errors when the
    connection is closed, and asyncio would log these with a traceback.
    """
    name = GroupCoordinator._do_commit_offsets.__qualname__
    commits = [task for task in asyncio.all_tasks() if getattr(task.get_coro(), "__qualname__", "") == name]
    for commit in commits:
        commit.cancel()
    await asyncio.gather(*commits, return_exceptions=True)
