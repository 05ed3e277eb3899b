"""The progress of generating views: a bar on a terminal."""

from __future__ import annotations

from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn


class Bar:
    """A bar on standard error if that is a terminal; use it in a `with`."""

    def __init__(self, total: int) -> None:
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("[bold]views"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:,.0f} views/s"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=total == 0,
        )
        self._task = self._progress.add_task("views", total=total, rate=0.0)

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def advance(self, views: int) -> None:
        """Adds to the views that are done."""
        task = self._progress.tasks[0]
        self._progress.update(self._task, advance=views, rate=(task.completed + views) / (task.elapsed or 1))


def say(line: str, *, error: bool) -> None:
    """Prints a plain line, on standard error or output."""
    Console(stderr=error, highlight=False, soft_wrap=True).print(line, markup=False)
