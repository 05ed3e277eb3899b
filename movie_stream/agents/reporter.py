"""A worker's reports on itself: heartbeats to MongoDB every few seconds, lines in the log, and metrics."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from time import monotonic
from typing import Final

from movie_stream.agents.owner import Owners, total_tally
from movie_stream.events.reasons import summed
from movie_stream.events.timestamps import datetime_of
from movie_stream.metrics import catalogue
from movie_stream.metrics.values import Values
from movie_stream.mongo import workers
from movie_stream.mongo.client import Database

logger = logging.getLogger(__name__)

REPORT_EVERY_S: Final = 5.0


class Reporter:
    """Reports the counts that the owners keep."""

    def __init__(self, db: Database, group_name: str, run_number: int, owners: Owners, rules: str) -> None:
        self._group_name, self._run_number, self._owners = group_name, run_number, owners
        self._rules = rules
        self.rebalances = 0
        """How often the worker was given its share of the partitions, since the start of the process."""
        self._state: workers.WorkerState = "starting"
        self._heartbeat = workers.Heartbeat(db, self._heartbeat_body)

    def set_state(self, state: workers.WorkerState) -> None:
        """Notes the worker's new state; "stopping" is final."""
        if self._state != "stopping":
            self._state = state
            self._heartbeat.send_now()

    @property
    def stopping(self) -> bool:
        """Whether the worker ends."""
        return self._state == "stopping"

    @property
    def mongodb_silence_s(self) -> float:
        """Seconds since MongoDB acknowledged a heartbeat; infinite before the first."""
        return self._heartbeat.silence_s

    async def beat(self) -> None:
        """Writes heartbeats with the worker's state to MongoDB, for ever."""
        await self._heartbeat.run()

    async def end(self) -> None:
        """Records in MongoDB that the worker ends."""
        await self._heartbeat.end()

    async def report(self) -> None:
        """Logs the progress every few seconds, while there is something to do."""
        before, before_s, refused_before = total_tally(self._owners), monotonic(), Counter[str]()
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            now, now_s = total_tally(self._owners), monotonic()
            refused = now.refused_by_reason
            if now != before:
                logger.info("%s", now.since(before, now_s - before_s))
            if new := refused - refused_before:
                logger.warning("refused, see movie-stream dead-letters list: %s", summed(new))
            before, before_s, refused_before = now, now_s, refused

    def values(self) -> Values:
        """The metrics exported to Prometheus: what has been done, and the state of each partition."""
        values = Values()
        for owner in self._owners.values():
            owner.export(values)
        values.set(catalogue.REBALANCES, self.rebalances)
        values.set(catalogue.RUN, self._run_number / 1_000)
        return values

    def _holdings(self) -> tuple[workers.OwnedPartition, ...]:
        return tuple(
            workers.OwnedPartition(
                topic,
                partition,
                (state := owned.table.state).position,
                owner.lag(partition, state),
                None if state.watermark_ms is None else datetime_of(state.watermark_ms),
            )
            for topic, owner in self._owners.items()
            for partition, owned in owner.owned.items()
        )

    def _heartbeat_body(self) -> workers.WorkerStatus:
        done = total_tally(self._owners)
        flushed = [owner.flushed_at for owner in self._owners.values() if owner.flushed_at is not None]
        return workers.WorkerStatus(
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
