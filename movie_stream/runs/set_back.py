"""Whether Kafka and MongoDB are of one time: a backup of the one may have been restored without the other.

Documents are not written again by a checkpoint that says that they are; nor are the views of a topic that was set back
those that MongoDB has. So either would leave documents wrong, and nobody would notice. What is compared is never wrong
in a running deployment, since a mark is written to MongoDB before the checkpoint that says the same, and after the
records that it speaks of.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from time import monotonic
from typing import Final

from aiokafka import TopicPartition

from movie_stream.errors import MovieStreamError, WorkerFailed
from movie_stream.kafka import offsets
from movie_stream.kafka.cluster import client
from movie_stream.kafka.cluster.topics import Topics, Topology
from movie_stream.mongo import runs
from movie_stream.mongo.client import Database
from movie_stream.mongo.partials import PartialsStore
from movie_stream.mongo.runs import Run
from movie_stream.runs.claims import Standing
from movie_stream.runs.counted import Checkpoints
from movie_stream.settings import Settings
from movie_stream.tables.claim import Claim

ALL_KNOWN_WITHIN_S: Final = 10.0
"""A broker that has just become the leader may for a moment not know all that it has."""
_ASK_AGAIN_S: Final = 0.5


class DatabaseSetBack(MovieStreamError):
    """MongoDB has not what a checkpoint says that it has."""

    def __init__(self, *, database: str, what: str) -> None:
        super().__init__(
            f"the database {database} is older than the checkpoints in Kafka: {what}; was a backup restored? Restore "
            "one that is as new as the topics, or count the whole topic afresh with: movie-stream rebuild"
        )


class TopicsSetBack(WorkerFailed):
    """Kafka has not what was published from it."""

    def __init__(self, *, topic: str, partition: int, end: int, mark: int, database: str) -> None:
        super().__init__(
            what=f"{topic}, partition {partition}, ends at offset {end}, before {mark}, up to which it is published in "
            f"the database {database}: the broker has lost records, or an older backup of it was restored",
            remedy="restore a database as old as the topics, or count what they have afresh with: movie-stream rebuild",
        )


async def insist_on_newest_run(settings: Settings, db: Database, ours: Claim, found: Iterable[Standing]) -> None:
    """Raises DatabaseSetBack where one of our claims on the topics is of a later run than MongoDB has."""
    claimed = max((standing.claim.run for standing in found), default=0)
    if 0 < ours.run < claimed:
        ours = await runs.claim_of(db, settings.kafka_group)  # a rebuild may have begun meanwhile
        if ours.run < claimed:
            what = f"the topics are those of run {claimed}, and it is of run {ours.run}, which was before"
            raise DatabaseSetBack(database=db.name, what=what)


async def insist_on_one_time(
    settings: Settings, db: Database, topology: Topology, run: Run, all_known_within_s: float = ALL_KNOWN_WITHIN_S
) -> None:
    """Raises DatabaseSetBack or TopicsSetBack. Changes nothing."""
    names, store = Topics.of(settings), PartialsStore(db)
    partitions = range(topology.partitions[names.partials])
    async with client.reader(settings) as reader:
        checkpoints = Checkpoints(settings, reader, names.publish_changelog, len(partitions))
        cursors = await checkpoints.furthest(run.number)
        marks = await store.marks(partitions, run.number)  # after the cursors, and before the ends
        for partition, cursor in cursors.items():
            if cursor.marked and marks.get(partition, 0) < cursor.position:
                what = (
                    f"{names.partials}, partition {partition}, is published up to offset {cursor.position}, and here "
                    f"only up to {marks.get(partition, 0)}"
                )
                raise DatabaseSetBack(database=db.name, what=what)
        deadline_s = monotonic() + all_known_within_s
        places = [TopicPartition(names.partials, partition) for partition in marks]
        while marks:
            with client.explained(settings, f"asking where {names.partials} ends"):
                ends = await offsets.ends(reader, places)
            short = next((place for place, end in ends.items() if end < marks[place.partition]), None)
            if short is None:
                return
            if monotonic() > deadline_s:
                raise TopicsSetBack(
                    topic=short.topic,
                    partition=short.partition,
                    end=ends[short],
                    mark=marks[short.partition],
                    database=db.name,
                )
            await asyncio.sleep(_ASK_AGAIN_S)
