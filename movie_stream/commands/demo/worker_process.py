"""A worker as a child process that ends with the demo, however that ends; its log is in its own file."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from typing import Final, NoReturn

from movie_stream.embedded.process import GuardedProcess
from movie_stream.errors import WorkerFailed
from movie_stream.settings import Settings, variable_of

_COMMAND: Final = (sys.executable, "-c", "from movie_stream.entry import main; main()", "worker")
_ERROR: Final = "error: "


class WorkerProcess(GuardedProcess):
    """A worker with these settings; see GuardedProcess for how it ends."""

    def __init__(self, settings: Settings) -> None:
        super().__init__("worker", _COMMAND, _variables(settings))

    async def fail(self) -> NoReturn:
        """Waits until it ends by itself, and raises WorkerFailed then, with what it said last."""
        loop, ended = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self.status, ended.set)
        try:
            await ended.wait()
        finally:
            loop.remove_reader(self.status)
        raise WorkerFailed(what=f"it ended with exit code {self.exit_code()}", cause=last_error(self.log()))


def last_error(log: str) -> str:
    r"""The last line that says what went wrong, else the last line.

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
