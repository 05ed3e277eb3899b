"""A member of a consumer group that sends the requests of a test, one by one, and none of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Self

from aiokafka.client import AIOKafkaClient, CoordinationType
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import MemberIdRequired, for_code
from aiokafka.protocol.group import HeartbeatRequest, JoinGroupRequest, LeaveGroupRequest, SyncGroupRequest

from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.kafka.fetch.transport import SESSION_TIMEOUT_MS
from movie_stream.settings import Settings

HEARTBEAT_EVERY_S = 1.0


class GroupMember:
    """It subscribes as a worker does; `connection` may be shared, but a broker answers its requests in turn."""

    def __init__(
        self, settings: Settings, connection: AIOKafkaClient, session_timeout_ms: int = SESSION_TIMEOUT_MS
    ) -> None:
        self._group, self._client, self._session_timeout_ms = settings.kafka_group, connection, session_timeout_ms
        names = Topics.of(settings)
        self._metadata = RoundRobinPartitionAssignor.metadata({names.events, names.partials}).encode()
        self.id, self.generation, self.leader = "", -1, ""

    async def _send(self, request: Any) -> Any:
        node = await client.coordinated(partial(self._client.coordinator_lookup, CoordinationType.GROUP, self._group))
        return await self._client.send(node, request)

    async def ask_for_id(self) -> Self:
        """The first of two joins: it makes a member, with which the group forms anew."""
        while for_code(code := await self.join()).retriable:  # noqa: ASYNC110  (the broker is not yet ready)
            await asyncio.sleep(0.1)
        assert code == MemberIdRequired.errno, for_code(code)
        return self

    async def join(self) -> int:
        """The error code of a join."""
        protocols = [(RoundRobinPartitionAssignor.name, self._metadata)]
        answer = await self._send(
            JoinGroupRequest(self._group, self._session_timeout_ms, 60_000, self.id, None, "consumer", protocols)
        )
        self.id = answer.member_id or self.id
        self.generation, self.leader = answer.generation_id, answer.leader_id
        return int(answer.error_code)

    async def lead(self) -> Self:
        """Joins a group that has no other members, and leads it; it shares out nothing yet."""
        await self.ask_for_id()
        assert await self.join() == 0
        assert self.leader == self.id
        return self

    async def share_out(self) -> None:
        """Takes an empty share, as the leader and only member."""
        answer = await self._send(
            SyncGroupRequest(self._group, self.generation, self.id, None, [(self.id, b"\0" * 10)])
        )
        assert answer.error_code == 0

    async def take_share(self) -> None:
        """Waits until the leader has shared out."""
        answer = await self._send(SyncGroupRequest(self._group, self.generation, self.id, None, []))
        assert answer.error_code == 0

    async def heartbeat(self) -> int:
        """The error code of a heartbeat: 0 as long as the group is in the generation of the last join."""
        answer = await self._send(HeartbeatRequest(self._group, self.generation, self.id))
        return int(answer.error_code)

    async def leave(self) -> None:
        """Tells the group that it leaves."""
        await self._send(LeaveGroupRequest(self._group, self.id))

    async def stay(self) -> None:
        """Says for ever that it is alive, whatever it is answered."""
        while True:
            await self.heartbeat()
            await asyncio.sleep(HEARTBEAT_EVERY_S)


@asynccontextmanager
async def connected(settings: Settings) -> AsyncIterator[AIOKafkaClient]:
    """A connection of its own, for the time of the block."""
    connection = AIOKafkaClient(**client.options(settings))
    try:
        await connection.bootstrap()
        yield connection
    finally:
        await connection.close()
