"""Our commands as child processes that end with the demo, however it ends; each logs to a file of its own."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import ClassVar, Final, NoReturn

from movie_stream.commands.serve import SERVING
from movie_stream.embedded.process import GuardedProcess
from movie_stream.errors import MovieStreamError, WorkerFailed
from movie_stream.settings import Settings, variable_of

_COMMAND: Final = (sys.executable, "-c", "from movie_stream.entry import main; main()")
_ERROR: Final = "error: "
_LOOK_EVERY_S: Final = 0.05


class PageFailed(MovieStreamError):
    """The server of the page ended unexpectedly.

    What to do: see to the cause; where the port is taken, set API_PORT to another.

    >>> print(PageFailed(what="it ended with exit code 1", cause="port 8080 is taken"))
    the page is gone: it ended with exit code 1 (port 8080 is taken)
    """

    def __init__(self, *, what: str, cause: str) -> None:
        super().__init__(f"the page is gone: {what} ({cause})")


class CommandProcess(GuardedProcess):
    """A command with these settings; see GuardedProcess on how it ends."""

    command: ClassVar[str]
    failure: ClassVar[type[WorkerFailed | PageFailed]]

    def __init__(self, settings: Settings) -> None:
        super().__init__(self.command, (*_COMMAND, self.command), _variables(settings))

    async def fail(self) -> NoReturn:
        """Waits until it ends unexpectedly, then raises its `failure` with the last line of its log."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.status, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.status)
        raise self.failure(what=f"it ended with exit code {self.exit_code()}", cause=last_error(self.log()))


class WorkerProcess(CommandProcess):
    """`movie-stream worker`."""

    command = "worker"
    failure = WorkerFailed


class PageProcess(CommandProcess):
    """`movie-stream serve`, for this computer alone, on a free port."""

    command = "serve"
    failure = PageFailed

    def __init__(self, settings: Settings) -> None:
        alone = {"api_host": "127.0.0.1", "api_port": 0, "api_token": None}
        metrics_port = None if settings.metrics_port is None else 0  # the configured port is the worker's
        super().__init__(settings.model_copy(update={**alone, "metrics_port": metrics_port}))

    async def address(self) -> str:
        """Waits until it serves; returns the address. If the process ends before, `fail` raises."""
        while True:
            if found := address_in(self.log()):
                return found
            await asyncio.sleep(_LOOK_EVERY_S)


def address_in(log: str) -> str | None:
    r"""The address that the server announced, or None if it did not yet.

    >>> address_in("Serving the results at http://127.0.0.1:4711\n"), address_in("Serving the results at http://127.")
    ('http://127.0.0.1:4711', None)
    """
    announced = [line for line in log.splitlines(keepends=True) if line.startswith(SERVING) and line.endswith("\n")]
    return announced[0].removeprefix(SERVING).strip() if announced else None


def last_error(log: str) -> str:
    r"""The last line with an error message, else the last line.

    >>> last_error("[INFO] Starting\nerror: no Kafka broker answers at a:1\n[INFO] Closing event loop\n")
    'no Kafka broker answers at a:1'
    """
    lines = log.strip().splitlines()
    errors = [line.removeprefix(_ERROR) for line in lines if line.startswith(_ERROR)]
    return (errors or lines or [""])[-1]


def _variables(settings: Settings) -> Mapping[str, str]:
    """The environment, with these settings instead of those of this process."""
    ours = {variable_of(name) for name in type(settings).model_fields}
    others = {name: value for name, value in os.environ.items() if name.removesuffix("_FILE") not in ours}
    return {**others, **settings.environment(), "PYTHONUNBUFFERED": "1"}
