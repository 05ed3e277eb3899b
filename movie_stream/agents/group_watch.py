"""Watches the consumer group: whether it takes the worker, gives it a share, and has none but workers in it."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import InconsistentGroupProtocolError

from movie_stream.agents.faust_group import FaustGroup
from movie_stream.agents.owner import Owners, done_by
from movie_stream.errors import BrokerRefused, BrokerUnreachable, WorkerFailed
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.kafka.group import members
from movie_stream.kafka.group.group_state import REMEDY, describe_group
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 5.0
ANSWER_WITHIN_S: Final = 10.0
HELD_BY_OTHERS_AT_MOST_S: Final = 8.0
"""A worker that is to end at the end, and has nothing to do, waits so long for what a stranger in the group holds."""
STARVED_AFTER_S: Final = 60.0
"""Where all members live, a rebalance is over by then: it is their rebalance timeout."""
STARVED_AT_MOST_S: Final = 180.0
"""The longest that a worker waits for its share of the partitions if it is to end at the end."""
SAID_AGAIN_AFTER_S: Final = 300.0


class GroupWatch:
    """Looks at the group as the broker describes it."""

    def __init__(
        self, settings: Settings, admin: AIOKafkaAdminClient, group: FaustGroup, owners: Owners, patience_s: float
    ) -> None:
        """`patience_s`: how long the worker waits for its share of the partitions."""
        self._settings, self._admin, self._group, self._owners = settings, admin, group, owners
        self._names, self._patience_s = Topics.of(settings), patience_s
        self._starved_after_s = STARVED_AFTER_S
        """After how long a wait it is said that there is no share."""

    async def look(self) -> None:
        """Raises BrokerForbids or BrokerRefused when the group does not take us, WorkerFailed when no partitions come
        for longer than this worker waits for them.
        """
        await self._look_at_refusal()
        await self._look_at_share()

    async def look_for_strangers(self, *, ends: bool) -> None:
        """Names once who is in the group without being a worker, for ever.

        Raises WorkerFailed where such a one keeps a worker that `ends` at the end from it.
        """
        named: list[members.Member] = []
        idle_s, before = monotonic(), done_by(self._owners)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    found = await self._strangers()
            except (BrokerRefused, BrokerUnreachable, TimeoutError):
                continue  # the watch over the broker deals with that
            if found and found != named:
                logger.warning("%s; %s", members.complaint(self._settings, found), members.REMEDY)
            elif named and not found:
                logger.info("in the group %s there are only workers now", self._settings.kafka_group)
            now = done_by(self._owners)
            if not found or now != before:
                idle_s, before = monotonic(), now
            elif ends and monotonic() - idle_s > HELD_BY_OTHERS_AT_MOST_S:
                raise WorkerFailed(what=members.complaint(self._settings, found), remedy=members.REMEDY)
            named = found

    async def _strangers(self) -> list[members.Member]:
        return members.strangers(self._names, await members.members_of(self._settings, self._admin))

    async def _look_at_refusal(self) -> None:
        """Raises why the group does not take us, if it does not; whoever is no worker there may be the cause."""
        refusal = self._group.refusal()
        if refusal is None:
            return
        joining = f"joining the group {self._settings.kafka_group}"
        if isinstance(refusal, InconsistentGroupProtocolError) and (found := await self._strangers()):
            cause = f"the others there share out partitions in another way; {members.complaint(self._settings, found)}"
            raise BrokerRefused(doing=joining, cause=cause, remedy=members.REMEDY) from refusal
        with client.explained(self._settings, joining):
            raise refusal

    async def _look_at_share(self) -> None:
        """Says now and then that this worker is given no share of the partitions, if the broker answers; raises
        WorkerFailed at the end of its patience. More workers than partitions are no reason: their share is nothing.
        """
        waiting_s = self._group.waiting_s
        if waiting_s < STARVED_AFTER_S:
            self._starved_after_s = STARVED_AFTER_S
        if waiting_s < min(self._starved_after_s, self._patience_s):
            return
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                group = await describe_group(self._settings, self._admin)
        except (BrokerRefused, BrokerUnreachable, TimeoutError):
            return  # the watch over the broker deals with that
        what = f"it has been given no partitions for {waiting_s:.0f} s"
        cause = f"the group {self._settings.kafka_group}: {group}; likely, {group.why_nothing_is_shared_out}"
        if waiting_s >= self._patience_s:
            raise WorkerFailed(what=what, cause=cause, remedy=REMEDY)
        logger.warning("this worker waits: %s (%s); %s", what, cause, REMEDY)
        self._starved_after_s = waiting_s + SAID_AGAIN_AFTER_S
