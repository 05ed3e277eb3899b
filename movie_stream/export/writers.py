"""Writes rows to a file of any form, atomically."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Protocol

from movie_stream.errors import UsageError
from movie_stream.export.arrow import pyarrow
from movie_stream.export.columns import Column, Rows
from movie_stream.export.excel_file import ExcelFile, xlsxwriter
from movie_stream.export.new_file import new_file, scratch_beside
from movie_stream.export.parquet_file import ParquetFile
from movie_stream.export.target import Form
from movie_stream.export.text_file import CsvFile, LinesFile, packed


class Writer(Protocol):
    """Takes rows until it is finished."""

    def write(self, rows: Rows) -> None: ...
    def finish(self) -> None: ...


def require_library(form: Form) -> None:
    """Raises ExtraMissing if the library that the form needs is not installed."""
    if form.format == "parquet":
        pyarrow("parquet")
    elif form.format == "xlsx":
        xlsxwriter()


@contextmanager
def writer_to(
    path: Path, form: Form, columns: Sequence[Column], *, name: str, overwrite: bool = False, bom: bool = False
) -> Iterator[Writer]:
    """A writer of the file `path`, which exists after the block, but not if the block raises.

    `name` is the result's; `bom` applies to CSV alone.

    Raises the errors of `new_file`, ExtraMissing, UnsupportedValue and SheetFull.
    """
    if not form.is_text and path.exists() and not path.is_file() and not path.is_dir():
        raise UsageError(argument="--to", expected="a file, or csv or ndjson for a device or a pipe", got=str(path))
    with new_file(path, overwrite=overwrite) as file:
        if form.is_text:
            with _text(file, form, columns, bom=bom) as writer:
                yield writer
            return
        with _scratch(path, form) as scratch:
            writer = (
                ParquetFile(file, columns)
                if form.format == "parquet"
                else ExcelFile(file, columns, name=name, scratch=scratch)
            )
            try:
                yield writer
                writer.finish()
            except BaseException:
                writer.abandon()
                raise


@contextmanager
def writer_to_stdout(form: Form, columns: Sequence[Column], *, bom: bool = False) -> Iterator[Writer]:
    """A writer of CSV or JSON Lines to standard output. Raises OutputFailed and ReaderGone."""
    sys.stdout.flush()
    with _text(sys.stdout.buffer, form, columns, bom=bom) as writer:
        yield writer
    sys.stdout.buffer.flush()


@contextmanager
def _text(file: BinaryIO, form: Form, columns: Sequence[Column], *, bom: bool) -> Iterator[Writer]:
    with packed(file, form.packing) as text:
        writer = CsvFile(text, columns, bom=bom) if form.format == "csv" else LinesFile(text, columns)
        yield writer
        writer.finish()


@contextmanager
def _scratch(path: Path, form: Form) -> Iterator[Path]:
    """A temporary folder beside the file, needed by Excel's format alone."""
    if form.format != "xlsx":
        yield path.parent
        return
    with scratch_beside(path) as folder:
        yield folder
