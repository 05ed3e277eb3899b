"""How a worker takes over assigned partitions: with the states that it kept of them, or restored from their changelogs.

Those whose states are in memory go on at once. The others follow when they are restored, and hold up none of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Mapping
from time import monotonic
from typing import Any, Final

from aiokafka import AIOKafkaConsumer, TopicPartition
from faust.types import TP

from movie_stream.agents.owner import Owners
from movie_stream.agents.startup import Connections
from movie_stream.errors import LogTruncated
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.mongo import runs
from movie_stream.mongo.failures import MongoAway, MongoFailed
from movie_stream.runs.set_back import marks_of, require_marks_within_ends
from movie_stream.settings import Settings
from movie_stream.tables.table import Table

logger = logging.getLogger(__name__)

ALL_KNOWN_WITHIN_S: Final = 10.0
"""The longest that a rebalance waits for a new leader to know its ends. Less than at the start, see runs/set_back.py:
the whole group stands still.
"""
ASK_AGAIN_S: Final = 0.5
MARKS_WITHIN_S: Final = 3.0
"""The longest that a rebalance waits for the marks in MongoDB."""

Tables = Mapping[TP, Table[Any]]


class Takeover:
    """Takes over partitions for the owners of one worker."""

    def __init__(self, settings: Settings, connections: Connections, owners: Owners) -> None:
        self._settings, self._connections, self._owners = settings, connections, owners

    async def resume(self, assigned: Collection[TP]) -> dict[TP, int]:
        """Takes over those of the assigned partitions whose kept states may go on; returns the offsets to resume at.
        States of partitions that are not assigned are forgotten.
        """
        for topic, owner in self._owners.items():
            owner.drop_all()
            owner.forget_others([tp.partition for tp in assigned if tp.topic == topic])
        kept = {tp: self._owners[tp.topic].kept.get(tp.partition) for tp in sorted(assigned)}
        tables = {tp: table for tp, table in kept.items() if table is not None}
        if not tables:
            return {}
        changelogs = {tp: TopicPartition(self._owners[tp.topic].changelog, tp.partition) for tp in tables}
        async with client.reader(self._settings) as reader:
            oldest = await self._oldest(reader, tables)
            marks = await self._marks(tables)
            ends = await self._ends(reader, tables, marks, [*changelogs.values()])
        resumed = await asyncio.gather(
            *(self._owners[tp.topic].resume(tp.partition, ends[changelogs[tp]]) for tp in tables)
        )
        may_go_on = {tp: table for tp, table in zip(tables, resumed, strict=True) if table is not None}
        return await self._take(may_go_on, oldest, marks, ends)

    async def restore(self, assigned: Collection[TP]) -> dict[TP, int]:
        """Takes over partitions whose states have to be restored; returns the offsets to resume at."""
        tps = sorted(assigned)
        async with client.reader(self._settings) as reader:
            oldest = await self._oldest(reader, tps)
            restored = await asyncio.gather(*(self._owners[tp.topic].restore(tp.partition) for tp in tps))
            tables = dict(zip(tps, restored, strict=True))
            marks = await self._marks(tables)  # after checkpoints, and before the ends
            ends = await self._ends(reader, tables, marks)
        return await self._take(tables, oldest, marks, ends)

    async def _oldest(self, reader: AIOKafkaConsumer, tps: Collection[TP]) -> offsets.Offsets:
        """Where the partitions begin, taken before their tables are: an owner that still runs deletes finished records,
        but not before the checkpoint that covers them counts.
        """
        with client.explained(self._settings, "asking for offsets"):
            return await offsets.beginnings(reader, [TopicPartition(*tp) for tp in tps])

    async def _take(
        self, tables: Tables, oldest: offsets.Offsets, marks: offsets.Offsets, ends: offsets.Offsets
    ) -> dict[TP, int]:
        """Takes ownership. No position is past these ends, which are newer than it."""
        require_marks_within_ends(marks, ends, self._connections.db)
        try:
            return {
                tp: self._owners[tp.topic].take(
                    tp.partition, table, oldest[TopicPartition(*tp)], ends[TopicPartition(*tp)]
                )
                for tp, table in tables.items()
            }
        except LogTruncated as error:  # it would go unnoticed once new records have filled the log
            await runs.invalidate(self._connections.db, self._connections.run, self._settings.kafka_group, str(error))
            raise

    async def _marks(self, tables: Tables) -> offsets.Offsets:
        """The offsets up to which MongoDB records `movie-partials` as published, of all partitions, whoever owns them:
        new views would soon fill one that was set back. Empty if MongoDB does not answer: no rebalance waits for it.

        Raises DatabaseSetBack if one is behind the checkpoints of these tables.
        """
        connected, topic = self._connections, self._connections.context.topics.partials
        saved = {tp.partition: table.marked for tp, table in tables.items() if tp.topic == topic}
        marked = {partition: position for partition, position in saved.items() if position is not None}
        partitions = connected.context.topology.partitions[topic]
        try:
            async with asyncio.timeout(MARKS_WITHIN_S):
                return dict(await marks_of(self._settings, connected.db, connected.run, partitions, marked))
        except (MongoAway, MongoFailed, TimeoutError) as error:
            why = str(error) or f"no answer within {MARKS_WITHIN_S:.0f} s"
            logger.warning("continues without checking whether Kafka was set back: MongoDB does not answer (%s)", why)
            return {}

    async def _ends(
        self,
        reader: AIOKafkaConsumer,
        tables: Tables,
        marks: offsets.Offsets,
        others: Collection[TopicPartition] = (),
    ) -> offsets.Offsets:
        """The ends of the partitions with tables or marks, and of `others`. They are asked again while one is below its
        table or mark, for a bounded time: a broker that has just become the leader may not yet know its high watermark.
        """
        reached = {TopicPartition(*tp): table.state.position for tp, table in tables.items()}
        at_least = {tp: max(reached.get(tp, 0), marks.get(tp, 0)) for tp in {*reached, *marks, *others}}
        deadline_s = monotonic() + ALL_KNOWN_WITHIN_S
        while True:
            with client.explained(self._settings, "asking for offsets"):
                ends = await offsets.ends(reader, list(at_least))
            if monotonic() > deadline_s or all(ends[tp] >= position for tp, position in at_least.items()):
                return ends
            await asyncio.sleep(ASK_AGAIN_S)
