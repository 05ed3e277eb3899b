"""The Faust app: topics, agents and the worker wired together. `faust -A movie_stream.app worker -l info` runs it.

`movie-stream worker` does the same. Faust provides the app, the agents, the topics, the group and the worker; state,
positions and commits are ours (agents/, tables/).
"""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import resource
import sys
import threading
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NoReturn

import faust
from faust.app.base import BootStrategy
from faust.tables.manager import TableManager
from faust.types import TP, StreamT

from movie_stream.agents.worker import Worker
from movie_stream.columnar.allocator import configure_malloc
from movie_stream.console import exits, logs
from movie_stream.errors import MovieStreamError, OutOfDescriptors, WorkerFailed
from movie_stream.events.chunk import Chunk
from movie_stream.kafka.batches.unpack import take_whole_batches
from movie_stream.kafka.cluster import agents, client
from movie_stream.kafka.fetch.frames import receive_in_place
from movie_stream.kafka.fetch.transport import SESSION_TIMEOUT_MS, ChunkTransport
from movie_stream.metrics import endpoint
from movie_stream.metrics.health import Health
from movie_stream.settings import Settings, load_settings

logger = logging.getLogger(__name__)

GARBAGE_EVERY: Final = 20_000
"""Objects after which garbage is collected. A request to MongoDB has thousands, which need no collection: after 700, as
is usual, each would be examined a few times, for 2 µs a document.
"""
DESCRIPTORS_AT_LEAST: Final = 64
"""Open files of a worker with few partitions; each partition needs two more while its state is restored."""
STOP_WITHIN_S: Final = 15.0
"""The longest that a worker may take to end: its clients may wait for a broker that is gone."""


def die(error: BaseException) -> None:
    """Ends the process with one line. That is always safe: the next worker resumes at the last checkpoint."""
    exit_code = exits.FAILED
    try:
        if exits.explained(error) is None:
            logger.error("this is a bug in movie-stream", exc_info=error)
            exits.print_error(error)
        else:
            exit_code = exits.report(error, remedy=exits.MORE_WORKERS)
    except MemoryError as scarce:
        exit_code = exits.report(scarce, remedy=exits.MORE_WORKERS)
    finally:  # also if standard error is closed
        end(exit_code)


def end(exit_code: int) -> NoReturn:
    """Ends the process now: the interpreter would wait for threads of a driver whose server does not answer."""
    try:
        sys.stdout.flush()
        sys.stderr.flush()
        logging.shutdown()
    finally:
        os._exit(exit_code)


@contextmanager
def fatal() -> Iterator[None]:
    """Ends the process on any exception in the block; Faust would log it and acknowledge the chunk."""
    try:
        yield
    except Exception as error:
        die(error)


async def or_die(work: Coroutine[Any, Any, Any]) -> Any:
    """Awaits the work; an exception ends the process."""
    with fatal():
        return await work


class ChunkSchema(faust.Schema):
    """Passes chunks through: their owners decode them as a whole."""

    def loads_key(self, app: Any, message: Any, **_: Any) -> Any:
        return None

    def loads_value(self, app: Any, message: Any, **_: Any) -> Any:
        return message.value


class OurBoot(BootStrategy):
    """Boots without Faust's web server, which would occupy port 6066 of the host, and which the `faust` script enables
    whatever the app's settings; and without Faust's producer, since ours sends all records.
    """

    enable_web = False
    enable_kafka_producer = False


class NoTables(TableManager):
    """Faust's table manager, without its wait of a second for tables: there are none."""

    async def on_start(self) -> None:
        await self._update_channels()
        await self.recovery.start()


class FaustWorker(faust.Worker):
    """Faust's worker, without the spinner, and without the second that it sleeps before its loop is closed.

    Standard error is not redirected; the `faust` script would log our one line on it as a warning.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **{**kwargs, "redirect_stdouts": False})
        self.spinner = None

    def execute_from_commandline(self) -> NoReturn:
        try:
            super().execute_from_commandline()
        except SystemExit as ended:
            end(int(ended.code or 0))
        end(0)

    def _flag_as_shutdown_by_signal(self) -> None:
        super()._flag_as_shutdown_by_signal()
        deadline = threading.Timer(
            STOP_WITHIN_S, die, [WorkerFailed(what=f"it could not end in order within {STOP_WITHIN_S:g} s")]
        )
        deadline.daemon = True
        deadline.start()

    async def _sentinel_task(self) -> None:
        """Does nothing: every task has been awaited by now."""


class MovieStream(faust.App):
    """Faust's app with our worker."""

    BootStrategy = OurBoot

    def __init__(self, settings: Settings) -> None:
        super().__init__(
            settings.kafka_group,
            broker=[f"kafka://{server}" for server in settings.require_broker().split(",")],
            store="memory://",
            autodiscover=False,
            Worker=FaustWorker,
            TableManager=NoTables,
            logging_config=logs.FAUST,
            topic_allow_declare=False,
            topic_disable_leader=True,
            table_standby_replicas=0,
            stream_wait_empty=False,  # nothing may wait without a limit in a rebalance: it would stop the group
            stream_buffer_maxsize=1,
            broker_session_timeout=SESSION_TIMEOUT_MS / 1000,
            broker_request_timeout=300,
            broker_commit_interval=1.0,
        )
        settings.require_mongodb()
        self.worker = Worker(settings)
        self._metrics_host, self._metrics_port = settings.metrics_host, settings.metrics_port
        self._background: list[asyncio.Task[Any]] = []
        self._metrics = ExitStack()
        transport = ChunkTransport(self.conf.broker_consumer, self)
        transport.client_options = client.options(settings)
        transport.topics_of_views = frozenset(agent.source(settings) for agent in agents.AGENTS if agent.of_views)
        transport.resume = lambda assigned: or_die(self.worker.resume(assigned))
        transport.restore = lambda lacking: or_die(self.worker.restore(lacking))
        transport.finished = self.worker.finished
        transport.reachable = lambda: not self.worker.broker_lost
        transport.refuse = lambda error, given: or_die(self.worker.refuse(error, given))
        self.transport = transport
        receive_in_place()
        take_whole_batches()

    def add(self, name: str, source: str) -> None:
        """Adds an agent of this name to the app, which passes the chunks of a topic to the worker's owner of it."""

        @self.agent(self.topic(source, schema=ChunkSchema()), name=name)
        async def agent(chunks: StreamT[Chunk]) -> None:
            await or_die(self.worker.owners[source](chunks))

    def _create_directories(self) -> None:
        """Nothing is kept on disk."""

    async def on_start(self) -> None:
        await or_die(self.worker.start(self.consumer))
        with fatal():
            self._serve_metrics()
        await super().on_start()
        gc.freeze()  # the modules stay: traversing them would take most of the time of each collection
        gc.set_threshold(GARBAGE_EVERY)
        self._background = [asyncio.create_task(or_die(duty)) for duty in self.worker.background_tasks()]

    def _serve_metrics(self) -> None:
        """Starts the endpoint for metrics, if it has a port. Raises SettingsError."""
        if self._metrics_port is not None:
            loop, worker = asyncio.get_running_loop(), self.worker
            ask = endpoint.call_in_loop(loop, worker.values)
            health = Health(endpoint.call_in_loop(loop, worker.is_live), endpoint.call_in_loop(loop, worker.readiness))
            self._metrics.enter_context(
                endpoint.served(self._metrics_host, self._metrics_port, "worker", ask, health=health)
            )

    def _on_rebalance_when_stopped(self) -> None:
        """Stops the flow. Faust would close the consumer's connection, in the wrong loop, with the last commit under
        way.

        The consumer leaves the group when it is stopped, rebalance or not; the new assignment is of no use to us.
        """
        self.consumer.stop_flow()

    async def release(self, revoked: set[TP]) -> None:
        """Releases partitions that go to another worker."""
        await or_die(self.worker.release(revoked))

    async def shut_down(self) -> None:
        """Flushes a last time, while the consumer can still commit, and stops the worker."""
        self.consumer.stop_flow()
        await or_die(self.worker.release_all())
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await asyncio.to_thread(self._metrics.close)  # a scrape under way waits for this loop
        await or_die(self.worker.stop())


def create_app(settings: Settings) -> MovieStream:
    """The app for these settings. Raises SettingMissing and OutOfDescriptors."""
    may_open = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if 0 <= may_open < DESCRIPTORS_AT_LEAST:  # clients that cannot connect would silently retry for ever
        raise OutOfDescriptors(limit=may_open)
    configure_malloc()
    created = MovieStream(settings)
    for agent in agents.AGENTS:
        created.add(agent.name, agent.source(settings))

    @created.on_partitions_revoked.connect
    async def release(app: Any, revoked: set[TP], **_: Any) -> None:
        await created.release(revoked)

    @created.on_rebalance_complete.connect
    async def on_empty_assignment(app: Any, **_: Any) -> None:
        if not created.consumer.assignment():
            created.worker.on_empty_assignment()

    @created.on_before_shutdown.connect
    async def shut_down(app: Any, **_: Any) -> None:
        await created.shut_down()

    return created


def __getattr__(name: str) -> MovieStream:
    """Creates `app` on first access, so that the module can be imported without any settings."""
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        globals()["app"] = created = create_app(load_settings())
    except MovieStreamError as error:
        die(error)
    return created
