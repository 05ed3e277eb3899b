"""The consumer group behind Faust's consumer; see group.py for the way of a commit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from faust.types import TP

COMMITTED_WITHIN_S: Final = 0.5
"""The longest that leaving waits for the group's last commit."""


class FaustGroup:
    """What agents and watches need of the group, see agents.group.Group; `consumer` is a ChunkConsumer."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._committing: asyncio.Task[Any] | None = None
        self._uncommitted = False
        self.commit_tried = asyncio.Event()
        """Set after each commit that was tried."""

    def commit_soon(self) -> None:
        """Starts a commit; if one is under way, another one after it takes along what came meanwhile."""
        self._uncommitted = True
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit())

    async def _commit(self) -> None:
        while self._uncommitted:
            self._uncommitted = False
            await self._consumer.commit()
            self.commit_tried.set()

    async def settle(self) -> None:
        """Waits for the commit that is under way, for a bounded time."""
        if self._committing is not None:
            await asyncio.wait([self._committing], timeout=COMMITTED_WITHIN_S)

    async def next_commit(self, within_s: float) -> None:
        """Waits for a commit since the last call, for so long at most: others may commit too."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.commit_tried.wait()
        self.commit_tried.clear()

    def end(self, topic: str, partition: int) -> int | None:
        place = TP(topic, partition)
        return self._consumer.end(place) if place in self._consumer.assignment() else None

    def written(self, topic: str, partition: int) -> int | None:
        """Up to where it is written, as the last fetch told it: further than its end where a transaction is open."""
        place = TP(topic, partition)
        return self._consumer.written(place) if place in self._consumer.assignment() else None

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        place = {TP(topic, partition)}
        (self._consumer.pause_partitions if paused else self._consumer.resume_partitions)(place)

    @property
    def waiting_s(self) -> float:
        """How long it has not come to the end of a rebalance, in seconds; 0 once this worker has its share, if only of
        nothing.
        """
        waiting_s: float = self._consumer.waiting_s
        return waiting_s

    def refusal(self) -> BaseException | None:
        """Why it does not take us, if it does not."""
        refusal: BaseException | None = self._consumer.refusal()
        return refusal
