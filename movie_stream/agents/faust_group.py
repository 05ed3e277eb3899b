"""The consumer group behind Faust's consumer; see group.py for the path of a commit."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from faust.types import TP

COMMITTED_WITHIN_S: Final = 0.5
"""The longest that leaving waits for the group's last commit."""


class FaustGroup:
    """The group as agents and watches see it, see agents.group.Group; `consumer` is a ChunkConsumer."""

    def __init__(self, consumer: Any) -> None:
        self._consumer = consumer
        self._committing: asyncio.Task[Any] | None = None
        self._uncommitted = False
        self.commit_tried = asyncio.Event()
        """Set after each attempted commit."""

    def commit_soon(self) -> None:
        """Starts a commit; if one is under way, another follows it with the positions finished meanwhile."""
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
        """Waits for a commit since the last call, for `within_s` seconds at most: others may commit too."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self.commit_tried.wait()
        self.commit_tried.clear()

    def end(self, topic: str, partition: int) -> int | None:
        tp = TP(topic, partition)
        return self._consumer.end(tp) if tp in self._consumer.assignment() else None

    def written(self, topic: str, partition: int) -> int | None:
        """The partition's high watermark as of the last fetch: beyond its end (the last stable offset) while a
        transaction is open.
        """
        tp = TP(topic, partition)
        return self._consumer.written(tp) if tp in self._consumer.assignment() else None

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        partitions = {TP(topic, partition)}
        (self._consumer.pause_partitions if paused else self._consumer.resume_partitions)(partitions)

    @property
    def waiting_s(self) -> float:
        """How long a rebalance has been under way, in seconds; 0 once this worker has its share, even an empty one."""
        waiting_s: float = self._consumer.waiting_s
        return waiting_s

    def refusal(self) -> BaseException | None:
        """Why the group refuses this member; None if it does not."""
        refusal: BaseException | None = self._consumer.refusal()
        return refusal
