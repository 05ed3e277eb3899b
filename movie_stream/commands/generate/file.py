"""Writes made-up views to a file: CSV, JSON Lines as in the topic, or Parquet."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final, cast

import zstandard

from movie_stream.commands.generate.progress import Bar, say
from movie_stream.console.words import number_of
from movie_stream.errors import InputError, ReaderGone, UsageError
from movie_stream.replay.synthetic.damage import Lines
from movie_stream.replay.synthetic.faults import FaultyRows, Tally
from movie_stream.replay.synthetic.generate import COLUMNS
from movie_stream.replay.synthetic.synthetic_views import SyntheticViews, csv_lines, records

FORMATS: Final = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
"""Formats by the ending of the file's name."""
PARQUET: Final = "parquet"
GZIP, ZSTD = ".gz", ".zst"
"""Endings of compressed files."""


def format_of(output: Path, named: str | None = None) -> str:
    """The format to write: `named`, else that of the ending; csv without an ending.

    >>> format_of(Path("views.jsonl.gz")), format_of(Path("-")), format_of(Path("views.txt"), "csv")
    ('jsonl', 'csv', 'csv')

    Raises UsageError.
    """
    packed = output.suffix.lower() in (GZIP, ZSTD)
    ending = (output.with_suffix("") if packed else output).suffix.lower()
    found = named or FORMATS.get(ending, "" if ending else "csv")
    if not found:
        expected = "a name that ends in .csv, .jsonl or .parquet (the first two also in .gz or .zst)"
        raise UsageError(
            argument="--output", expected=expected, got=str(output), remedy="or say what it is: --format csv"
        )
    if found == PARQUET and packed:
        expected = "a name without .gz and .zst for Parquet, which is packed anyway"
        raise UsageError(argument="--output", expected=expected, got=str(output))
    return found


def write_file(views: SyntheticViews, output: Path, file_format: str) -> None:
    """Writes the views to a new file, or to standard output if `output` is `-`; as csv, jsonl or parquet.

    Raises UsageError if the file already exists (a device or a pipe may), or Parquet cannot hold the views; InputError
    if it cannot be written; ReaderGone if it is a pipe that its reader closed; ParquetMissing without the extra.
    """
    if file_format == PARQUET and views.bad:
        expected = "csv or jsonl for views that are spoilt, which Parquet cannot hold"
        raise UsageError(argument="--bad-fraction", expected=expected, got=str(output))
    tally = Tally()
    try:
        with _opened(output) as file, Bar(views.count) as bar, _writer(file, views, output, file_format) as write:
            for faulty in views.chunks():
                write(faulty)
                tally.add(faulty)
                bar.advance(len(faulty))
            file.flush()
    except BrokenPipeError as error:
        raise ReaderGone from error
    except OSError as error:
        raise InputError(path=output, expected="a file that can be written", got=error.strerror) from error
    say(f"Wrote {number_of(views.count, 'view')} to {output}{tally if views.has_faults else ''}.", error=True)


@contextmanager
def _writer(
    file: BinaryIO, views: SyntheticViews, output: Path, file_format: str
) -> Iterator[Callable[[FaultyRows], object]]:
    """A function that writes views to the file; the file is complete after the block."""
    if file_format == PARQUET:
        from movie_stream.replay.synthetic.parquet import ParquetWriter

        with ParquetWriter(file, output, prices=views.prices) as parquet:
            yield lambda faulty: parquet.write(faulty.rows)
        file.flush()
        return
    with _packed(file, output) as packed:
        lines = _begin(packed, views) if file_format == "csv" else records
        yield lambda faulty: packed.write(b"\n".join([*faulty.lines(lines), b""]))
    file.flush()


@contextmanager
def _packed(file: BinaryIO, output: Path) -> Iterator[BinaryIO]:
    """A file that compresses its content if the name's ending says so."""
    match output.suffix.lower():
        case ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        case ".zst":
            with zstandard.ZstdCompressor().stream_writer(file, closefd=False) as packed:
                yield cast(BinaryIO, packed)
        case _:
            yield file


def _begin(file: BinaryIO, views: SyntheticViews) -> Lines:
    """Writes the header; returns the function that makes the lines below it."""
    columns = COLUMNS if views.prices else COLUMNS[:-1]
    file.write(",".join(columns).encode() + b"\n")
    return partial(csv_lines, columns=len(columns))


@contextmanager
def _opened(output: Path) -> Iterator[BinaryIO]:
    """The file to write to; a new one is removed if it stays incomplete."""
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
