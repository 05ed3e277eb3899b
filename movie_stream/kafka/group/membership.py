"""A consumer's membership in its group: the leader, the wait for an assignment, commits, and a workaround for a bug of
Tansu.

It reaches into aiokafka's coordinator (pinned in pyproject.toml) to see its requests and answers.

From a request to join until the answer to the sync, no commit is sent. Kafka would refuse it: it answers it after the
join, when the generation of the commit is over or the one after it is not complete. aiokafka takes the refusal for the
loss of its membership. It drops the member's id, without which a leader cannot share out the partitions, and joins once
more after the sync, which begins the next rebalance for all the others; their commits are refused in turn. Kafka's own
client tells such a refusal from a loss. A commit that was sent before the join is answered before it.

While a group forms, Tansu 0.6 does not forget a leader that leaves, and all members wait for it forever: each answer to
a join names it, and each sync is refused until it has synced. Two measures help:

* A worker that may lead a forming group sends no request to leave. Its session expires within 6 s, and then Tansu
  forgets it as it should. `leaving.py` calls `would_block_group` for that.
* That fails if the group begins to form at the same time, or if another program leaves. So if the answer to a worker's
  join names a leader that was not a member before the join, and is not one after it, the worker makes that leader a
  member again, by a join in its name that is never completed: its session expires, too.

Neither does harm. A live leader is among the members, even if paused, and is left alone; the second measure is only
taken if the group has a state that no other broker has; and a broker that has forgotten a member refuses a join in its
name.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError, RebalanceInProgressError
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from movie_stream.kafka.group.group_state import GroupState, state_of

logger = logging.getLogger(__name__)

ANSWERED_WITHIN_S: Final = 1.0
_OWN_CONNECTION: Final = 2
"""aiokafka uses the connections 0 and 1 of a broker; a join, which may be answered late, blocks later requests."""


class Membership:
    """Watches a consumer that is started and has not subscribed yet."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.coordinator = consumer._coordinator
        self._client = consumer._client
        self._send = self.coordinator._send_req
        self.coordinator._send_req = self._sent
        self._leader: str | None = None
        """The leader in the answer to the last join; Tansu's leader is another only if that one is gone."""
        self._waiting_since_s: float | None = monotonic()

    @property
    def waiting_s(self) -> float:
        """Seconds that this member has waited for an assignment; 0 while it has one, even an empty one."""
        since_s = self._waiting_since_s
        return 0.0 if since_s is None else monotonic() - since_s

    async def would_block_group(self) -> bool:
        """Whether the group would wait for this member forever after a request to leave."""
        others = self._leader not in (None, self.coordinator.member_id)
        if others and self._waiting_since_s is None:
            return False
        now = await self._look()
        if now is None or not now.forming_under_a_leader:
            return False
        return not others or self._leader not in now.members

    async def _sent(self, request: Any) -> Any:
        """Sends a request of the coordinator; returns the answer. Raises aiokafka's errors; of a commit that comes in
        a rebalance RebalanceInProgressError, which aiokafka makes a CommitFailedError.
        """
        if isinstance(request, OffsetCommitRequest) and self._waiting_since_s is not None:
            raise RebalanceInProgressError(self.coordinator.group_id)
        if isinstance(request, JoinGroupRequest):
            return await self._join(request)
        response = await self._send(request)
        if isinstance(request, SyncGroupRequest) and not response.error_code:
            self._waiting_since_s = None
        return response

    async def _join(self, request: JoinGroupRequest) -> Any:
        if self._waiting_since_s is None:
            self._waiting_since_s = monotonic()
        before = await self._look() if self.coordinator.member_id else None
        response = await self._send(request)
        if response.error_code:
            return response
        self._leader = leader = response.leader_id
        if before is not None and leader not in before.members | {response.member_id}:
            now = await self._look()
            if now is not None and now.forming_under_a_leader and leader not in now.members:
                await self._let_expire(leader, request)
        return response

    async def _let_expire(self, ghost: str, request: JoinGroupRequest) -> None:
        """Makes a leader that has left a member again, until its session expires."""
        logger.info("the group waits for a leader that has left, %s; it is given up within some seconds", ghost)
        coordinator = self.coordinator
        join = JoinGroupRequest(
            coordinator.group_id,
            coordinator._session_timeout_ms,
            coordinator._rebalance_timeout_ms,
            ghost,
            None,
            request._protocol_type,
            request._group_protocols,
        )
        await self._answer(join, group=_OWN_CONNECTION)

    async def _look(self) -> GroupState | None:
        """The present state of the group, if the broker answers."""
        response = await self._answer(DescribeGroupsRequest([self.coordinator.group_id]))
        try:
            return None if response is None else state_of(response)
        except KafkaError as error:
            logger.debug("the broker does not describe the group: %r", error)
            return None

    async def _answer(self, request: Any, **options: Any) -> Any:
        """The answer to a request on another connection than the coordinator's own; None if it takes too long."""
        if self.coordinator.coordinator_id is None:
            return None
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                return await self._client.send(self.coordinator.coordinator_id, request, **options)
        except (KafkaError, OSError, TimeoutError) as error:
            logger.debug("%s is not answered: %r", type(request).__name__, error)
            return None
