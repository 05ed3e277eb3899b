"""What a worker tells of itself: to MongoDB every few seconds, to the log, and to who asks for metrics."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from time import monotonic
from typing import Final

from movie_stream.agents.faust_group import FaustGroup
from movie_stream.agents.metrics import Figures, PartitionFigures
from movie_stream.agents.owner import Owners, done_by
from movie_stream.events.moment import datetime_of
from movie_stream.events.reasons import summed
from movie_stream.mongo import workers
from movie_stream.mongo.client import Database
from movie_stream.tables.table import State

logger = logging.getLogger(__name__)

REPORT_EVERY_S: Final = 5.0


class Reporter:
    """Asks the owners for what they have counted anyway."""

    def __init__(self, db: Database, group_name: str, run_number: int, group: FaustGroup, owners: Owners) -> None:
        self._group_name, self._run_number, self._group, self._owners = group_name, run_number, group, owners
        self._state: workers.WorkerState = "starting"
        self._heartbeat = workers.Heartbeat(db, self._standing)

    def turned(self, state: workers.WorkerState) -> None:
        """The worker is in another state now; one that stops stays so."""
        if self._state != "stopping":
            self._state = state
            self._heartbeat.beat_now()

    async def beat(self) -> None:
        """Tells MongoDB where the worker stands, for ever."""
        await self._heartbeat.beat_for_ever()

    async def end(self) -> None:
        """Tells MongoDB that the worker ends."""
        await self._heartbeat.end()

    async def report(self) -> None:
        """Says every few seconds how it goes, while there is something to do."""
        before, before_s, refused_before = done_by(self._owners), monotonic(), Counter[str]()
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            now, now_s = done_by(self._owners), monotonic()
            refused = now.refused_by_reason
            if now != before:
                logger.info("%s", now.since(before, now_s - before_s))
            if fresh := refused - refused_before:
                logger.warning("refused, see movie-stream dead-letters list: %s", summed(fresh))
            before, before_s, refused_before = now, now_s, refused

    async def figures(self) -> Figures:
        """What has been done, and where each partition stands."""
        return Figures(done_by(self._owners), self._partitions())

    def _partitions(self) -> tuple[PartitionFigures, ...]:
        return tuple(
            self._figures_of(topic, partition, owned.table.state)
            for topic, owner in self._owners.items()
            for partition, owned in owner.owned.items()
        )

    def _figures_of(self, topic: str, partition: int, state: State) -> PartitionFigures:
        end = self._group.end(topic, partition)
        lag = None if end is None else max(end - state.position, 0)
        return PartitionFigures(topic, partition, state.position, lag, state.watermark_ms)

    @property
    def _delay_ms(self) -> float | None:
        """From a view's Kafka timestamp to its documents in MongoDB: what each agent takes, one after the other.

        None where nothing was written of late, or where this worker is not the one that does both.
        """
        if not all(owner.owned for owner in self._owners.values()):
            return None
        known = [delay for owner in self._owners.values() if (delay := owner.delays.median_ms) is not None]
        return sum(known) if known else None

    def _standing(self) -> workers.Standing:
        done = done_by(self._owners)
        flushed = [owner.flushed_at for owner in self._owners.values() if owner.flushed_at is not None]
        return workers.Standing(
            self._group_name,
            self._state,
            self._run_number,
            max(flushed, default=None),
            tuple(
                workers.Holding(
                    of.topic,
                    of.partition,
                    of.position,
                    of.lag,
                    None if of.watermark_ms is None else datetime_of(of.watermark_ms),
                )
                for of in self._partitions()
            ),
            done.counted,
            done.refused_by_reason,
            self._delay_ms,
        )
