"""A worker with timed functions: the CPU time of each stage, excluding that of other stages called within it.

`python -m bench.stages FILE` runs `movie-stream worker --until-end` and finally writes the seconds by stage as JSON.
"""

from __future__ import annotations

import functools
import importlib
import inspect
import json
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from time import process_time, thread_time
from typing import Any, Final

import psutil

# fmt: off
STAGES: Final = (
    # The stage, in which {0} is the function's first argument, and the functions as module:name.
    ("fetch: batches", "aiokafka.consumer.fetcher:Fetcher._proc_fetch_request"),
    ("fetch: batches", "aiokafka.consumer.fetcher:Fetcher.fetched_records"),
    ("unpack", "movie_stream.kafka.batches.unpack:_unpack"),
    ("unpack", "movie_stream.kafka.batches.unpack:take_runs"),
    ("unpack", "movie_stream.kafka.batches.unpack:chunks"),
    ("decode by layout", "movie_stream.events.layout:Layouts.read"),
    ("hash names", "movie_stream.events.chunk:Records.decoded"),
    ("decode, validate", "movie_stream.aggregates.reader:Reader.read"),
    ("decode, validate: record by record", "movie_stream.events.event:decode"),
    ("names to numbers: users", "movie_stream.aggregates.reader:Reader.add_users"),
    ("names to numbers: others, hashes", "movie_stream.aggregates.reader:Reader._batch"),
    ("late, misplaced", "movie_stream.aggregates.accumulator:Accumulator._split_late"),
    ("late, misplaced", "movie_stream.aggregates.accumulator:Accumulator._count_misplaced"),
    ("results: cut into groups", "movie_stream.aggregates.accumulator:Accumulator._count"),
    ("result: {0.result.collection}", "movie_stream.aggregates.groups:Groups.apply"),
    ("results: active_users, top_users", "movie_stream.aggregates.users:Users.apply"),
    ("result: data_quality", "movie_stream.aggregates.quality:Quality.apply"),
    ("partials", "movie_stream.aggregates.accumulator:Accumulator.partials"),
    ("checkpoint: {0.__class__.__name__}", "movie_stream.aggregates.accumulator:Accumulator.freeze"),
    ("checkpoint: {0.__class__.__name__}", "movie_stream.aggregates.merger:Merger.freeze"),
    ("changelog", "movie_stream.tables.table:Table.checkpoint"),
    ("publish: merge", "movie_stream.aggregates.merger:Merger.apply"),
    ("publish: documents", "movie_stream.aggregates.merger:Merger.documents"),
    ("publish: MongoDB", "movie_stream.mongo.sink:Sink.write"),
    ("send to Kafka", "movie_stream.kafka.log:Broker.send"),
    ("forget", "movie_stream.aggregates.accumulator:Accumulator.drop_expired"),
)
# fmt: on


class NoSuchStage(Exception):
    """A function of STAGES no longer exists."""

    def __init__(self, stage: str, name: str) -> None:
        super().__init__(f"{name} of the stage {stage!r} no longer exists: correct STAGES in bench/stages.py")


class Clock:
    """Self time by stage, in seconds of CPU time; each thread has a stack of its current stages."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._local = threading.local()

    def run(self, stage: str, do: Callable[[], Any]) -> Any:
        """Calls `do`; counts its time for the stage, except the time of stages within it."""
        within: list[float] = self._local.__dict__.setdefault("within", [0.0])
        within.append(0.0)
        began = thread_time()
        try:
            return do()
        finally:
            took = thread_time() - began
            self.seconds[stage] += took - within.pop()
            within[-1] += took

    def of_function(self, function: Any, stage: str) -> Any:
        """The function, timed; a coroutine or generator is timed in each step, whichever thread resumes it."""

        def label(arguments: tuple[Any, ...]) -> str:
            return stage.format(*arguments) if "{" in stage else stage

        @functools.wraps(function)
        async def timed_coroutine(*arguments: Any, **keywords: Any) -> Any:
            return await _Steps(self._steps(function(*arguments, **keywords), label(arguments)))

        @functools.wraps(function)
        def timed(*arguments: Any, **keywords: Any) -> Any:
            made = self.run(label(arguments), lambda: function(*arguments, **keywords))
            return self._steps(made, label(arguments)) if inspect.isgenerator(made) else made

        return timed_coroutine if inspect.iscoroutinefunction(function) else timed

    def _steps(self, steps: Any, stage: str) -> Generator[Any, Any, Any]:
        """Drives a coroutine or a generator; forwards values and exceptions sent into it."""
        do: Callable[[], Any] = functools.partial(steps.send, None)
        while True:
            try:
                given = self.run(stage, do)
            except StopIteration as end:
                return end.value
            try:
                do = functools.partial(steps.send, (yield given))
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as error:
                do = functools.partial(steps.throw, error)


class _Steps:
    """An awaitable made of a generator."""

    def __init__(self, steps: Generator[Any, Any, Any]) -> None:
        self._steps = steps

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._steps


def install(clock: Clock) -> None:
    """Replaces the functions by timed ones in every module that imported them. Raises NoSuchStage."""
    importlib.import_module("movie_stream.app")
    for stage, name in STAGES:
        module_name, _, path = name.partition(":")
        *owners, last = path.split(".")
        try:
            owner: Any = importlib.import_module(module_name)
            for part in owners:
                owner = getattr(owner, part)
            function = vars(owner)[last]
        except (ImportError, AttributeError, KeyError) as error:
            raise NoSuchStage(stage, name) from error
        timed = clock.of_function(function, stage)
        setattr(owner, last, timed)
        for module in list(sys.modules.values()):
            if getattr(module, "__name__", "").startswith("movie_stream") and vars(module).get(last) is function:
                setattr(module, last, timed)


def by_thread() -> dict[str, float]:
    """CPU seconds of each running thread by its name, and of all ended ones, such as Faust's consumer."""
    names = {thread.native_id: thread.name for thread in threading.enumerate()}
    seconds: defaultdict[str, float] = defaultdict(float)
    for thread in psutil.Process().threads():
        seconds[names.get(thread.id, "others")] += thread.user_time + thread.system_time
    return {**seconds, "threads that have ended": max(process_time() - sum(seconds.values()), 0.0)}


def main() -> None:
    """Runs the worker and writes the times, whatever ends it."""
    clock, file = Clock(), Path(sys.argv[1])
    install(clock)
    from movie_stream import app
    from movie_stream.commands.worker import work
    from movie_stream.settings import load_settings

    end, started_s = app.end, process_time()

    def write_and_end(exit_code: int) -> None:
        times = {"start_s": started_s, "stages": dict(clock.seconds), "threads": by_thread()}
        file.write_text(json.dumps(times), encoding="utf-8")
        end(exit_code)

    app.end = write_and_end  # type: ignore[assignment]
    work(load_settings(), until_end=True)


if __name__ == "__main__":
    main()
