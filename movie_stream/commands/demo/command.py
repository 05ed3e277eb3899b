"""`movie-stream demo`: runs a broker, a MongoDB, a worker and a page, sends views to them, and shows the results.

All that is started here ends here: services, worker and page are guarded processes (see `embedded/process.py`), which
end even if this process is killed.
"""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from movie_stream.commands import serve
from movie_stream.commands.demo import browser
from movie_stream.commands.demo.children import CommandProcess, PageProcess, WorkerProcess
from movie_stream.commands.demo.live import Screen, results, screen
from movie_stream.commands.demo.state import DemoState
from movie_stream.commands.demo.together import run_until_first
from movie_stream.commands.demo.watch import watching
from movie_stream.commands.refused_rows import RefusedRows
from movie_stream.commands.signals import cancelled_by
from movie_stream.console import logs
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.errors import MovieStreamError, SettingMissing, UsageError
from movie_stream.kafka.cluster import topics
from movie_stream.masking import printable
from movie_stream.mongo import schema
from movie_stream.mongo.client import address_of, opened
from movie_stream.replay.order.plan import Plan
from movie_stream.replay.sample import SAMPLE_VIEWS, sample
from movie_stream.replay.send import ReplayProgress, replay
from movie_stream.replay.send_synthetic import send_synthetic
from movie_stream.replay.source import ViewsSource
from movie_stream.replay.synthetic.generate import END, SPAN
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews
from movie_stream.runs.progress import record_count, wait_until_counted
from movie_stream.settings import Settings

COUNT: Final = 100_000
RATE: Final = 5_000.0
"""Events per second."""
INTERRUPTED: Final = 130
_SEED: Final = 1
_REFRESH_S: Final = 0.25
_LOOK_EVERY_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Source:
    """The views to replay: a file, or without one the sample and then made-up views, `count` in all."""

    file: Path | None
    count: int
    rate: float


def demo(
    settings: Settings,
    *,
    once: bool = False,
    file: Path | None = None,
    count: int | None = None,
    rate: float | None = None,
    opening: bool = False,
) -> int:
    """Runs the demo; the exit code is 0, also after Ctrl-C or SIGTERM, but 130 if these interrupt `once`.

    With `once`, it ends when everything is counted, and there is no page; `opening` shows the page in the browser.

    Raises UsageError if both `file` and `count`, or both `once` and `opening` are given or your own topic already holds
    events, WebMissing if the page is to be opened and its libraries are not installed, SettingMissing if one
    of the two services is set and the other is not, and the failures of the services and the worker.
    """
    if file is not None and count is not None:
        raise UsageError(argument="--count", expected="no --file besides, which is replayed as a whole")
    if once and opening:
        raise UsageError(argument="--open", expected="no --once besides, which ends before anybody could look")
    if opening and not serve.installed():
        raise serve.WebMissing
    _check_services(settings)
    if file is not None and (file.is_file() or not file.exists()):
        ViewsSource(file).open().close()  # checked before anything is started
    logs.leave_to_us()
    source = Source(file, COUNT if count is None else count, RATE if rate is None else rate)
    console = Console(highlight=False)
    demonstration = _Demo(settings, source, opening=opening)
    ended = asyncio.run(demonstration.run(console, once=once))
    return 0 if ended or not once else INTERRUPTED


def _check_services(settings: Settings) -> None:
    """Raises SettingMissing if only one of the services is set."""
    if (settings.kafka_bootstrap_servers is None) != (settings.mongodb_uri is None):
        names = ["KAFKA_BOOTSTRAP_SERVERS", "MONGODB_URI"]
        missing, there = names if settings.kafka_bootstrap_servers is None else names[::-1]
        raise SettingMissing(
            variable=missing,
            remedy=f"but {there} is; set both to use your own Kafka and MongoDB, or none for the embedded pair",
        )


class _Demo:
    """One demo: the processes that it started, and its state."""

    def __init__(self, settings: Settings, source: Source, *, opening: bool) -> None:
        self._settings, self._source, self._opening = settings, source, opening
        self._embedded = EmbeddedServices() if settings.kafka_bootstrap_servers is None else None
        self._refused = RefusedRows(source.file)
        self._worker: WorkerProcess | None = None
        self._page: PageProcess | None = None
        self._run = DemoState(
            "embedded broker and MongoDB" if self._embedded else "your Kafka and MongoDB",
            planned=None if source.file else source.count,
        )

    async def run(self, console: Console, *, once: bool) -> bool:
        """Runs until all is counted (`once`) or it is stopped; returns whether all is counted."""
        cancelled_by(signal.SIGINT, signal.SIGTERM)
        try:
            with screen(console) as shown:
                await run_until_first(self._all(once=once), self._refresh(shown))
                shown.show(self._run)  # changes since the last refresh
        except asyncio.CancelledError:
            self._run.phase = "ended"
        finally:
            self._stop()
        if self._run.now.windows:
            console.print(results(self._run))
        for remark in (*self._run.remarks, *self._refused.others()):
            console.print(Text(printable(remark), "yellow"), soft_wrap=True)
        if self._run.sent:
            console.print(self._run.totals(), markup=False, soft_wrap=True)
        return self._run.finished

    async def _all(self, *, once: bool) -> None:
        settings = await self._services()
        self._run.phase = "creating topics and collections"
        await asyncio.gather(self._topics(settings), self._collections(settings))
        self._worker = WorkerProcess(settings)
        self._run.phase = "starting the worker"
        deaths: list[Coroutine[Any, Any, Any]] = [self._embedded.fail()] if self._embedded else []
        if not once:
            deaths += self._serving(settings)
        await run_until_first(self._counting(settings, once=once), *deaths, self._worker.fail())

    def _serving(self, settings: Settings) -> list[Coroutine[Any, Any, Any]]:
        """Starts the page; returns coroutines that end only when it fails."""
        if not serve.installed():
            self._run.remarks.append("There is no page without: pip install 'movie-stream[web]'")
            return []
        self._page = page = PageProcess(settings)

        async def announced() -> None:
            self._run.page = address = await page.address()
            if self._opening and not await browser.shown(address):
                self._run.remarks.append(f"No browser could be started to show {address}")
            await asyncio.Event().wait()

        return [announced(), page.fail()]

    async def _services(self) -> Settings:
        if self._embedded is None:
            return self._settings
        self._run.phase = "starting a broker and a MongoDB"
        await self._embedded.start()
        return self._embedded.applied_to(self._settings)

    async def _topics(self, settings: Settings) -> None:
        await topics.ensure(settings)
        if self._embedded is None and self._source.file is None:
            await _require_empty_topic(settings)

    async def _collections(self, settings: Settings) -> None:
        async with opened(settings) as db:
            await schema.ensure(db)
            if self._embedded is None:
                where = f"Kafka at {settings.require_broker()}, MongoDB at {address_of(db)}/{db.name}"
                self._run.services = where

    async def _counting(self, settings: Settings, *, once: bool) -> None:
        """Sends, waits until all is counted, and keeps looking."""
        async with watching(settings) as watch:

            async def look() -> None:
                self._run.saw(await watch.look())
                self._run.trouble = ""

            async def look_on() -> None:
                while True:
                    try:
                        await look()
                    except MovieStreamError as error:  # may be transient; the end of a process is detected elsewhere
                        self._run.trouble = str(error)
                    await asyncio.sleep(_LOOK_EVERY_S)

            async def count() -> None:
                await self._send(settings)
                self._run.phase = "all sent, counting the rest"
                held = await wait_until_counted(settings)
                await look()
                self._run.counted_s = time.monotonic()
                refused = " or refused" if self._run.now.dead_letters else ""
                hidden = sum(of.records for of in held)
                but = f", but {hidden:,} behind a producer's open transaction" if held else ""
                self._run.phase = f"all events counted{refused}{but}"
                if not once:
                    await asyncio.Event().wait()

            await run_until_first(count(), look_on())

    async def _send(self, settings: Settings) -> None:
        """Sends the file, or the sample and made-up views of the days after it."""
        source, run = self._source, self._run
        if source.file is not None:
            result = await replay(settings, ViewsSource(source.file), Plan(rate=source.rate), self._replayed)
            run.sent, run.refused, run.sent_share = result.sent, result.refused, 1.0
            return
        run.phase = "replaying"
        run.sending_s = time.monotonic()
        if source.count >= SAMPLE_VIEWS:
            self._arrived((await replay(settings, ViewsSource(sample()))).sent)
        made_up = source.count - run.sent
        if made_up:
            views = SyntheticViews(count=made_up, seed=_SEED, end=END + SPAN)
            await send_synthetic(settings, views, source.rate, self._arrived)

    def _arrived(self, events: int) -> None:
        self._run.sent += events
        self._run.sent_share = self._run.sent / self._source.count

    def _replayed(self, progress: ReplayProgress) -> None:
        run = self._run
        run.phase = {"checking": "checking the file", "sorting": "sorting the file"}.get(progress.step, "replaying")
        run.sent, run.refused = progress.sent, progress.refused
        remarks = filter(None, [progress.far_off and str(progress.far_off), progress.late])
        run.remarks += [*(f"{self._source.file}: {remark}" for remark in remarks)]
        run.remarks += self._refused.named(progress.refused_rows)
        if progress.step == "sending":
            run.sending_s = run.sending_s or time.monotonic()
            run.sent_share = progress.done / max(progress.total, 1)

    async def _refresh(self, shown: Screen) -> None:
        while True:
            shown.show(self._run)
            await asyncio.sleep(_REFRESH_S)

    def _stop(self) -> None:
        """Stops all processes in parallel, and waits until they are gone."""
        children: list[CommandProcess] = [child for child in (self._worker, self._page) if child is not None]
        for child in children:
            if self._embedded is not None:
                child.kill()  # nobody will read its further output
            child.release()
        if self._embedded is not None:
            self._embedded.stop()
        for child in children:
            child.stop()


async def _require_empty_topic(settings: Settings) -> None:
    """Raises UsageError unless the topic is empty: made-up views do not belong among real ones."""
    held = await record_count(settings, settings.kafka_topic)
    if held:
        raise UsageError(
            argument="demo",
            expected=f"an empty topic to send made-up views to, but {settings.kafka_topic} on "
            f"{settings.require_broker()} holds {held:,} records",
            remedy="name others in KAFKA_TOPIC, KAFKA_PARTIALS_TOPIC, KAFKA_GROUP and MONGODB_DATABASE, "
            "or send a file of yours with --file",
        )
