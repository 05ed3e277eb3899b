"""Replays a file: sends its views to the topic in time order and at a given rate."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from movie_stream.errors import BrokerForbids, FileRefused, UsageError
from movie_stream.kafka.produce.pace import ConstantRate, ReplayClock, Schedule
from movie_stream.kafka.produce.topic_writer import ACK_TIMEOUT, Strings, TopicWriter, open_topic
from movie_stream.replay.files.csv_rows import RefusedRow
from movie_stream.replay.files.source_file import OnProgress
from movie_stream.replay.files.temporary import temporary_file
from movie_stream.replay.lateness import ELSEWHERE, MOVE, Lateness, LateViews, judged
from movie_stream.replay.newest_views import newest_views
from movie_stream.replay.order.plan import AS_IT_IS, Plan
from movie_stream.replay.order.sorted_runs import SortedRuns
from movie_stream.replay.order.survey import Survey, nothing_usable
from movie_stream.replay.order.time_order import FarOff
from movie_stream.replay.read_ahead import read_ahead
from movie_stream.replay.records.csv_records import ViewChunk
from movie_stream.replay.records.replay_input import ReplayInput
from movie_stream.replay.resume.bookmark import BookmarkFile
from movie_stream.replay.resume.resumption import Resumption
from movie_stream.replay.source import ViewsSource
from movie_stream.runs.fingerprint import rules_of
from movie_stream.settings import Settings

Step = Literal["unpacking", "checking", "sorting", "resuming", "sending"]

LONG_WAIT_S: Final = 2.0
NOT_COMPARED: Final = "whether views would be late is not known, for the topic cannot be read"
CORRECT: Final = "correct it, or leave out --strict"


@dataclass(frozen=True, slots=True)
class ReplayProgress:
    """The progress of a replay."""

    step: Step
    done: int
    """The part of `total` done in this step. The unit is bytes while the file is read; while views are sent, it is
    views, or with `speed` milliseconds of event time."""
    total: int
    sent: int
    """Events sent by this run so far."""
    sent_before: int
    """Events of the rows so far that earlier runs sent."""
    refused: int
    """Rows refused so far."""
    refused_rows: Sequence[RefusedRow] = ()
    """Rows refused since the last call."""
    far_off: FarOff | None = None
    """Rows far off the rest; set once, before the first event is sent."""
    nothing_to_resume: bool = False
    """Set once, if the bookmark has no run to resume."""
    found: str = ""
    """What the file is; set once."""
    late: str = ""
    """The views that would be late, relative to what the topic holds; set once, before the first event is sent."""
    next_in_s: float = 0.0
    """Seconds until the next view, if that is long."""


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """The result of a replay."""

    sent: int
    """Events sent by this run, all of them acknowledged."""
    sent_before: int
    """Events sent by earlier runs."""
    refused: int
    """Rows refused."""
    seconds: float
    """From the first event to the last acknowledgement."""
    first_timestamp_ms: int
    """Timestamp of the oldest event that was sent; 0 if none was."""
    last_timestamp_ms: int
    """Timestamp of the newest event that was sent."""
    mended: Mapping[str, int] = field(default_factory=dict)
    """The repairs made, and how often."""
    rounds: int = 0
    """Rounds of a loop, which ends when the next round would lie in the future; 0 without a loop."""


async def replay(
    settings: Settings,
    source: ViewsSource,
    plan: Plan = AS_IT_IS,
    progress: Callable[[ReplayProgress], None] | None = None,
    ack_timeout: timedelta = ACK_TIMEOUT,
    bookmark: BookmarkFile | None = None,
) -> ReplayResult:
    """Sends the views of a file to the topic as planned; by default as fast as possible, and in time order.

    The file is read twice; the first pass determines the order of its rows. Rows out of time order are sorted, on disk
    if there are many. Bad rows are skipped and reported to `progress`. If the plan is strict, the whole file is checked
    first, and nothing is sent if a row is bad or lies far off the rest. The replay may be cancelled at any time, which
    takes up to a second.

    With a `bookmark`, the replay resumes from there and keeps the bookmark up to date, so that it can be resumed
    whatever ends the process.

    Raises InputError if nothing in the file (if strict: not everything) is usable, or the bookmark is not; LateViews if
    many views would be late and the plan does not insist; UsageError, BrokerUnreachable, BrokerRefused, TopicMissing
    and WriteRefused.
    """
    report = progress or _no_progress
    async with AsyncExitStack() as stack:
        views = stack.enter_context(await source.opened(unpacking(report)))  # a wrong file is told without a broker
        writer = await stack.enter_async_context(open_topic(settings, settings.kafka_topic, ack_timeout))
        run = _Replay(views, writer, plan, rules_of(settings).future_tolerance_ms, report)
        if plan.loop and views.made_up and not plan.live:
            expected, remedy = "a file of views", "make more views of its films with: --views"
            raise UsageError(
                argument="--loop", expected=expected, got="a catalogue, whose views end now", remedy=remedy
            )
        run.begin()
        if bookmark:
            what_is_sent = ", ".join(filter(None, [views.made_of, plan.what_is_sent]))
            resumption = await Resumption.begin(settings, bookmark, views, await run.hash(), what_is_sent, writer)
            if resumption.earlier and resumption.earlier.finished:
                return ReplayResult(0, resumption.earlier.views, 0, 0.0, 0, 0)
            run.resumed_by(await stack.enter_async_context(resumption))
        await run.look()
        await run.compare(settings)
        if plan.strict:
            await run.require_valid_rows()
        return await run.send()


def unpacking(report: Callable[[ReplayProgress], None]) -> OnProgress:
    """Turns the progress of unpacking a file into progress of a replay."""
    return lambda done, total: report(ReplayProgress("unpacking", done, total, 0, 0, 0))


class _Replay:
    """One replay: what it found and sent so far."""

    def __init__(
        self,
        views: ReplayInput,
        writer: TopicWriter,
        plan: Plan,
        tolerance_ms: int,
        report: Callable[[ReplayProgress], None],
    ) -> None:
        self._views = views
        self._writer = writer
        self._plan = plan
        self._tolerance_ms = tolerance_ms
        self._rounds = 0
        self._survey: Survey
        self._left = plan.limit
        self._coming_ms: NDArray[np.int64] = np.empty(0, np.int64)
        self._started_s = 0.0
        self._clock: ReplayClock | None = None
        self._pace: ConstantRate | None = None
        self._report = report
        self._resumption: Resumption | None = None
        self._to_sort = 0
        self._sent = 0
        self._refused = 0
        self._refused_in_turn = 0
        """Those of `_refused` that were refused in this round."""
        self._sent_in_rounds = 0
        """Views sent in earlier rounds."""
        self._ended = False
        self._first_refused: RefusedRow | None = None
        self._oldest_ms = self._newest_ms = 0

    def begin(self) -> None:
        """Reports what the file is, and the rows refused when it was opened."""
        self._progress("checking", found=self._views.what)
        self._refuse("checking", self._views.refused)

    async def hash(self) -> str:
        """The hash of the whole file."""
        made = ""
        async with aclosing(read_ahead(self._views.hashes())) as hashes:
            async for so_far in hashes:
                made = so_far
                self._progress("checking")
        return made

    def resumed_by(self, resumption: Resumption) -> None:
        """Resumes from this earlier run, and keeps its bookmark up to date."""
        self._resumption = resumption
        self._tolerance_ms = resumption.future_tolerance_ms
        self._progress("checking", nothing_to_resume=resumption.earlier is None)

    async def look(self) -> None:
        """Surveys the file; reports rows that lie far off the rest."""
        survey = self._survey = Survey(self._views, self._plan, self._tolerance_ms)
        async with aclosing(read_ahead(survey.look())) as looks:
            async for _ in looks:
                self._progress("checking")
        far_off = survey.far_off()
        if far_off:
            if self._plan.strict:
                raise FileRefused(path=self._views.path, why=str(far_off), remedy=CORRECT)
            self._progress("checking", far_off=far_off)

    async def compare(self, settings: Settings) -> None:
        """Compares the views with the newest ones of the topic; reports or refuses those that would be late."""
        partitions = self._writer.partition_count
        try:
            newest_ms = await newest_views(settings, partitions)
        except BrokerForbids as error:  # a producer need not be allowed to read
            self._progress("checking", late=f"{NOT_COMPARED} ({error})")
            return
        earlier = self._resumption.earlier if self._resumption else None
        sent = [partition.views for partition in earlier.partitions] if earlier else ()
        rules, own_newest_ms = rules_of(settings), self._survey.newest_ms
        lateness = Lateness(settings.kafka_topic, rules, partitions, newest_ms, sent=sent, own_newest_ms=own_newest_ms)
        if not lateness.possible(self._survey.oldest_ms):
            return
        async with aclosing(
            read_ahead(judged(self._views, self._plan, self._survey, self._ahead_ms, lateness))
        ) as looks:
            async for _ in looks:
                self._progress("checking")
        late = lateness.found
        if late and not self._plan.late_anyway and (late.is_much or self._plan.strict):
            raise LateViews(what=self._views.path, late=late, remedy=f"{MOVE}, {ELSEWHERE}")
        if late:
            self._progress("checking", late=str(late))

    @property
    def _ahead_ms(self) -> int | None:
        """How far ahead of the present a view may lie; None: any distance."""
        # A view that is sent at its own time is never ahead of the present, however far in the future that time is now.
        return None if self._plan.live else self._tolerance_ms

    def _views_to_send(self) -> Iterator[ViewChunk]:
        """The views of the file, up to its end at the time of the survey."""
        return self._views.chunks(self._ahead_ms, self._survey.lines)

    async def require_valid_rows(self) -> None:
        """Raises FileRefused at the first row that is refused."""
        async with aclosing(read_ahead(self._views_to_send())) as chunks:
            async for chunk in chunks:
                for row in chunk.refused:
                    raise FileRefused(path=self._views.path, line=row.line, why=row.reason, remedy=CORRECT)
                self._progress("checking")

    async def send(self) -> ReplayResult:
        """Sends everything on a smooth schedule, in rounds if planned, and waits for all acknowledgements."""
        while True:
            async with AsyncExitStack() as stack:
                chunks = await self._sorted(stack) if self._survey.sorts else self._views_to_send()
                if self._resumption and not self._rounds:
                    await self._resumption.start()
                before = self._sent
                await self._send(chunks)
            self._rounds += 1
            if not self._plan.loop or self._sent == before or self._left == 0:
                break
            self._views.shift_ms += self._survey.round_ms
            self._sent_in_rounds, self._refused_in_turn = self._sent, 0
        seconds = time.monotonic() - self._started_s if self._started_s else 0.0
        self._coming_ms = self._coming_ms[:0]
        done, total = self._done_of()
        self._ended = True
        if done < total:  # some rows were bad, or there were fewer than the limit
            self._progress("sending")
        if self._resumption:
            await self._resumption.finish()
        if not self._sent + self._sent_before:
            raise nothing_usable(self._views, self._refused, self._first_refused)
        counts = self._sent, self._sent_before, self._refused
        rounds = self._rounds if self._plan.loop and self._left != 0 else 0
        return ReplayResult(*counts, seconds, self._oldest_ms, self._newest_ms, dict(self._views.mended), rounds)

    async def _sorted(self, stack: AsyncExitStack) -> Iterator[ViewChunk]:
        """The views of the file in time order."""
        runs = SortedRuns(stack.enter_context(temporary_file(self._views.path)))

        def add() -> Iterator[ViewChunk]:
            for chunk in self._views_to_send():
                runs.add(chunk)
                yield chunk

        self._to_sort = 0
        async with aclosing(read_ahead(add())) as chunks:
            async for chunk in chunks:
                self._to_sort += len(chunk)
                self._refuse("sorting", chunk.refused)
        return runs.merged()

    async def _send(self, chunks: Iterator[ViewChunk]) -> None:
        """Sends the views of one round."""
        async with aclosing(read_ahead(chunks)) as coming:
            async for chunk in coming:
                self._refuse("sending" if self._started_s or not self._resumption else "resuming", chunk.refused)
                wanted = self._limited(chunk)
                left = await self._resumption.missing(wanted) if self._resumption else wanted
                if len(left):
                    schedule = self._schedule(left.timestamp_ms)
                    self._coming_ms = left.timestamp_ms
                    await write_paced(self._writer, schedule, left.keys, left.values, self._note_sent, self._note_wait)
                    self._note_times(left)
                if self._left == 0:
                    break
        await self._writer.finish()

    def _schedule(self, times_ms: NDArray[np.int64]) -> Schedule:
        """The schedule of events with these timestamps."""
        self._started_s = self._started_s or time.monotonic()
        if self._plan.speed is None:
            self._pace = self._pace or ConstantRate(self._plan.rate, self._started_s)
            return self._pace
        if self._clock is None:
            began_s, first_ms = self._started_s, int(times_ms[0])
            if self._plan.live:  # its clock began when the file was opened
                began_s, first_ms = time.monotonic() - (time.time() - self._views.now_ms / 1000), self._views.now_ms
            gap_s = self._plan.max_gap.total_seconds() if self._plan.max_gap else None
            self._clock = ReplayClock(self._plan.speed, began_s, first_ms, gap_s)
        return self._clock.schedule_of(times_ms)

    def _limited(self, chunk: ViewChunk) -> ViewChunk:
        """The part of the chunk within the limit."""
        if self._left is None:
            return chunk
        kept = min(self._left, len(chunk))
        self._left -= kept
        return chunk if kept == len(chunk) else chunk.where(slice(0, kept))

    @property
    def _sent_before(self) -> int:
        return self._resumption.views_before if self._resumption else 0

    def _note_wait(self, seconds: float) -> None:
        if seconds > LONG_WAIT_S:
            self._progress("sending", next_in_s=seconds)

    async def _note_sent(self, events: int) -> None:
        self._sent += events
        self._coming_ms = self._coming_ms[events:]
        self._progress("sending")
        if self._resumption:
            await self._resumption.save_now_and_then()

    def _note_times(self, chunk: ViewChunk) -> None:
        if len(chunk):
            self._oldest_ms = self._oldest_ms or int(chunk.timestamp_ms[0])
            self._newest_ms = int(chunk.timestamp_ms[-1])

    def _refuse(self, step: Step, rows: Sequence[RefusedRow]) -> None:
        if self._rounds:
            rows = ()  # they were reported in the first round
        self._refused_in_turn += len(rows) if step in ("resuming", "sending") else 0
        self._refused += len(rows)
        if rows and not self._first_refused:
            self._first_refused = rows[0]
        self._progress(step, rows)

    def _done_of(self) -> tuple[int, int]:
        """The amount of this round that is sent, and its total; the two are equal when it ends."""
        if self._plan.speed is not None and len(self._coming_ms):
            return self._survey.elapsed(int(self._coming_ms[0]))
        left_out = 0 if self._survey.sorts else self._refused_in_turn
        done = self._sent + self._sent_before - self._sent_in_rounds + left_out
        if self._ended:
            return done, done
        total = self._to_sort if self._survey.sorts else self._survey.rows
        return done, max(total if self._plan.limit is None else min(total, self._plan.limit + left_out), done)

    def _progress(
        self,
        step: Step,
        refused_rows: Sequence[RefusedRow] = (),
        far_off: FarOff | None = None,
        nothing_to_resume: bool = False,
        found: str = "",
        late: str = "",
        next_in_s: float = 0.0,
    ) -> None:
        total, done = self._views.size, self._views.position
        if step in ("resuming", "sending"):
            done, total = self._done_of()
        counts = self._sent, self._sent_before, self._refused
        self._report(
            ReplayProgress(step, done, total, *counts, refused_rows, far_off, nothing_to_resume, found, late, next_in_s)
        )


async def write_paced(
    writer: TopicWriter,
    pace: Schedule,
    keys: Strings,
    values: Strings,
    wrote: Callable[[int], Awaitable[None]],
    waits: Callable[[float], None] = lambda _: None,
) -> None:
    """Writes records on a schedule; calls `wrote` with the number of records after each slice.

    `waits` is called with the seconds until the next slice.
    """
    start = 0
    while start < len(keys):
        end = start + pace.slice_events(len(keys) - start)
        seconds = pace.delay(end - start, time.monotonic())
        waits(seconds)
        await asyncio.sleep(seconds)
        await writer.write(keys[start:end], values[start:end])
        await wrote(end - start)
        start = end


def _no_progress(_: ReplayProgress) -> None:
    """Ignores the progress."""
