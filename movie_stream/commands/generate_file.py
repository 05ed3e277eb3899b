"""Made-up views to a file: CSV, or lines of JSON as they stand in the topic."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO

from movie_stream.commands.generate_progress import Bar, say
from movie_stream.errors import InputError, ReaderGone, UsageError
from movie_stream.replay.damage import Lines
from movie_stream.replay.faults import Tally
from movie_stream.replay.generate import COLUMNS
from movie_stream.replay.made_up import MadeUp, csv_lines, records


def write_file(views: MadeUp, output: Path, file_format: str) -> None:
    """Writes the views to a new file, or to standard output where `output` is `-`; as csv or jsonl.

    Raises UsageError where the file exists already (a device or a pipe may), InputError where it cannot be
    written, ReaderGone where it is a pipe that nobody reads any more.
    """
    tally = Tally()
    try:
        with _opened(output) as file, Bar(views.count) as bar:
            lines = _begin(file, views) if file_format == "csv" else records
            for faulty in views.chunks():
                file.write(b"\n".join([*faulty.lines(lines), b""]))
                tally.add(faulty)
                bar.advance(len(faulty))
            file.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise InputError(path=output, expected="a file that can be written", got=error.strerror) from error
    say(f"Wrote {views.count:,} views to {output}{tally if views.has_faults else ''}.", error=True)


def _begin(file: BinaryIO, views: MadeUp) -> Lines:
    """Writes the header; what makes the lines below it."""
    columns = COLUMNS if views.prices else COLUMNS[:-1]
    file.write(",".join(columns).encode() + b"\n")
    return partial(csv_lines, columns=len(columns))


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    """The file to write to; a new one is removed again if it does not become complete."""
    if str(output) == "-":
        yield sys.stdout.buffer
        return
    special = output.exists() and not output.is_file() and not output.is_dir()
    try:
        file = output.open("wb" if special else "xb")
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
