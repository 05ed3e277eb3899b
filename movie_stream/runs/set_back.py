"""Whether Kafka and MongoDB are of the same time: a backup of the one may have been restored without the other.

Documents are not rewritten after a restart if a checkpoint records them as written. A topic that was set back no longer
has the views that MongoDB has counted. Either would leave documents wrong, unnoticed. The comparison raises no false
alarm in a running deployment: a mark is written to MongoDB before the checkpoint with the same position, and after the
records below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
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
from movie_stream.runs.claims import PlacedClaim
from movie_stream.runs.counted import Checkpoints
from movie_stream.settings import Settings
from movie_stream.tables.checkpoint import Cursor
from movie_stream.tables.claim import Claim

ALL_KNOWN_WITHIN_S: Final = 40.0
"""A broker that has just become the leader may not yet know its high watermark: it waits until the other in-sync
replicas have fetched from it, or are removed from the in-sync set, which Kafka does after 30 s.
"""
_ASK_AGAIN_S: Final = 0.5


class DatabaseSetBack(MovieStreamError):
    """MongoDB lacks documents that a checkpoint records as written.

    What to do: restore a database as new as the topics, by docs/how-to/backup.md, or rebuild.

    >>> print(DatabaseSetBack(database="movies_db", what="it has no run 3"))
    the database movies_db is older than the checkpoints in Kafka: it has no run 3; was a backup restored? Restore one \
that is as new as the topics, or count the whole topic afresh with: movie-stream rebuild
    """

    def __init__(self, *, database: str, what: str) -> None:
        super().__init__(
            f"the database {database} is older than the checkpoints in Kafka: {what}; was a backup restored? Restore "
            "one that is as new as the topics, or count the whole topic afresh with: movie-stream rebuild"
        )


class CheckpointsLost(WorkerFailed):
    """Kafka has lost both the checkpoint that covers some partials, and these partials.

    What to do: restore Kafka and MongoDB of one time, by docs/how-to/backup.md, or rebuild.

    >>> print(CheckpointsLost(
    ...     changelog="movie-analytics-consumer-publish-changelog",
    ...     partition=0,
    ...     topic="movie-partials",
    ...     start=50,
    ...     position=20
    ... ))
    the worker stops: movie-analytics-consumer-publish-changelog, partition 0, has checkpoints up to offset 20 of \
movie-partials, which begins at 50: the broker has lost records; restore Kafka and MongoDB of one time, or count \
afresh with: movie-stream rebuild
    """

    def __init__(self, *, changelog: str, partition: int, topic: str, start: int, position: int) -> None:
        super().__init__(
            what=f"{changelog}, partition {partition}, has checkpoints up to offset {position} of {topic}, which "
            f"begins at {start}: the broker has lost records",
            remedy="restore Kafka and MongoDB of one time, or count afresh with: movie-stream rebuild",
        )


class TopicsSetBack(WorkerFailed):
    """Kafka lacks records that were published from it.

    What to do: restore a database as old as the topics, by docs/how-to/backup.md, or rebuild.

    >>> print(TopicsSetBack(topic="movie-events", partition=0, end=100, mark=250, database="movies_db"))
    the worker stops: movie-events, partition 0, ends at offset 100, before 250, up to which it is published in the \
database movies_db: the broker has lost records, or an older backup of it was restored; restore a database as old as \
the topics, or count what they have afresh with: movie-stream rebuild
    """

    def __init__(self, *, topic: str, partition: int, end: int, mark: int, database: str) -> None:
        super().__init__(
            what=f"{topic}, partition {partition}, ends at offset {end}, before {mark}, up to which it is published in "
            f"the database {database}: the broker has lost records, or an older backup of it was restored",
            remedy="restore a database as old as the topics, or count what they have afresh with: movie-stream rebuild",
        )


async def require_newest_run(settings: Settings, db: Database, ours: Claim, found: Iterable[PlacedClaim]) -> None:
    """Raises DatabaseSetBack if one of our claims on the topics is of a later run than MongoDB has."""
    claimed = max((placed.claim.run for placed in found), default=0)
    if 0 < ours.run < claimed:
        ours = await runs.claim_of(db, settings.kafka_group)  # a rebuild may have begun meanwhile
        if ours.run < claimed:
            what = f"the topics are those of run {claimed}, and it is of run {ours.run}, which was before"
            raise DatabaseSetBack(database=db.name, what=what)


async def require_same_time(
    settings: Settings, db: Database, topology: Topology, run: Run, all_known_within_s: float = ALL_KNOWN_WITHIN_S
) -> None:
    """Checks that Kafka and MongoDB are of the same time; changes nothing.

    Raises DatabaseSetBack, CheckpointsLost or TopicsSetBack.
    """
    names = Topics.of(settings)
    partitions = topology.partitions[names.partials]
    async with client.reader(settings) as reader:
        with client.explained(settings, f"asking where {names.partials} begins"):  # before the cursors: deleted after
            tps = [TopicPartition(names.partials, partition) for partition in range(partitions)]
            starts = await offsets.beginnings(reader, tps)
        checkpoints = Checkpoints(settings, reader, names.publish_changelog, partitions)
        cursors = await checkpoints.furthest(run.number)
        marked = {partition: cursor.position for partition, cursor in cursors.items() if cursor.marked}
        marks = await marks_of(settings, db, run, partitions, marked)  # after the cursors, and before the ends
        for tp in {tp for tp in marks if starts[tp] > _position(cursors.get(tp.partition))}:
            if tp.partition in await PartialsStore(db).counting([tp.partition], run.number):
                raise CheckpointsLost(
                    changelog=names.publish_changelog,
                    partition=tp.partition,
                    topic=tp.topic,
                    start=starts[tp],
                    position=_position(cursors.get(tp.partition)),
                )
        deadline_s = monotonic() + all_known_within_s
        while marks:
            with client.explained(settings, f"asking where {names.partials} ends"):
                ends = await offsets.ends(reader, list(marks))
            try:
                require_marks_within_ends(marks, ends, db)
            except TopicsSetBack:
                if monotonic() > deadline_s:
                    raise
            else:
                return
            await asyncio.sleep(_ASK_AGAIN_S)


def _position(cursor: Cursor | None) -> int:
    return 0 if cursor is None else cursor.position


async def marks_of(
    settings: Settings, db: Database, run: Run, partitions: int, said: Mapping[int, int]
) -> dict[TopicPartition, int]:
    """The marks in MongoDB: the offsets up to which partitions of `movie-partials` are published, for those with one.

    Raises DatabaseSetBack if a mark is behind the position in `said` of a checkpoint that was read before.
    """
    topic = Topics.of(settings).partials
    marks = await PartialsStore(db).marks(range(partitions), run.number)
    behind = next((partition for partition, position in said.items() if marks.get(partition, 0) < position), None)
    if behind is not None:
        now = await runs.current(db, settings.kafka_group)
        if now is not None and now.number > run.number:
            return {}  # a rebuild has begun meanwhile, and has deleted them
        what = (
            f"{topic}, partition {behind}, is published up to offset {said[behind]}, and here only up to "
            f"{marks.get(behind, 0)}"
        )
        raise DatabaseSetBack(database=db.name, what=what)
    return {TopicPartition(topic, partition): mark for partition, mark in marks.items()}


def require_marks_within_ends(
    marks: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int], db: Database
) -> None:
    """Raises TopicsSetBack if a partition ends before its mark; the marks must be read before the ends."""
    for tp, mark in marks.items():
        if ends[tp] < mark:
            raise TopicsSetBack(topic=tp.topic, partition=tp.partition, end=ends[tp], mark=mark, database=db.name)
