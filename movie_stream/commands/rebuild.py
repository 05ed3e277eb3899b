"""`movie-stream rebuild`: ends the current run and begins another, which counts the whole topic afresh.

The order of the steps ensures that nothing is deleted before everything that can refuse was asked, and that a rebuild
may be interrupted anywhere:

1. the topics and the run are looked up, and it is checked that no worker runs; nothing is changed
2. the consequences are printed, and the user is asked
3. MongoDB accepts writes: its collections are ensured
4. the group is joined, alone, and its offsets are reset; if interrupted here, the old run continues, and the next
   worker commits its own positions
5. the new run begins, which fences the old one, and claims the topics; if interrupted here, a worker counts it, and
   deletes what step 6 would have; if the topics belonged to another deployment and are not claimed yet, it refuses
   until the rebuild is repeated
6. the documents of earlier runs are deleted, and that is recorded

Each step takes a bounded time and is idempotent.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import dataclass

import typer
from rich.console import Console

from movie_stream.console import logs
from movie_stream.errors import BrokerRefused, UsageError
from movie_stream.kafka.cluster import client, topics
from movie_stream.mongo import runs, schema
from movie_stream.mongo.client import opened
from movie_stream.runs import claims, rewind
from movie_stream.runs.fingerprint import COLLECTIONS, changes, fingerprint
from movie_stream.runs.progress import span
from movie_stream.settings import Settings
from movie_stream.tables.claim import Claim

_DECLINED = 1


def rebuild(settings: Settings, *, yes: bool) -> int:
    """Asks for confirmation (unless `yes`), then rebuilds; may be repeated after a failure. Returns 1 if declined.

    Raises UsageError if it has to ask and standard input is no terminal, WorkersRunning, TopicMissing, and errors of
    the broker and MongoDB.
    """
    settings.require_broker()
    settings.require_mongodb()
    if not yes and not sys.stdin.isatty():
        raise UsageError(argument="rebuild", expected="--yes, since there is no terminal to ask at")
    logs.leave_to_us()
    console = Console(highlight=False, soft_wrap=True)
    for line in asyncio.run(_prospect(settings)).lines(settings.mongodb_database, settings.kafka_topic):
        console.print(line, markup=False)
    if not yes and not typer.confirm("Count the whole topic afresh?"):
        return _DECLINED
    asyncio.run(_rebuild(settings, console))
    return 0


@dataclass(frozen=True, slots=True)
class _Prospect:
    """The consequences of a rebuild."""

    run: runs.Run | None
    changed: str
    held: int
    """Records in the topic."""
    gone: int
    """Records that the topic no longer holds."""

    def lines(self, database: str, topic: str) -> list[str]:
        """The consequences as lines of text."""
        run = f"run {self.run.number} ends" if self.run else "there is no run yet"
        lines = [
            f"{database}: {run}, and all results of earlier runs will be deleted.",
            f"{topic}: the {self.held:,} records that it holds will be counted afresh.",
        ]
        if self.gone:
            lines.append(f"Careful: {self.gone:,} older records are no longer in it; their views will be missing.")
        if self.changed:
            lines.append(f"What has changed: {self.changed}.")
        return lines


async def _prospect(settings: Settings) -> _Prospect:
    """Step 1."""
    topology = await topics.describe(settings)
    if wrong := topics.too_few_partitions(topics.Topics.of(settings), topology.partitions):
        raise BrokerRefused(
            doing="checking the topics",
            cause="; ".join(wrong),
            remedy="delete these topics, which a rebuild does not need, and make them anew with: movie-stream init",
        )
    async with client.reader(settings) as reader:
        topic = settings.kafka_topic
        oldest, end = await span(settings, reader, topic, topology.partitions[topic])
    async with opened(settings) as db:
        run = await runs.current(db, settings.kafka_group)
    await rewind.require_no_workers(settings)
    changed = changes(run, fingerprint(settings, topology)) if run else ""
    return _Prospect(run, changed, end - oldest, oldest)


async def _rebuild(settings: Settings, console: Console) -> None:
    """Steps 3 to 6."""
    async with opened(settings) as db:
        await schema.ensure(db)  # 3
        await rewind.rewind(settings)  # 4
        topology = await topics.describe(settings)
        run = await runs.start_new(db, settings.kafka_group, fingerprint(settings, topology))  # 5
        await _claim(settings, await runs.claim_of(db, settings.kafka_group))
        console.print(f"Run {run.number} has begun.", markup=False)
        deleted = await runs.clear(db, settings.kafka_group, run, COLLECTIONS)  # 6
    console.print(f"{deleted:,} documents of earlier runs are deleted.", markup=False)
    console.print("Count the topic now with: movie-stream worker", markup=False)


async def _claim(settings: Settings, ours: Claim) -> None:
    """Claims the topics, whichever deployment had them; its workers end when they read the claim."""
    producer = await client.start_producer(settings)
    try:
        await claims.claim(settings, producer, ours)
    finally:
        await client.stop_producer(producer)
