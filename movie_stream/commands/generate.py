"""`movie-stream generate`: writes a CSV of made-up views."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.generate import COLUMNS, generate_rows


def generate(*, output: Path, count: int, seed: int) -> None:
    """Writes `count` views to a new file, or to standard output where `output` is `-`.

    Raises UsageError where the file exists already (a device or a pipe may), InputError where it cannot be
    written.
    """
    if count < 0:
        raise UsageError(argument="--count", expected="a whole number from 0", got=str(count))
    try:
        with _opened(output) as file, _bar(count) as progress:
            task = progress.add_task("views", total=count)
            file.write(",".join(COLUMNS) + "\n")
            for rows in generate_rows(count, seed):
                file.write(rows.to_csv())
                progress.advance(task, len(rows))
    except BrokenPipeError:
        return  # who reads has seen enough, as in `... --output - | head`
    except OSError as error:
        raise InputError(path=output, expected="a file that can be written", got=error.strerror) from error
    Console(stderr=True, highlight=False, soft_wrap=True).print(f"Wrote {count:,} views to {output}.", markup=False)


@contextmanager
def _opened(output: Path) -> Iterator[TextIO]:
    """The file to write to; a new one is removed again if it does not become complete."""
    if str(output) == "-":
        with open(sys.stdout.fileno(), "w", encoding="utf-8", newline="", closefd=False) as stdout:
            yield stdout
        return
    special = output.exists() and not output.is_file() and not output.is_dir()
    try:
        file = output.open("w" if special else "x", encoding="utf-8", newline="")
    except FileExistsError as error:
        remedy = "remove it first, or name another"
        raise UsageError(
            argument="--output", expected="a file that does not exist yet", got=str(output), remedy=remedy
        ) from error
    try:
        with file:
            yield file
    except BaseException:
        if not special:
            output.unlink(missing_ok=True)
        raise


def _bar(count: int) -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("[bold]{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=count == 0,
    )
