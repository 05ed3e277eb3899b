"""The embedded pair: a broker and a mongod, started together, that end with this process."""

import asyncio
import contextlib
from types import TracebackType
from typing import NoReturn, Self

from movie_stream.embedded.broker import broker
from movie_stream.embedded.launch import Program, failure_of, launch
from movie_stream.embedded.mongod import mongod
from movie_stream.embedded.process import GuardedProcess
from movie_stream.settings import Settings


class EmbeddedServices:
    """A broker and a mongod for as long as the `with` or `async with` block runs.

    Both keep their data only for that time. However this process ends, kill -9 included, both end with it, and
    their folders are removed.

        with EmbeddedServices() as services:
            settings = services.applied_to(load_settings())

    Raises EmbeddedUnavailable if one is not installed, EmbeddedFailed if one does not start.
    """

    bootstrap_servers: str
    mongodb_uri: str

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()
        self._running: list[tuple[Program, GuardedProcess]] = []

    def applied_to(self, settings: Settings) -> Settings:
        """The settings with this broker and this MongoDB."""
        return settings.with_services(bootstrap_servers=self.bootstrap_servers, mongodb_uri=self.mongodb_uri)

    def check(self) -> None:
        """Raises EmbeddedFailed if one of the two has ended unexpectedly."""
        for program, process in self._running:
            if process.exit_code() is not None:
                raise failure_of(program, process)

    async def fail(self) -> NoReturn:
        """Waits until one of the two ends unexpectedly, then raises EmbeddedFailed."""
        loop = asyncio.get_running_loop()
        ended = asyncio.Event()
        for _, process in self._running:
            loop.add_reader(process.status, ended.set)
        try:
            await ended.wait()
        finally:
            for _, process in self._running:
                loop.remove_reader(process.status)
        self.check()
        raise AssertionError("a readable status means that a program ended")

    async def start(self) -> None:
        """Starts both and waits until they serve; on any failure, neither is left running."""
        programs = broker(), mongod()
        try:
            async with asyncio.TaskGroup() as group:
                starts = [group.create_task(launch(program, self._stack)) for program in programs]
        except BaseExceptionGroup as failures:
            self.stop()
            raise failures.exceptions[0] from failures
        except BaseException:
            self.stop()
            raise
        (broker_process, broker_port), (mongod_process, mongod_port) = (start.result() for start in starts)
        self._running = list(zip(programs, (broker_process, mongod_process), strict=True))
        self.bootstrap_servers = f"127.0.0.1:{broker_port}"
        self.mongodb_uri = f"mongodb://127.0.0.1:{mongod_port}"

    def stop(self) -> None:
        """Ends both and waits, for a bounded time, until they are gone. Idempotent."""
        for _, process in self._running:
            process.release()
        self._running = []
        self._stack.close()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __enter__(self) -> Self:
        asyncio.run(self.start())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
