"""Owning partitions: their tables restored when they are assigned, flushed while they are held, dropped when they go."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from time import monotonic
from typing import Final, Generic

from movie_stream.chunk import Chunk
from movie_stream.errors import ChangelogError, WorkerFailed
from movie_stream.kafka.log import Broker, KafkaLog
from movie_stream.tables.checkpoint import BrokenChangelog
from movie_stream.tables.table import S, Table

logger = logging.getLogger(__name__)

LEAVE_WITHIN_S: Final = 3.0
"""The longest that the flush of a partition that goes may take; after it the state is dropped, which is safe."""

STALLED_AFTER_S: Final = 60.0
"""A partition with records to read that has not moved for this long ends the process."""


class Pace:
    """When the next flush is due: `base_s` apart when little is to do, and rarer where flushing costs much.

    >>> pace = Pace(base_s=0.25, at_most_s=5.0)
    >>> pace.flushed(now_s=10.0, cost_s=0.05)
    >>> pace.due_s
    10.5
    """

    SHARE: Final = 10
    """A flush may take about one part in so many of the time."""

    def __init__(self, base_s: float, at_most_s: float) -> None:
        self._base_s, self._at_most_s = base_s, at_most_s
        self.due_s = 0.0

    def flushed(self, now_s: float, cost_s: float) -> None:
        """Notes a flush that ended at `now_s` and held up everything else for `cost_s` seconds."""
        self.due_s = now_s + min(max(self._base_s, self.SHARE * cost_s), self._at_most_s)


@dataclass
class Owned(Generic[S]):
    """A partition in our hands."""

    table: Table[S]
    lock: asyncio.Lock
    flush: Pace
    checkpoint: Pace
    checkpointed: int
    """The position of the last checkpoint that counts."""
    moved_at_s: float
    """When the position moved last, by the monotonic clock."""


class Owner(ABC, Generic[S]):
    """The partitions of one topic that this worker owns. `finished` is what the group may be told of each."""

    topic: str
    changelog: str

    def __init__(self, broker: Broker, run: str, commit: Callable[[], object]) -> None:
        self._broker, self._run, self._commit = broker, run, commit
        self.owned: dict[int, Owned[S]] = {}
        self.finished: dict[int, int] = {}
        self.applied = 0
        """Records applied since the start of the process."""

    @abstractmethod
    def new_state(self, partition: int) -> S:
        """An empty state."""

    @abstractmethod
    async def flush(self, partition: int, owned: Owned[S], checkpoint: bool) -> float:
        """Writes what changed, by the order of a flush; returns the seconds for which everything else stood still."""

    @abstractmethod
    def receive(self, owned: Owned[S], chunk: Chunk) -> None:
        """Applies a chunk to a state."""

    def idle(self, owned: Owned[S]) -> bool:
        """Whether a flush would have nothing to write."""
        return owned.table.state.position == owned.checkpointed

    async def restore(self, partition: int) -> Table[S]:
        """The table of a partition that was assigned, as its changelog has it."""
        table = Table(self.new_state(partition), KafkaLog(self._broker, self.changelog, partition), self._run)
        try:
            await table.restore()
        except BrokenChangelog as error:
            raise ChangelogError(
                topic=self.changelog, partition=partition, expected="checkpoints", got=str(error)
            ) from error
        return table

    def take(self, partition: int, table: Table[S], oldest: int, end: int) -> int:
        """Owns a restored partition; where to go on. `oldest` and `end` are what the topic held after the restore."""
        state = table.state
        checkpointed = state.position
        if state.position > end:
            raise WorkerFailed(
                what=f"{self.topic}, partition {partition}, ends at offset {end}, before {state.position}, up to which "
                "it has been counted",
                remedy="if the topic was made anew, count it afresh with: movie-stream rebuild",
            )
        if state.position < oldest:
            if state.position:
                logger.error(
                    "%s, partition %s: the records from %s to before %s were deleted before they were counted; "
                    "their views are missing in all results",
                    *(self.topic, partition, state.position, oldest),
                )
            state.position = oldest
        self.owned[partition] = Owned(
            table, asyncio.Lock(), Pace(0.25, 5.0), Pace(0.5, 10.0), checkpointed, monotonic()
        )
        self.finished[partition] = checkpointed
        logger.info("%s, partition %s: goes on at offset %s", self.topic, partition, state.position)
        return state.position

    def apply(self, chunk: Chunk) -> None:
        """Applies a chunk, if its partition is (still) ours."""
        owned = self.owned.get(chunk.partition)
        if owned is not None:
            self.receive(owned, chunk)
            owned.moved_at_s = monotonic()
            self.applied += len(chunk)

    async def flush_for_ever(self) -> None:
        """Flushes every partition when it is due."""
        while True:
            for partition, owned in list(self.owned.items()):
                await self._flush_if_due(partition, owned)
            now = monotonic()
            due = min((owned.flush.due_s for owned in self.owned.values()), default=now)
            await asyncio.sleep(min(max(due - now, 0.01), 0.1))

    async def _flush_if_due(self, partition: int, owned: Owned[S]) -> None:
        if monotonic() < owned.flush.due_s or self.idle(owned):
            return
        async with owned.lock:
            if self.owned.get(partition) is owned:
                await self._flush(partition, owned, checkpoint=monotonic() >= owned.checkpoint.due_s)

    async def _flush(self, partition: int, owned: Owned[S], checkpoint: bool) -> None:
        cost_s = await self.flush(partition, owned, checkpoint)
        owned.flush.flushed(monotonic(), cost_s)
        if checkpoint:
            owned.checkpoint.flushed(monotonic(), cost_s)

    async def leave(self, partitions: Iterable[int]) -> None:
        """Flushes partitions that go, for a bounded time, and drops their state."""
        going = [(p, self.owned[p]) for p in partitions if p in self.owned]
        try:
            async with asyncio.timeout(LEAVE_WITHIN_S):
                for partition, owned in going:
                    async with owned.lock:
                        if not self.idle(owned):
                            await self._flush(partition, owned, checkpoint=True)
        except TimeoutError:
            logger.warning("%s: leaves without a last checkpoint; the next owner does the rest again", self.topic)
        for partition, _ in going:
            del self.owned[partition]
            self.finished.pop(partition, None)

    def stalled(self, highwater: Callable[[int], int | None]) -> int | None:
        """A partition that has records to read but has not moved for too long; None is as it should be."""
        for partition, owned in self.owned.items():
            end = highwater(partition)
            if end is not None and owned.table.state.position < end:
                if monotonic() - owned.moved_at_s > STALLED_AFTER_S:
                    return partition
            else:
                owned.moved_at_s = monotonic()
        return None
