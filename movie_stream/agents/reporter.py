"""What a worker tells of itself: to MongoDB every few seconds, to the log, and to who asks for metrics."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from time import monotonic
from typing import Final

from movie_stream.agents.owner import Owners, done_by
from movie_stream.events.moment import datetime_of
from movie_stream.events.reasons import summed
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.mongo import workers
from movie_stream.mongo.client import Database

logger = logging.getLogger(__name__)

REPORT_EVERY_S: Final = 5.0


class Reporter:
    """Asks the owners for what they have counted anyway."""

    def __init__(self, db: Database, group_name: str, run_number: int, owners: Owners, rules: str) -> None:
        self._group_name, self._run_number, self._owners = group_name, run_number, owners
        self._rules = rules
        self.rebalances = 0
        """How often the worker was given its share of the partitions, since the start of the process."""
        self._state: workers.WorkerState = "starting"
        self._heartbeat = workers.Heartbeat(db, self._standing)

    def turned(self, state: workers.WorkerState) -> None:
        """The worker is in another state now; one that stops stays so."""
        if self._state != "stopping":
            self._state = state
            self._heartbeat.beat_now()

    @property
    def stopping(self) -> bool:
        """Whether the worker ends."""
        return self._state == "stopping"

    @property
    def mongodb_silence_s(self) -> float:
        """Seconds since MongoDB took a heartbeat; for ever before the first."""
        return self._heartbeat.silence_s

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

    def values(self) -> Values:
        """What Prometheus is told: what has been done, and where each partition stands."""
        values = Values()
        for owner in self._owners.values():
            owner.tell(values)
        values.set(catalogue.REBALANCES, self.rebalances)
        values.set(catalogue.RUN, self._run_number / 1_000)
        return values

    def _holdings(self) -> tuple[workers.Holding, ...]:
        return tuple(
            workers.Holding(
                topic,
                partition,
                (state := owned.table.state).position,
                owner.lag(partition, state),
                None if state.watermark_ms is None else datetime_of(state.watermark_ms),
            )
            for topic, owner in self._owners.items()
            for partition, owned in owner.owned.items()
        )

    def _standing(self) -> workers.Standing:
        done = done_by(self._owners)
        flushed = [owner.flushed_at for owner in self._owners.values() if owner.flushed_at is not None]
        return workers.Standing(
            self._group_name,
            self._state,
            self._run_number,
            max(flushed, default=None),
            self._holdings(),
            done.counted,
            done.refused_by_reason,
            next((delay for owner in self._owners.values() if (delay := owner.delay_ms) is not None), None),
            self._rules,
        )
