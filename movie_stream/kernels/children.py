"""Compiles kernels in processes of their own, two at once, so that ours needs no Numba."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from selectors import EVENT_READ, DefaultSelector
from threading import Event
from typing import IO, Final

from movie_stream.errors import KernelRefused

AT_ONCE: Final = 2
_LOOK_EVERY_S: Final = 0.05

_early: Final[list[_Child]] = []


def start_early() -> None:
    """Starts the processes: they import Numba, which takes a while, before there is a kernel to ask them for."""
    _early.extend(_Child() for _ in range(AT_ONCE - len(_early)))


def end_early() -> None:
    """Ends those that were started early, and not asked for anything."""
    while _early:
        _early.pop().end()


def compiled(names: Sequence[str], stopped: Event) -> Iterator[tuple[str, bytes]]:
    """The object files of kernels, by their names, each as soon as it is compiled; the first ones are begun first.

    It ends early once `stopped` is set. However it ends, no process is left. Raises KernelRefused.
    """
    waiting = list(reversed(names))
    children = [_early.pop() if _early else _Child() for _ in range(min(AT_ONCE, len(waiting)))]
    try:
        with DefaultSelector() as selector:
            for child in children:
                child.ask(waiting.pop())
                selector.register(child.answers, EVENT_READ, child)
            while selector.get_map() and not stopped.is_set():
                for key, _ in selector.select(_LOOK_EVERY_S):
                    yield key.data.answer()
                    if waiting:
                        key.data.ask(waiting.pop())
                    else:
                        selector.unregister(key.fileobj)
    finally:
        for child in children:
            child.end()
        end_early()


class _Child:
    """A process of compiler.py. In a session of its own: it hears of no Ctrl-C, and ends when its stdin is closed."""

    def __init__(self) -> None:
        words = [sys.executable, "-P", "-m", f"{__package__}.compiler"]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path or str(Path.cwd()) for path in sys.path)}
        self._process = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, start_new_session=True
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._questions: IO[bytes] = self._process.stdin
        self.answers: IO[bytes] = self._process.stdout
        self._asked = ""

    def ask(self, name: str) -> None:
        """Has it compile a kernel, once it has answered."""
        self._asked = name
        try:
            self._questions.write(f"{name}\n".encode())
            self._questions.flush()
        except BrokenPipeError:
            self._failed()

    def answer(self) -> tuple[str, bytes]:
        """The kernel that it was asked for, and its object file."""
        size = int(self.answers.readline() or -1)
        code = self.answers.read(max(size, 0))
        if len(code) != size:
            self._failed()
        return self._asked, code

    def _failed(self) -> None:
        raise KernelRefused(kernel=self._asked, code=self._process.wait())

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()
