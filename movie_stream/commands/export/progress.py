"""The progress of an export: a bar while it runs, and a line for each file or table written."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from movie_stream.export.columns import Row


class Bar:
    """A bar on standard error, if that is a terminal on which the output is not shown too; use it in a `with`.

    It counts documents. Their total was counted before; if that took too long, the bar only shows how many are done.
    """

    def __init__(self, name: str, total: int | None, *, quiet: bool = False) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            TaskProgressColumn(),
            TextColumn("{task.completed:,.0f} documents"),
            TimeRemainingColumn(),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task(name, total=total)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def advance(self, documents: int) -> None:
        """Adds to the documents that are done; if there are more than the total, they were added meanwhile."""
        task = self._progress.tasks[0]
        done = task.completed + documents
        total = None if task.total is None else max(task.total, done)
        self._progress.update(self._task, completed=done, total=total)

    def over(self, pages: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """Yields the same pages; each counts as done when the next one is requested."""
        for page in pages:
            yield page
            self.advance(len(page))


def say(line: str) -> None:
    """Prints a line on standard error, since standard output is for the export."""
    Console(stderr=True, highlight=False, soft_wrap=True).print(line, markup=False)


def on_one_terminal() -> bool:
    """Whether a bar would appear amid the output."""
    return sys.stdout.isatty()


def size_of(size_bytes: int) -> str:
    """A size in bytes for people.

    >>> size_of(999), size_of(1_234_567), size_of(5_000_000_000)
    ('999 bytes', '1.2 MB', '5.0 GB')
    """
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size_bytes >= least:
            return f"{size_bytes / least:.1f} {unit}"
    return f"{size_bytes} bytes"
