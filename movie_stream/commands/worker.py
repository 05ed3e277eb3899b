"""`movie-stream worker`: the same worker as `faust -A movie_stream.app worker`, with an option to end at the end."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import sys

from movie_stream.console import logs
from movie_stream.settings import Settings

logger = logging.getLogger(__name__)


def work(settings: Settings, *, until_end: bool) -> None:
    """Runs a worker in the foreground until it is stopped, or with `until_end` until the present topic is counted.

    Ends the process.
    """
    settings.require_broker()
    settings.require_mongodb()
    logs.set_up(settings.log_level)
    sys.argv = sys.argv[:1]  # Faust reads it when it is imported
    gc.disable()  # what is imported stays: to look for garbage in it, now or later, would take a fifth of the start
    from movie_stream.kernels.compiled import compile_soon

    compile_soon()
    from aiokafka import TopicPartition

    from movie_stream.agents.flush_schedule import UNTIL_END
    from movie_stream.agents.group_watch import STARVED_AT_MOST_S
    from movie_stream.app import app, or_die
    from movie_stream.kafka.offsets import describe_open_transactions
    from movie_stream.runs.progress import wait_until_counted

    gc.freeze()
    gc.enable()

    def finished() -> dict[TopicPartition, int]:
        return {TopicPartition(*tp): offset for tp, offset in app.worker.finished().items()}

    async def end_at_the_end() -> None:
        await app.worker.commit_awaited.wait()
        held = await or_die(wait_until_counted(settings, pause=app.worker.next_commit, finished=finished))
        if held:
            logger.warning("ends, though not all is counted: %s", describe_open_transactions(held))
        await or_die(app.worker.finish(held))
        os.kill(os.getpid(), signal.SIGTERM)

    if until_end:
        app.worker.cadence, app.worker.patience_s = UNTIL_END, STARVED_AT_MOST_S
        app.task(end_at_the_end)
    worker = app.Worker(quiet=True, override_logging=False)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    worker.loop = loop
    worker.execute_from_commandline()
