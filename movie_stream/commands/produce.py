"""`movie-stream produce`: sends the views of a file to the topic and shows the progress."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from movie_stream.commands.refused_rows import RefusedRows
from movie_stream.commands.signals import cancelled_by
from movie_stream.console import logs
from movie_stream.console.words import number_of, of_several
from movie_stream.errors import FileRefused, MovieStreamError, UsageError
from movie_stream.replay.files.source_file import STDIN
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.resume.bookmark import ELSEWHERE, Bookmark, BookmarkFile, Mode, bookmark_of
from movie_stream.replay.send import ReplayProgress, ReplayResult, replay
from movie_stream.replay.source import ViewsSource
from movie_stream.settings import Settings


def produce(settings: Settings, source: ViewsSource, plan: Plan, *, resume: bool, restart: bool, again: str) -> int:
    """Sends the views of a file as planned, with `resume` only those that have not arrived.

    `again` is the command that resumes it. Bad rows are reported on standard error and skipped. Returns the exit code:
    130 after Ctrl-C, 143 after SIGTERM. Raises the errors of `replay` and `bookmark_of`, and UsageError if the input
    cannot be resumed.
    """
    if resume and restart:
        raise UsageError(argument="--resume", expected="only one of --resume and --restart", got="both")
    if resume and plan.loop:
        raise UsageError(argument="--resume", expected="no --loop besides, which has no end to come to")
    mode: Mode = "resume" if resume else "restart" if restart else "start"
    logs.leave_to_us()
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    file = Path(source.path)
    report = Report(console, file, resume)
    with ExitStack() as stack:
        bookmark = None if plan.loop else _bookmark(stack, file, mode, report)
        with report.bar:
            try:
                stopped, result = asyncio.run(_replay(settings, source, plan, report.update, bookmark))
            except MovieStreamError:
                report.resumable(bookmark.saved if bookmark else None, again)
                raise
        if result is not None:
            report.end(result, settings.kafka_topic)
            return 0
        reached = (bookmark.saved or bookmark.earlier) if bookmark else None
        if not report.resumable(reached, again):
            report.stopped(bookmark)
        return 128 + stopped


async def _replay(
    settings: Settings,
    source: ViewsSource,
    plan: Plan,
    on_progress: Callable[[ReplayProgress], None],
    bookmark: BookmarkFile | None,
) -> tuple[int, ReplayResult | None]:
    """0 and the result of the replay, or the signal that stopped it and None."""
    received = cancelled_by(signal.SIGINT, signal.SIGTERM)
    try:
        return 0, await replay(settings, source, plan, on_progress, bookmark=bookmark)
    except asyncio.CancelledError:
        if not received:
            raise
        return received[0], None


def _bookmark(stack: ExitStack, file: Path, mode: Mode, report: Report) -> BookmarkFile | None:
    """The file's bookmark, locked; None if there can be none."""
    try:
        if not file.is_file():
            if mode == "resume" and (str(file) == STDIN or (file.exists() and not file.is_dir())):
                expected, got = "a file, which can be read again from its beginning", f"{file}, which cannot"
                remedy = "write the views to a file, and send that"
                raise UsageError(argument="--resume", expected=expected, got=got, remedy=remedy)
            return None
        return stack.enter_context(bookmark_of(file, mode))
    except OSError as error:
        why = f"no bookmark can be kept ({error.strerror}: {error.filename})"
        if mode == "resume":
            raise FileRefused(path=file, why=why, remedy=ELSEWHERE) from error
        report.warn(f"{file}: {why}, so this run cannot be resumed; {ELSEWHERE}")
        return None


class Report:
    """The report to the user: a description of the file, a progress bar, the first bad rows, and a summary."""

    def __init__(self, console: Console, file: Path, resume: bool) -> None:
        self.bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.fields[before]}{task.fields[sent]:,} sent, {task.fields[rate]:,.0f} events/s"),
            TextColumn("[yellow]{task.fields[refused]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._console = console
        self._file = file
        self._resume = resume
        self._task = self.bar.add_task("checking", total=None, before="", sent=0, rate=0.0, refused="")
        self._step = "checking"
        self._refused = RefusedRows(file)

    def update(self, progress: ReplayProgress) -> None:
        """Shows the progress and reports refused rows."""
        if progress.found:
            self._console.print(f"{self._file}: {progress.found}", markup=False)
        if progress.far_off:
            self.warn(f"{self._file}: {progress.far_off}")
        if progress.late:
            self.warn(f"{self._file}: {progress.late}")
        if progress.nothing_to_resume and self._resume:
            self._console.print(f"{self._file}: nothing to resume, it is sent from its beginning", markup=False)
        for line in self._refused.named(progress.refused_rows):
            self.warn(line)
        if progress.step != self._step:
            self._step = progress.step
            self.bar.reset(self._task)
        self.bar.update(
            self._task,
            description=progress.step,
            completed=progress.done,
            total=progress.total or None,
            before=(f"{progress.sent_before:,} before, " if progress.sent_before else "")
            + (f"next in {timedelta(seconds=round(progress.next_in_s))}, " if progress.next_in_s else ""),
            sent=progress.sent,
            rate=progress.sent / (self.bar.tasks[0].elapsed or 1),
            refused=f"{progress.refused:,} refused" if progress.refused else "",
        )

    def end(self, result: ReplayResult, topic: str) -> None:
        """Prints the number of bad rows that were not listed, and a summary."""
        for line in self._refused.others():
            self.warn(line)
        if result.mended:
            self._console.print(
                f"{self._file}: repaired: {mended(result.mended)}",
                markup=False,
                soft_wrap=not self._console.is_terminal,
            )
        rate = result.sent / max(result.seconds, 0.001)
        before = f", {result.sent_before:,} before" if result.sent_before else ""
        line = (
            f"Sent {number_of(result.sent, 'view')} to the topic {topic} in {result.seconds:,.1f} s "
            f"({rate:,.0f}/s){before}; {number_of(result.refused, 'row')} refused."
        )
        if not result.sent:
            all_views = f"all {result.sent_before:,} views stand" if result.sent_before != 1 else "the 1 view stands"
            line = f"Nothing was left to send: {all_views} in the topic {topic}."
        elif result.first_timestamp_ms:
            line += f" They are of {utc(result.first_timestamp_ms)} to {utc(result.last_timestamp_ms)} UTC."
        if result.rounds:
            line += f" It was {number_of(result.rounds, 'round')}; the next one lies in the future, where workers "
            line += "refuse it."
        stdout = Console(highlight=False)
        stdout.print(line, markup=False, soft_wrap=not stdout.is_terminal)

    def resumable(self, reached: Bookmark | None, command: str) -> bool:
        """Prints how much an unfinished run sent, and how to resume it; returns False if it cannot be resumed."""
        if not reached or reached.finished:
            return False
        line = f"Stopped: {known(reached.views)} to stand in the topic; go on with: {command}"
        self._console.print(line, markup=False)
        return True

    def stopped(self, bookmark: BookmarkFile | None) -> None:
        """Prints why the run cannot be resumed."""
        sent = "what was sent stays sent, and this cannot be resumed"
        if bookmark:
            sent = "but all was sent" if bookmark.saved else "nothing was sent yet"
        self._console.print(f"Stopped: {sent}.")

    def warn(self, line: str) -> None:
        """Prints a warning."""
        self._console.print(f"[yellow]{escape(line)}[/yellow]")


def known(views: int) -> str:
    """A number of views with "is known" or "are known".

    >>> known(1), known(2_000)
    ('1 view is known', '2,000 views are known')
    """
    return f"{number_of(views, 'view')} {'is' if views == 1 else 'are'} known"


def utc(time_ms: int) -> str:
    """A time as text, in UTC.

    >>> utc(1730383200000)
    '2024-10-31 14:00:00'
    """
    return f"{datetime.fromtimestamp(time_ms / 1000, UTC):%Y-%m-%d %H:%M:%S}"


def mended(what: Mapping[str, int]) -> str:
    """The repairs as text, the most frequent first.

    >>> mended({"timestamps in seconds": 1200, "headers in the middle": 1})
    '1,200 timestamps in seconds; 1 header in the middle'
    """
    return "; ".join(of_several(count, name) for name, count in sorted(what.items(), key=lambda item: -item[1]))
