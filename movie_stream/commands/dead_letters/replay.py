"""`movie-stream dead-letters replay`: sends copies of refused records that would count now, changed or unchanged."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from movie_stream.aggregates.refused import replay_header
from movie_stream.commands.dead_letters.common import Opened, footnotes, narrow_console, open_letters, progress_bar
from movie_stream.console import logs
from movie_stream.dead_letters.copies import (
    GONE,
    LATE,
    SILENT_S,
    TOO_LARGE,
    Change,
    Copy,
    CopyChecker,
    changes_of,
    rewritten,
)
from movie_stream.dead_letters.letters import Letter, LetterFilter
from movie_stream.dead_letters.originals import completed
from movie_stream.errors import RunMismatch, UsageError
from movie_stream.events.chunk import REPLAY_OF
from movie_stream.kafka.cluster import client
from movie_stream.kafka.produce.large_records import LARGE_BYTES, LargeRecords
from movie_stream.masking import printable
from movie_stream.runs.fingerprint import differences, rules_of
from movie_stream.runs.watermarks import watermarks
from movie_stream.settings import Settings

_AT_ONCE: Final = 1_000
"""The most letters that are held in memory, judged and sent in one block."""
_BYTES_AT_ONCE: Final = 16 << 20
_EXAMPLES: Final = 3
"""The most letters that are shown before and after."""
_FIELDS: Final = 8
"""The most members that are listed."""
_VALUE_CHARACTERS: Final = 60
_INDENT: Final = (0, 0, 0, 4)


def replay_letters(
    settings: Settings, wanted: LetterFilter, *, through: str | None, dry_run: bool, misplaced: bool, all_runs: bool
) -> None:
    """Sends copies of the wanted open letters, oldest first, and prints why others were left out.

    Raises RunMismatch if a worker would not start, UsageError if the command of `through` fails, and the errors of
    `open_letters`. Idempotent: a copy counts once.
    """
    logs.leave_to_us()
    settings.require_broker()
    settings.require_mongodb()
    asyncio.run(_replay(settings, wanted, through, dry_run, misplaced, all_runs))


async def _replay(
    settings: Settings, wanted: LetterFilter, through: str | None, dry_run: bool, misplaced: bool, all_runs: bool
) -> None:
    async with open_letters(settings, wanted, all_runs) as found:
        judge = await _judge(settings, found, misplaced)
        producer = await client.start_producer(settings, linger_ms=5)
        replay = _Replay(settings, producer, found.topology.identities[settings.kafka_topic], judge, through, dry_run)
        total = 2 * sum(extent.end - extent.start for extent in found.extents)
        try:
            with progress_bar("replaying", total) as bar:
                for extent in found.extents:
                    async for letters in found.letters.oldest_first(extent):
                        bar.update(bar.task_ids[0], completed=found.letters.read)
                        await replay.take([letter for letter in letters if wanted.takes(letter)])
                    await replay.finish()
        finally:
            await replay.stop()
        replay.sum_up()
        for note in footnotes(found.letters, settings.dead_letters_topic, all_runs):
            Console(highlight=False, soft_wrap=True).print(Text(note, "dim"))


async def _judge(settings: Settings, found: Opened, misplaced: bool) -> CopyChecker:
    """A judge by the rules of the current run. Raises RunMismatch, and UsageError before the first run."""
    if found.run is None:
        raise UsageError(argument="replay", expected="a run, which the first worker begins: movie-stream worker")
    if changed := differences(settings, found.topology, found.run):
        raise RunMismatch(where=f"what stands in MongoDB ({settings.mongodb_database})", what=changed)
    partitions = found.topology.partitions[settings.kafka_topic]
    watermarks_ms = await watermarks(settings, found.reader, partitions, found.run.number)
    return CopyChecker(rules_of(settings), partitions, watermarks_ms, misplaced)


class _Replay:
    """One replay: its letters are waiting, sent, or left out."""

    def __init__(
        self,
        settings: Settings,
        producer: AIOKafkaProducer,
        topic_identity: str,
        judge: CopyChecker,
        through: str | None,
        dry_run: bool,
    ) -> None:
        self._settings, self._producer, self._topic_identity = settings, producer, topic_identity
        self._large = LargeRecords(settings, settings.kafka_topic, None)
        self._judge, self._through, self._dry_run = judge, through, dry_run
        self._waiting: list[Letter] = []
        self._waiting_bytes = 0
        self._sent = self._changed = 0
        self._fields, self._lost = Counter[str](), Counter[str]()
        """How often the command changed each member, and emptied each field."""
        self._examples: list[tuple[Letter, list[Change]]] = []

    async def take(self, letters: Sequence[Letter]) -> None:
        """Queues letters, and sends full blocks of them."""
        for letter in letters:
            self._waiting.append(letter)
            self._waiting_bytes += letter.truncated or len(letter.value or b"")
            if len(self._waiting) >= _AT_ONCE or self._waiting_bytes >= _BYTES_AT_ONCE:
                await self.finish()

    async def finish(self) -> None:
        """Sends the waiting letters and waits for all acknowledgements."""
        letters = await completed(self._settings, self._waiting)
        self._judge.kept[GONE] += len(self._waiting) - len(letters)
        self._waiting, self._waiting_bytes = [], 0
        values: list[bytes | None] = [letter.value for letter in letters]
        if self._through is not None:
            letters, values = await rewritten(self._through, letters, self._judge.kept, self._report_slow_command)
        copies = self._judge.copies(letters, values, time.time_ns() // 1_000_000)
        self._sent += len(copies) if self._dry_run else await self._send(copies)
        for copy in copies:
            self._compare(copy)

    def _compare(self, copy: Copy) -> None:
        """Counts the changes of the command."""
        changed = changes_of(copy.letter.value, copy.value)
        if not changed:
            return
        lost = [change.name for change in changed if change.loses]
        self._changed += 1
        self._fields.update(change.name for change in changed)
        if len(self._examples) < _EXAMPLES:
            self._examples.append((copy.letter, changed))
        elif lost and not self._lost:  # the examples include the most important change
            self._examples[-1] = copy.letter, changed
        self._lost.update(lost)

    def _report_slow_command(self) -> None:
        line = f"The command of --through has not answered for {SILENT_S:.0f} s; Ctrl-C ends it."
        Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)

    async def _send(self, copies: Sequence[Copy]) -> int:
        """Sends copies in order; returns how many the topic accepted."""
        topic, sent, too_large = self._settings.kafka_topic, list[asyncio.Future[object]](), 0
        with client.explained(self._settings, f"writing to {topic}"):
            for copy in copies:
                partition = copy.letter.partition
                headers = [(REPLAY_OF, replay_header(self._topic_identity, partition, copy.letter.original))]
                if len(copy.key) + len(copy.value) <= LARGE_BYTES:
                    sent.append(
                        await self._producer.send(topic, copy.value, key=copy.key, partition=partition, headers=headers)
                    )
                else:
                    await asyncio.gather(*sent)
                    sent.clear()
                    too_large += not await self._large.send_whole(partition, copy.key, copy.value, headers)
            await asyncio.gather(*sent)
        self._judge.kept[TOO_LARGE] += too_large
        return len(copies) - too_large

    async def stop(self) -> None:
        """Disconnects."""
        await self._producer.stop()
        await self._large.stop()

    def sum_up(self) -> None:
        """Prints how many were sent, and why the others were left out."""
        console = Console(highlight=False, soft_wrap=True)
        sent = f"{self._sent:,} letter{'s' * (self._sent != 1)}"
        if self._dry_run:
            console.print(f"Would send {sent} again to {self._settings.kafka_topic}; nothing was sent.", markup=False)
        else:
            console.print(f"Sent {sent} again to {self._settings.kafka_topic}.", markup=False)
        if self._through is not None and self._sent:
            self._sum_up_changes(console)
        kept = +self._judge.kept
        if not kept:
            return
        console.print(f"Not sent, since they would not count: {kept.total():,}")
        table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 0))
        table.add_column(justify="right", no_wrap=True)
        table.add_column(overflow="fold")
        for reason, count in kept.most_common():
            table.add_row(f"{count:,}", Text(reason, "yellow"))
        narrow_console().print(table)
        if kept[LATE]:
            console.print("To count late views, raise ALLOWED_LATENESS, then: movie-stream rebuild", markup=False)

    def _sum_up_changes(self, console: Console) -> None:
        """Prints the changes of the command, and the first letters before and after."""
        fields = ", ".join(f"{_shown(name)} of {count:,}" for name, count in self._fields.most_common(_FIELDS))
        others = f", and {len(self._fields) - _FIELDS:,} more" if len(self._fields) > _FIELDS else ""
        narrow = narrow_console()
        narrow.print(Text(f"The command changed {self._changed:,} of them{': ' if fields else '.'}{fields}{others}"))
        for letter, changed in self._examples:
            narrow.print(Text(f"{letter.partition}:{letter.original}", "bold cyan"))
            for change in changed[:_FIELDS]:
                before, after = _shown_value(change.before), _shown_value(change.after)
                narrow.print(
                    Padding(Text(f"{_shown(change.name)}: {before} -> {after}", "red" if change.loses else ""), _INDENT)
                )
        if self._lost:
            lost = ", ".join(f"{name} of {count:,}" for name, count in self._lost.most_common())
            narrow.print(Text(f"Careful: the command removed what was there: {lost}", "bold yellow"))


def _shown(name: str) -> str:
    return _shortened(printable(name))


def _shown_value(value: bytes | None) -> str:
    r"""A member's value without control characters.

    >>> _shown_value(b'"4.5"'), _shown_value(None), _shown_value(b'"\x1b[2J"')
    ('"4.5"', 'nothing', '"\ufffd[2J"')
    """
    return "nothing" if value is None else _shortened(printable(value.decode("utf-8", "replace")))


def _shortened(text: str) -> str:
    """The beginning of a long text."""
    return text if len(text) <= _VALUE_CHARACTERS else f"{text[:_VALUE_CHARACTERS]}..."
