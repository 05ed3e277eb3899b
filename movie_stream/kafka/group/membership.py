"""A consumer's membership in its group: who leads, how long it has waited for its share, and a fault of Tansu's mended.

Reaches into aiokafka's coordinator (pinned in pyproject.toml), whose requests and answers it sees.

While a group forms, Tansu 0.6 does not forget a leader that leaves, and everybody waits for it without end: each join
names it, each sync is refused until it has synced. Against it:

* A worker that may lead a group that forms does not tell it that it leaves. Its session runs out within 6 s, and then
  Tansu forgets it as it should. `leaving.py` asks `would_haunt` for that.
* That comes too late where the group begins to form at the very moment, and others leave as they like. So whoever is
  told a leader that was no member when it asked to join, and is none now, has Tansu take that leader for a member once
  more, by a join in its name that nobody goes on with: its session runs out, too.

Neither can do harm. A leader that lives is among the members, also if it is paused, and is left alone; the second is
done only where the broker says of the group what no other broker says; and a broker that has forgotten a member refuses
a join in its name.
"""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from aiokafka.protocol.admin import DescribeGroupsRequest
from aiokafka.protocol.group import JoinGroupRequest, SyncGroupRequest

from movie_stream.kafka.group.group_state import GroupState, state_of

logger = logging.getLogger(__name__)

ANSWERED_WITHIN_S: Final = 1.0
_APART: Final = 2
"""aiokafka has two connections to a broker, 0 and 1; a join, which may be answered late, holds up what comes after."""


class Membership:
    """That of a consumer that has been started and has not subscribed yet, since when it is watched."""

    def __init__(self, consumer: AIOKafkaConsumer) -> None:
        self.coordinator = consumer._coordinator
        self._client = consumer._client
        self._send = self.coordinator._send_req
        self.coordinator._send_req = self._sent
        self._leader: str | None = None
        """Whom the last join that was answered named; Tansu's leader is another only when that one is gone."""
        self._waiting_since_s: float | None = monotonic()

    @property
    def waiting_s(self) -> float:
        """How long no rebalance has come to its end, in seconds; 0 while this member has its share, if only of
        nothing.
        """
        since_s = self._waiting_since_s
        return 0.0 if since_s is None else monotonic() - since_s

    async def would_haunt(self) -> bool:
        """Whether the group would wait for this member without end if it were told that it leaves."""
        others = self._leader not in (None, self.coordinator.member_id)
        if others and self._waiting_since_s is None:
            return False
        now = await self._look()
        if now is None or not now.forming_under_a_leader:
            return False
        return not others or self._leader not in now.members

    async def _sent(self, request: Any) -> Any:
        """Sends a request of the coordinator's; what the broker answers. Raises what aiokafka raises."""
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
        """Makes a member of a leader that is gone, which ends with its session."""
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
        await self._soon(join, group=_APART)

    async def _look(self) -> GroupState | None:
        """The group as it is now, if the broker tells."""
        response = await self._soon(DescribeGroupsRequest([self.coordinator.group_id]))
        try:
            return None if response is None else state_of(response)
        except KafkaError as error:
            logger.debug("the broker does not tell how the group is: %r", error)
            return None

    async def _soon(self, request: Any, **options: Any) -> Any:
        """What the coordinator answers to a request by another connection than its own; None if not soon."""
        if self.coordinator.coordinator_id is None:
            return None
        try:
            async with asyncio.timeout(ANSWERED_WITHIN_S):
                return await self._client.send(self.coordinator.coordinator_id, request, **options)
        except (KafkaError, OSError, TimeoutError) as error:
            logger.debug("%s is not answered: %r", type(request).__name__, error)
            return None
