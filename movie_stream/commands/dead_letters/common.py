"""Shared by the commands about dead letters: the filter of the command line, and the opened dead letters' topic."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aiokafka import AIOKafkaConsumer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from movie_stream.dead_letters.letters import Extent, LetterFilter, Letters, Scope
from movie_stream.errors import UsageError
from movie_stream.events.timestamps import parse_time
from movie_stream.kafka.cluster import client, topics
from movie_stream.kafka.cluster.topics import Topology
from movie_stream.mongo import runs
from movie_stream.mongo.client import opened
from movie_stream.settings import Settings

_WIDTH: Final = 80


def letter_filter(
    *, kind: str | None, reason: str | None, partition: int | None, since: str | None, until: str | None
) -> LetterFilter:
    """The filter for these options. Raises UsageError."""
    wanted = LetterFilter(reason, kind, partition, _bound("--from", since), _bound("--to", until))
    for option, bound in (("--from", wanted.since), ("--to", wanted.until)):
        if isinstance(bound, int) and partition is None:
            raise UsageError(argument=option, expected="--partition beside an offset, or a time", got=str(bound))
    return wanted


def _bound(option: str, text: str | None) -> int | datetime | None:
    """Parses an offset, or a time (in UTC by default).

    >>> _bound("--from", "120"), _bound("--from", "2024-10-31T14:30")
    (120, datetime.datetime(2024, 10, 31, 14, 30, tzinfo=datetime.timezone.utc))
    """
    if text is None:
        return None
    if text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    try:
        return parse_time(text)
    except ValueError as error:
        raise UsageError(
            argument=option, expected="an offset such as 120, or a time such as 2024-10-31T14:30 (UTC)", got=text
        ) from error


@dataclass(frozen=True, slots=True)
class Opened:
    """The letters' topic, open for reading."""

    topology: Topology
    run: runs.Run | None
    """The current run, None before the first."""
    reader: AIOKafkaConsumer
    letters: Letters
    extents: list[Extent]


@asynccontextmanager
async def open_letters(settings: Settings, wanted: LetterFilter, all_runs: bool) -> AsyncIterator[Opened]:
    """Opens the letters of the current run, or of all runs, within the block.

    Raises TopicMissing, UsageError for a partition that does not exist, and the errors of the broker and MongoDB.
    """
    topology = await topics.describe(settings)
    partitions = topology.partitions[settings.kafka_topic]
    if wanted.partition is not None and wanted.partition >= partitions:
        raise UsageError(
            argument="--partition",
            expected=f"one of the {partitions} of {settings.kafka_topic}, from 0 on",
            got=str(wanted.partition),
        )
    searched = range(partitions) if wanted.partition is None else [wanted.partition]
    async with opened(settings) as db:
        run = await runs.current(db, settings.kafka_group)
    async with client.reader(settings) as reader:
        letters = Letters(
            settings,
            reader,
            Scope(topology.identities[settings.kafka_topic], None if all_runs else run.number if run else 0),
        )
        yield Opened(topology, run, reader, letters, await letters.extents(searched))


@contextmanager
def progress_bar(doing: str, total: int) -> Iterator[Progress]:
    """A bar on standard error if that is a terminal; it disappears at the end."""
    console = Console(stderr=True, highlight=False)
    bar = Progress(
        TextColumn(f"[bold]{doing}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.completed:,} of {task.total:,} records read"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    bar.add_task(doing, total=total)
    with bar:
        yield bar


def narrow_console() -> Console:
    """Standard output, at most 80 columns wide."""
    console = Console(highlight=False)
    return console if console.is_terminal and console.width <= _WIDTH else Console(highlight=False, width=_WIDTH)


def footnotes(letters: Letters, topic: str, all_runs: bool) -> list[str]:
    """Remarks on the letters that were read and are not shown."""
    notes = []
    if letters.elsewhere and not all_runs:
        notes.append(f"{letters.elsewhere:,} letters of other runs were skipped; see --all-runs.")
    elif letters.elsewhere:
        notes.append(f"{letters.elsewhere:,} letters of another topic of this name were skipped.")
    if letters.foreign:
        notes.append(f"{letters.foreign:,} records of {topic} are no letters of a worker.")
    return notes
