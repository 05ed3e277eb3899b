"""Measures wall time, CPU time and memory of a process and its children, at the marks that it reports."""

from __future__ import annotations

import contextlib
import json
import os
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import psutil

from movie_stream.embedded.process import GuardedProcess

LOOK_EVERY_S: Final = 0.01
"""The precision of the times of marks."""
SAMPLE_EVERY_S: Final = 0.1
"""The interval at which memory is sampled."""
FAMILY_EVERY_S: Final = 0.5
"""The interval at which new children are searched for."""
GONE_WITHIN_S: Final = 5.0
LAST_WORDS: Final = 1500

FIRST: Final = "first"
"""The mark of the first event's arrival."""
LAST: Final = "last"
"""The mark of the last event's being counted."""


class PeerFailed(Exception):
    """A measured process ended with an error, or not in time; the message has its last output."""


@dataclass(frozen=True)
class Mark:
    """A time that a process reported, with the resources used until then."""

    name: str
    at_s: float
    """The time by the monotonic clock."""
    cpu_s: float
    values: Mapping[str, Any] = field(default_factory=dict)
    """Further values that it reported."""


@dataclass(frozen=True)
class Measured:
    """A process that has ended."""

    began_s: float
    """The start by the monotonic clock, like the times of `marks`."""
    ended_s: float
    cpu_s: float
    """User and system time, from its start to its end, of the process and its children."""
    peak_rss_bytes: int
    """The peak of their total memory, by samples."""
    marks: tuple[Mark, ...]
    log: str

    @property
    def wall_s(self) -> float:
        """Wall time from its start to its end."""
        return self.ended_s - self.began_s

    def mark(self, name: str, nth: int = 0) -> Mark:
        """The nth mark of that name. Raises PeerFailed if there is none."""
        found = [mark for mark in self.marks if mark.name == name]
        if not -len(found) <= nth < len(found):
            raise PeerFailed(f"it never told of {name!r}; it said: {self.log[-LAST_WORDS:]}")
        return found[nth]


Notice = Callable[[str], tuple[str, Mapping[str, Any]] | None]
"""Parses a line of a log: the name of a mark, with further values; None if there is no mark."""


def json_mark(line: str) -> tuple[str, Mapping[str, Any]] | None:
    """The mark in a line of a peer, which is an object in JSON.

    >>> json_mark('{"mark": "last", "events": 20000}')
    ('last', {'events': 20000})
    >>> json_mark("[INFO] starting")
    """
    if not line.startswith('{"mark"'):
        return None
    said = json.loads(line)
    return said.pop("mark"), said


class Meter:
    """Runs a command within a `with` block and measures it; the block's end removes all processes and files of it.

    Its working directory is a temporary folder. `variables` are its whole environment.
    """

    def __init__(
        self, what: str, command: Sequence[str], variables: Mapping[str, str], notice: Notice = json_mark
    ) -> None:
        self._what, self._notice = what, notice
        self.began_s = time.monotonic()
        self.process = GuardedProcess(what, command, variables)
        self._guard = psutil.Process(psutil.Process(self.process.pid).ppid())
        self._family: list[psutil.Process] = []
        self._cpu_s, self._peak_rss, self._looked_at_s = 0.0, 0, 0.0
        self._marks: list[Mark] = []
        self._read, self._rest = 0, ""
        self._ended_s: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=f"meter of {what}", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.process.stop()
        for one in self._family:  # Spark's JVM ends some time after the script that started it
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(self._family, timeout=GONE_WITHIN_S)

    @property
    def marks(self) -> Sequence[Mark]:
        """The marks reported so far."""
        return self._marks

    @property
    def running(self) -> bool:
        """Whether the command still runs."""
        return self._ended_s is None

    @property
    def cpu_s(self) -> float:
        """The CPU time used so far."""
        return self._cpu_s

    @property
    def peak_rss_bytes(self) -> int:
        """The peak of the total memory so far, by samples."""
        return self._peak_rss

    def wait(self, within_s: float, code: int = 0) -> Measured:
        """Waits for its end with the expected exit code. Raises PeerFailed."""
        deadline = self.began_s + within_s
        while self.running:
            if time.monotonic() > deadline:
                raise PeerFailed(f"{self._what} did not end within {within_s:g} s: {self.process.log()[-LAST_WORDS:]}")
            time.sleep(LOOK_EVERY_S)
        self._thread.join()
        log = self.process.log()
        if self.process.exit_code() != code:
            raise PeerFailed(f"{self._what} ended with {self.process.exit_code()}: {log[-LAST_WORDS:]}")
        assert self._ended_s is not None
        return Measured(self.began_s, self._ended_s, self._cpu_s, self._peak_rss, tuple(self._marks), log)

    def until(self, mark: str, within_s: float, nth: int = 1) -> Measured:
        """Waits for the nth such mark; returns the resources used until then. The command may continue.

        Raises PeerFailed.
        """
        deadline = self.began_s + within_s
        while len(found := [one for one in self._marks if one.name == mark]) < nth:
            if not self.running:
                raise PeerFailed(f"{self._what} ended before it was done: {self.process.log()[-LAST_WORDS:]}")
            if time.monotonic() > deadline:
                raise PeerFailed(f"{self._what} was not done within {within_s:g} s: {self.process.log()[-LAST_WORDS:]}")
            time.sleep(LOOK_EVERY_S)
        at = found[nth - 1]
        return Measured(self.began_s, at.at_s, at.cpu_s, self._peak_rss, tuple(self._marks), self.process.log())

    def _watch(self) -> None:
        sampled_s = 0.0
        while not self._over.is_set():
            ended = self.process.exit_code() is not None
            now_s = time.monotonic()
            if ended:
                self._count_ended()
            elif now_s - sampled_s >= SAMPLE_EVERY_S:
                self._sample(now_s)
                sampled_s = now_s
            self._look(now_s)
            if ended:
                self._ended_s = now_s
                return
            self._over.wait(LOOK_EVERY_S)

    def _look(self, now_s: float) -> None:
        """Reads its new output."""
        with (self.process.folder / "log").open("rb") as log:
            log.seek(self._read)
            fresh = log.read()
        self._read += len(fresh)
        *lines, self._rest = (self._rest + fresh.decode("utf-8", "replace")).split("\n")
        for line in lines:
            if told := self._notice(line):
                self._sample(now_s)
                self._marks.append(Mark(told[0], now_s, self._cpu_s, told[1]))

    def _sample(self, now_s: float) -> None:
        """Samples the process and its children."""
        if now_s - self._looked_at_s >= FAMILY_EVERY_S:
            self._looked_at_s = now_s
            known = dict.fromkeys(one for one in self._family if one.is_running())
            with contextlib.suppress(psutil.NoSuchProcess):
                top = psutil.Process(self.process.pid)
                known |= dict.fromkeys([top, *top.children(recursive=True)])
            self._family = list(known)
        cpu_s, rss = 0.0, 0
        for one in self._family:
            try:
                with one.oneshot():
                    cpu_s += sum(one.cpu_times()[:4])  # its own, and that of its ended children
                    rss += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self._cpu_s = max(self._cpu_s, cpu_s)  # an ended process may not be accounted to its parent yet
        self._count_ended()  # or to the guard, if it ended after a mark
        self._peak_rss = max(self._peak_rss, rss)

    def _count_ended(self) -> None:
        """Adds the CPU time that the running guard has accounted for its ended children."""
        try:
            times = self._guard.cpu_times()
        except psutil.NoSuchProcess:
            return
        self._cpu_s = max(self._cpu_s, times.children_user + times.children_system)


def environment(without: Sequence[str] = (), **more: str) -> dict[str, str]:
    """Our environment for a child, without some variables and with others added."""
    return {**{name: value for name, value in os.environ.items() if name not in without}, **more}
