"""The workers of a scenario: real processes that are started, killed, paused, asked to leave, and read."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Final, Self

from movie_stream.settings import Settings
from tests.support.server_process import pause
from tests.support.whole_path import COMMAND, environment

PATIENCE_S: Final = 120.0
LEFT_WITHIN_S: Final = 15.0
"""A worker that is told to leave has left by then; it takes 1 to 2 s where the machine has nothing else to do."""
ROOT: Final = Path(__file__).parents[2]
GOES_ON: Final = re.compile(r"(\S+), partition (\d+): goes on at offset (\d+)")
OVERTAKEN: Final = "error: the worker stops: another worker has taken over"
COUNTED: Final = re.compile(r"stops; read ([\d,]+) events")
Command = Sequence[str]

PLAIN: Final[Command] = (COMMAND, "worker")


def crashing(step: str = "none", nth: int = 1, rows: int = 2_000) -> Command:
    """A worker that ends at a step, see crashing.py."""
    return sys.executable, "-m", "tests.chaos.crashing", step, str(nth), str(rows)


def until(holds: Callable[[], bool], what: str, within_s: float = PATIENCE_S) -> None:
    """Waits for a condition; `what` completes "not within ... s: "."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        time.sleep(0.02)


class WorkerUnderTest:
    """One worker process and its log."""

    def __init__(self, name: str, settings: Settings, log: Path, command: Command) -> None:
        self.name, self.log, self._paused = name, log, False
        with log.open("wb") as output:
            self.process = subprocess.Popen(command, env=environment(settings), cwd=ROOT, stdout=output, stderr=output)
        self.killed = False
        """Whether it was ended by force: what it says then is no wonder."""

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    @property
    def text(self) -> str:
        """All that it has printed."""
        return self.log.read_text(errors="replace")

    @property
    def positions(self) -> dict[tuple[str, int], int]:
        """Where it went on, by topic and partition; of several times the last."""
        return {(topic, int(partition)): int(at) for topic, partition, at in GOES_ON.findall(self.text)}

    @property
    def counted(self) -> int:
        """How many events it says that it has counted, at its end."""
        [count] = COUNTED.findall(self.text)
        return int(count.replace(",", ""))

    def wait_for(self, text: str) -> None:
        """Waits until it says so."""
        until(lambda: text in self.text or not self.alive, f"{self.name} says {text!r}")
        assert text in self.text, f"{self.name} ended with {self.process.returncode}: {self.text[-2000:]}"

    def kill(self) -> None:
        """kill -9, and wait until it is gone."""
        self.killed = True
        self.process.kill()
        self.process.wait()

    def terminate(self, overtaken: bool = False) -> float:
        """SIGTERM; how many seconds it took to leave, which it must in good order; or find itself `overtaken`."""
        began = time.monotonic()
        self.process.terminate()
        code = self.process.wait(PATIENCE_S)
        expected = code == 0 or (overtaken and OVERTAKEN in self.text)
        assert expected, f"{self.name} ended with {code}: {self.text[-2000:]}"
        return time.monotonic() - began

    def pause(self) -> None:
        """SIGSTOP."""
        self._paused = True
        pause(self.process.pid)

    def go_on(self) -> None:
        """SIGCONT."""
        if self._paused and self.alive:
            os.kill(self.process.pid, signal.SIGCONT)
        self._paused = False


class Fleet:
    """All workers of a scenario, within a `with` block; none outlives it."""

    def __init__(self, settings: Settings, folder: Path) -> None:
        self.settings, self._folder = settings, folder
        self.all: list[WorkerUnderTest] = []
        self._starting = Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self.all:
            worker.kill()

    @property
    def alive(self) -> list[WorkerUnderTest]:
        """Those that run, or are paused."""
        return [worker for worker in self.all if worker.alive]

    def start(self, command: Command = PLAIN) -> WorkerUnderTest:
        """One more; does not wait until it does anything."""
        with self._starting:
            name = f"worker{len(self.all)}"
            worker = WorkerUnderTest(name, self.settings, self._folder / f"{name}.log", command)
            self.all.append(worker)
            return worker

    def fill(self, count: int, command: Command = PLAIN) -> None:
        """Starts as many as are missing, as whoever runs workers would."""
        for _ in range(count - len(self.alive)):
            self.start(command)

    @contextmanager
    def kept(self, count: int) -> Iterator[None]:
        """This number of workers runs during the block: one that ends is replaced, after a pause."""
        over = Event()

        def keep() -> None:
            while not over.wait(0.1):
                self.fill(count)

        keeper = Thread(target=keep, name="keeper of the fleet")
        keeper.start()
        try:
            yield
        finally:
            over.set()
            keeper.join()

    def owners(self, places: int) -> bool:
        """Whether all partitions (`places` of them, over both topics) have been taken over by those that run."""
        return len({place for worker in self.alive for place in worker.positions}) == places

    def faults_said(self) -> list[str]:
        """What workers said that nobody killed and that ended all the same, a line each. Fails on a traceback."""
        lines = []
        for worker in self.all:
            assert "Traceback" not in worker.text, f"{worker.name}: {worker.text[-4000:]}"
            if not worker.alive and not worker.killed and worker.process.returncode > 0:
                lines += [line for line in worker.text.splitlines() if line.startswith("error: ")]
        return lines
