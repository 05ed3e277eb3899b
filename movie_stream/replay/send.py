"""Replaying a file: its views are sent to the topic in time order and at a given rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, TypeVar

from movie_stream.errors import FileRefused, InputError
from movie_stream.replay.bookmark import BookmarkFile
from movie_stream.replay.csv_records import ViewChunk
from movie_stream.replay.csv_rows import RefusedRow
from movie_stream.replay.csv_views import ViewsFile
from movie_stream.replay.pace import Pace, check_rate
from movie_stream.replay.resume import Resumption
from movie_stream.replay.sorted_runs import SortedRuns
from movie_stream.replay.temporary import temporary_file
from movie_stream.replay.time_order import FarOff, TimeSurvey
from movie_stream.replay.topic_writer import ACK_TIMEOUT, TopicWriter, open_topic
from movie_stream.settings import Settings

Item = TypeVar("Item")
Step = Literal["checking", "sorting", "resuming", "sending"]

CORRECT: Final = "correct it, or leave out --strict"


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """How far a replay is."""

    step: Step
    done_bytes: int
    """Of `total_bytes`, in this step. A sorted file's bytes while sending are in proportion to its rows."""
    total_bytes: int
    sent: int
    """Events so far, by this run."""
    sent_before: int
    """By earlier runs, of the rows so far."""
    refused: int
    """Rows so far."""
    refused_rows: Sequence[RefusedRow] = ()
    """Those that are new since the last call."""
    far_off: FarOff | None = None
    """Rows far off the rest, told once, before the first event is sent."""
    nothing_to_resume: bool = False
    """Told once, where the bookmark is that of no run to go on from."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What a replay did."""

    sent: int
    """Events, all of them acknowledged."""
    sent_before: int
    """Events that had arrived by earlier runs."""
    refused: int
    """Rows."""
    seconds: float
    """From the first event to the last acknowledgement."""
    first_timestamp_ms: int
    """Of the events that were sent, the oldest; 0 where none was."""
    last_timestamp_ms: int
    """The newest."""


async def replay(
    settings: Settings,
    file: Path | str,
    rate: float = 0,
    strict: bool = False,
    progress: Callable[[ReplayProgress], None] | None = None,
    ack_timeout: timedelta = ACK_TIMEOUT,
    bookmark: BookmarkFile | None = None,
) -> ReplayResult:
    """Sends the views of a CSV to the topic, at `rate` events/s (0: as fast as it goes), in time order.

    The file is read twice: first for the order of its rows. If they are not in time order they are sorted,
    on disk if they are many. Bad rows are left out and told to `progress`; with `strict` the whole file is
    checked first, and nothing is sent if there is one, or one that lies far off the rest. Can be cancelled at
    any moment; it then takes up to a second.

    With a `bookmark` it goes on where that says, and leaves one behind from which the next can go on, whatever becomes
    of this process.

    Raises InputError where nothing in the file (with `strict`: not everything) can be used, or the bookmark cannot,
    BrokerUnreachable, BrokerRefused, TopicMissing, WriteRefused, and UsageError for a rate that is none.
    """
    check_rate(rate)
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(open_topic(settings, settings.kafka_topic, ack_timeout))
        views = stack.enter_context(await _open(file))
        run = _Replay(views, writer, settings.future_tolerance // timedelta(milliseconds=1), progress or _untold)
        if bookmark:
            resumption = await Resumption.begin(settings, bookmark, views, await run.hash(), writer)
            if resumption.earlier and resumption.earlier.finished:
                return ReplayResult(0, resumption.earlier.views, 0, 0.0, 0, 0)
            run.resumed_by(await stack.enter_async_context(resumption))
        in_order = await run.survey(strict)
        if strict:
            await run.insist()
        if in_order:
            return await run.send(rate, run.views_to_send())
        runs = SortedRuns(stack.enter_context(temporary_file(file)))
        await run.sort(runs)
        return await run.send(rate, runs.merged())


class _Replay:
    """One replay: what it has found and sent so far."""

    def __init__(
        self,
        views: ViewsFile,
        writer: TopicWriter,
        tolerance_ms: int,
        tell: Callable[[ReplayProgress], None],
    ) -> None:
        self._views = views
        self._writer = writer
        self._tolerance_ms = tolerance_ms
        self._tell = tell
        self._resumption: Resumption | None = None
        self._lines = 0
        self._to_sort = 0
        self._sent = 0
        self._refused = 0
        self._first_refused: RefusedRow | None = None
        self._oldest_ms = self._newest_ms = 0

    async def hash(self) -> str:
        """The hash of the whole file."""
        made = ""
        async with aclosing(in_turns(self._views.hashes())) as hashes:
            async for so_far in hashes:
                made = so_far
                self._progress("checking")
        return made

    def resumed_by(self, resumption: Resumption) -> None:
        """Goes on where this says, and lets it know how far it is."""
        self._resumption = resumption
        self._tolerance_ms = resumption.future_tolerance_ms
        self._progress("checking", nothing_to_resume=resumption.earlier is None)

    async def survey(self, strict: bool) -> bool:
        """Whether the rows are in time order; names those that lie far off the rest."""
        survey = TimeSurvey()

        def look() -> Iterator[bool]:
            for times_ms, lines in self._views.times():
                latest_ms = self._views.now_ms + self._tolerance_ms
                possible = (times_ms > 0) & (times_ms <= latest_ms)  # the others will be refused
                survey.add(times_ms[possible], lines[possible])
                yield True

        async with aclosing(in_turns(look())) as looks:
            async for _ in looks:
                self._progress("checking")
        self._lines = self._views.line
        far_off = survey.far_off()
        if far_off:
            if strict:
                raise FileRefused(path=self._views.path, why=str(far_off), remedy=CORRECT)
            self._progress("checking", far_off=far_off)
        return survey.in_order

    def views_to_send(self) -> Iterator[ViewChunk]:
        """The file's views, up to where the survey saw its end."""
        return self._views.chunks(self._tolerance_ms, self._lines)

    async def insist(self) -> None:
        """Raises FileRefused at the first row that is refused."""
        async with aclosing(in_turns(self.views_to_send())) as chunks:
            async for chunk in chunks:
                for row in chunk.refused:
                    raise FileRefused(path=self._views.path, line=row.line, why=row.reason, remedy=CORRECT)
                self._progress("checking")

    async def sort(self, runs: SortedRuns) -> None:
        """Puts the good rows into `runs`."""

        def add() -> Iterator[ViewChunk]:
            for chunk in self.views_to_send():
                runs.add(chunk)
                yield chunk

        async with aclosing(in_turns(add())) as chunks:
            async for chunk in chunks:
                self._to_sort += len(chunk)
                self._refuse("sorting", chunk.refused)

    async def send(self, rate: float, chunks: Iterator[ViewChunk]) -> ReplayResult:
        """Sends what is in the chunks on a smooth schedule and waits for all acknowledgements."""
        if self._resumption:
            await self._resumption.start()
        started = await self._send(rate, chunks)
        seconds = time.monotonic() - started
        if self._resumption:
            await self._resumption.finish()
        if not self._sent + self._sent_before:
            raise self._nothing_usable()
        counts = self._sent, self._sent_before, self._refused
        return ReplayResult(*counts, seconds, self._oldest_ms, self._newest_ms)

    async def _send(self, rate: float, chunks: Iterator[ViewChunk]) -> float:
        """Sends it; when it began with it, in seconds of the monotonic clock."""
        pace: Pace | None = None
        started = time.monotonic()
        async with aclosing(in_turns(chunks)) as coming:
            async for chunk in coming:
                self._refuse("sending" if pace or not self._resumption else "resuming", chunk.refused)
                left = await self._resumption.missing(chunk) if self._resumption else chunk
                if len(left):
                    if pace is None:
                        started = time.monotonic()
                        pace = Pace(rate, started)
                    await write_paced(self._writer, pace, left.keys, left.values, self._note_sent)
                    self._note_times(left)
        await self._writer.finish()
        return started

    @property
    def _sent_before(self) -> int:
        return self._resumption.views_before if self._resumption else 0

    async def _note_sent(self, events: int) -> None:
        self._sent += events
        self._progress("sending")
        if self._resumption:
            await self._resumption.save_now_and_then()

    def _note_times(self, chunk: ViewChunk) -> None:
        if len(chunk):
            self._oldest_ms = self._oldest_ms or int(chunk.timestamp_ms[0])
            self._newest_ms = int(chunk.timestamp_ms[-1])

    def _refuse(self, step: Step, rows: Sequence[RefusedRow]) -> None:
        self._refused += len(rows)
        if rows and not self._first_refused:
            self._first_refused = rows[0]
        self._progress(step, rows)

    def _progress(
        self,
        step: Step,
        refused_rows: Sequence[RefusedRow] = (),
        far_off: FarOff | None = None,
        nothing_to_resume: bool = False,
    ) -> None:
        total = self._views.size_bytes
        done = self._views.position_bytes
        if step in ("resuming", "sending") and self._to_sort:
            done = total * (self._sent + self._sent_before) // self._to_sort
        counts = self._sent, self._sent_before, self._refused
        self._tell(ReplayProgress(step, done, total, *counts, refused_rows, far_off, nothing_to_resume))

    def _nothing_usable(self) -> InputError:
        first = self._first_refused
        if first is None:
            return InputError(path=self._views.path, expected="at least one view below the header", got="none")
        why = f"none of the {self._refused} rows can be used; line {first.line}: {first.reason}"
        return FileRefused(path=self._views.path, why=why, remedy="correct the file")


async def write_paced(
    writer: TopicWriter,
    pace: Pace,
    keys: Sequence[bytes],
    values: Sequence[bytes],
    wrote: Callable[[int], Awaitable[None]],
) -> None:
    """Writes records when their time comes; `wrote` is told how many, each time some were handed over."""
    start = 0
    while start < len(keys):
        end = start + pace.slice_events(len(keys) - start)
        await asyncio.sleep(pace.delay(end - start, time.monotonic()))
        await writer.write(keys[start:end], values[start:end])
        await wrote(end - start)
        start = end


async def _open(file: Path | str) -> ViewsFile:
    """Opens the file in a thread, where a slow pipe holds nobody up."""
    opening = asyncio.get_running_loop().run_in_executor(None, ViewsFile, file)
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        opening.add_done_callback(_close)
        raise


def _close(opened: asyncio.Future[ViewsFile]) -> None:
    if not opened.cancelled() and not opened.exception():
        opened.result().close()


async def in_turns(items: Iterator[Item]) -> AsyncGenerator[Item]:
    """The items, with a turn for everybody else after each.

    They are made in between, not in a thread: making them is all Python, so that a thread would only take turns at the
    interpreter's lock with whoever deals with them, and lose what is in the processor's cache with each.
    """
    try:
        for item in items:
            yield item
            await asyncio.sleep(0)
    finally:
        if isinstance(items, Generator):
            items.close()


def _untold(_: ReplayProgress) -> None:
    """Nobody wants to know."""
