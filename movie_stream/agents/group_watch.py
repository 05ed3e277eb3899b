"""Watches the consumer group: whether it accepts the worker, assigns it a share, and has only workers as members."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic
from typing import Final

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import InconsistentGroupProtocolError

from movie_stream.agents.faust_group import FaustGroup
from movie_stream.agents.owner import Owners, total_tally
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
"""The longest that an idle worker which ends at the end of its topics waits for partitions held by a stranger."""
STARVED_AFTER_S: Final = 60.0
"""If all members are alive, a rebalance is over by then: it is their rebalance timeout."""
STARVED_AT_MOST_S: Final = 180.0
"""The longest that a worker which ends at the end of its topics waits for its share of the partitions."""
LOGGED_AGAIN_AFTER_S: Final = 300.0
"""Seconds after which the warning about a missing share is repeated."""


class GroupWatch:
    """Checks the group as the broker describes it."""

    def __init__(
        self, settings: Settings, admin: AIOKafkaAdminClient, group: FaustGroup, owners: Owners, patience_s: float
    ) -> None:
        """Watches for one worker; `patience_s` is how long it waits for its share of the partitions."""
        self._settings, self._admin, self._group, self._owners = settings, admin, group, owners
        self._names, self._patience_s = Topics.of(settings), patience_s
        self._starved_after_s = STARVED_AFTER_S
        """The wait after which the missing share is logged next."""

    async def look(self) -> None:
        """Raises BrokerForbids or BrokerRefused when the group refuses us, WorkerFailed when no partitions are assigned
        for longer than this worker waits for them.
        """
        await self._check_refusal()
        await self._check_share()

    async def look_for_strangers(self, *, ends: bool) -> None:
        """Logs once which members of the group are not workers, for ever.

        Raises WorkerFailed if such a member keeps a worker that `ends` at the end of its topics from reaching it.
        """
        logged: list[members.Member] = []
        idle_s, before = monotonic(), total_tally(self._owners)
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            try:
                async with asyncio.timeout(ANSWER_WITHIN_S):
                    found = await self._strangers()
            except (BrokerRefused, BrokerUnreachable, TimeoutError):
                continue  # BrokerWatch deals with that
            if found and found != logged:
                logger.warning("%s; %s", members.complaint(self._settings, found), members.REMEDY)
            elif logged and not found:
                logger.info("in the group %s there are only workers now", self._settings.kafka_group)
            now = total_tally(self._owners)
            if not found or now != before:
                idle_s, before = monotonic(), now
            elif ends and monotonic() - idle_s > HELD_BY_OTHERS_AT_MOST_S:
                raise WorkerFailed(what=members.complaint(self._settings, found), remedy=members.REMEDY)
            logged = found

    async def _strangers(self) -> list[members.Member]:
        return members.strangers(self._names, await members.members_of(self._settings, self._admin))

    async def _check_refusal(self) -> None:
        """Raises the reason if the group refuses us; members that are not workers may be the cause."""
        refusal = self._group.refusal()
        if refusal is None:
            return
        joining = f"joining the group {self._settings.kafka_group}"
        if isinstance(refusal, InconsistentGroupProtocolError) and (found := await self._strangers()):
            cause = f"the others there share out partitions in another way; {members.complaint(self._settings, found)}"
            raise BrokerRefused(doing=joining, cause=cause, remedy=members.REMEDY) from refusal
        with client.explained(self._settings, joining):
            raise refusal

    async def _check_share(self) -> None:
        """Warns now and then that this worker is assigned no share of the partitions, if the broker answers; raises
        WorkerFailed after `patience_s`. More workers than partitions are no reason: they have an empty share.
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
            return  # BrokerWatch deals with that
        what = f"it has been given no partitions for {waiting_s:.0f} s"
        cause = f"the group {self._settings.kafka_group}: {group}; likely, {group.stuck_rebalance_cause}"
        if waiting_s >= self._patience_s:
            raise WorkerFailed(what=what, cause=cause, remedy=REMEDY)
        logger.warning("this worker waits: %s (%s); %s", what, cause, REMEDY)
        self._starved_after_s = waiting_s + LOGGED_AGAIN_AFTER_S
