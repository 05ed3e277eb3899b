"""`movie-stream produce`: sends the views of a CSV to the topic and shows how far it is."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from movie_stream import logs
from movie_stream.reasons import kind_of
from movie_stream.replay.csv_rows import RefusedRow
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.settings import Settings

NAMED_ROWS: Final = 20
"""As many refused rows are shown one by one; the rest is counted by reason."""
KINDS_SHOWN: Final = 10


def produce(settings: Settings, *, file: Path, rate: float, strict: bool) -> None:
    """Sends the file's views at `rate` events/s; 0 is as fast as it goes.

    Bad rows are named on standard error and left out. Raises what `replay` raises.
    """
    logs.leave_to_us()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    report = _Report(console, str(file))
    with report.bar:
        result = asyncio.run(replay(settings, file, rate, strict, report.update))
    report.end(result, settings.kafka_topic)


class _Report:
    """What the user sees: a bar while it goes on, the first bad rows, and a summary."""

    def __init__(self, console: Console, file: str) -> None:
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[sent]:,} sent, {task.fields[rate]:,.0f} events/s"),
            TextColumn("[yellow]{task.fields[refused]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._console = console
        self._file = file
        self._task = self.bar.add_task("checking", total=None, sent=0, rate=0.0, refused="")
        self._step = "checking"
        self._named = 0
        self._not_named: Counter[str] = Counter()

    def update(self, progress: ReplayProgress) -> None:
        """Shows the progress and names what was refused."""
        if progress.far_off:
            self._warn(f"{self._file}: {progress.far_off}")
        for row in progress.refused_rows:
            self._name(row)
        if progress.step != self._step:
            self._step = progress.step
            self.bar.reset(self._task)
        self.bar.update(
            self._task,
            description=progress.step,
            completed=progress.done_bytes,
            total=progress.total_bytes,
            sent=progress.sent,
            rate=progress.sent / (self.bar.tasks[0].elapsed or 1),
            refused=f"{progress.refused:,} refused" if progress.refused else "",
        )

    def end(self, result: ReplayResult, topic: str) -> None:
        """Counts the bad rows that were not named, and sums up."""
        for kind, rows in self._not_named.most_common(KINDS_SHOWN):
            self._warn(f"{self._file}: {rows:,} more refused: {kind}")
        others = len(self._not_named) - KINDS_SHOWN
        if others > 0:
            self._warn(f"{self._file}: and more, for {others:,} other reasons")
        rate = result.sent / max(result.seconds, 0.001)
        Console(highlight=False, soft_wrap=True).print(
            f"Sent {result.sent:,} views to the topic {topic} in {result.seconds:,.1f} s "
            f"({rate:,.0f}/s); {result.refused:,} rows refused.",
            markup=False,
        )

    def _name(self, row: RefusedRow) -> None:
        if self._named < NAMED_ROWS:
            self._named += 1
            self._warn(f"{self._file}, line {row.line}: {row.reason}")
        else:
            self._not_named[kind_of(row.reason)] += 1

    def _warn(self, line: str) -> None:
        self._console.print(f"[yellow]{escape(line)}[/yellow]")
