"""Exports a result to one file, or to standard output."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path

from movie_stream.commands.export.progress import Bar, on_one_terminal, say, size_of
from movie_stream.console.words import number_of
from movie_stream.export.columns import columns_of, rows_of, shape_of
from movie_stream.export.documents import Documents
from movie_stream.export.excel_file import MOST_ROWS, SheetFull
from movie_stream.export.target import Form
from movie_stream.export.writers import Writer, writer_to, writer_to_stdout
from movie_stream.mongo.query import Query


def to_file(
    documents: Documents, query: Query, path: Path, form: Form, *, overwrite: bool = False, bom: bool = False
) -> None:
    """Writes the rows to a file and prints their number.

    Raises the errors of `writer_to` and of MongoDB.
    """
    check_sheet(documents, query, form)
    columns, name = columns_of(shape_of(query)), query.collection
    writing = writer_to(path, form, columns, name=name, overwrite=overwrite, bom=bom)
    with Bar(name, documents.count(query)) as bar:
        rows = copied(documents, query, writing, bar)
    size = f" ({size_of(path.stat().st_size)})" if path.is_file() else ""
    say(f"Wrote {number_of(rows, 'row')} of {name} to {path}{size}")


def to_stdout(documents: Documents, query: Query, form: Form, *, bom: bool = False) -> None:
    """Writes the rows to standard output. Raises OutputFailed, ReaderGone, and the errors of MongoDB."""
    total = None if on_one_terminal() else documents.count(query)
    with Bar(query.collection, total, quiet=on_one_terminal()) as bar:
        copied(documents, query, writer_to_stdout(form, columns_of(shape_of(query)), bom=bom), bar)


def copied(documents: Documents, query: Query, writing: AbstractContextManager[Writer], bar: Bar) -> int:
    """Copies the rows of the query into the writer; returns their number."""
    count, shape = 0, shape_of(query)
    with writing as writer:
        for page in bar.over(documents.pages(query)):
            rows = list(rows_of(shape, page))
            writer.write(rows)
            count += len(rows)
    return count


def check_sheet(documents: Documents, query: Query, form: Form) -> None:
    """Raises SheetFull before anything is written, if the rows do not fit into a sheet of Excel."""
    if form.format == "xlsx" and (rows := documents.rows(query)) is not None and rows >= MOST_ROWS:
        raise SheetFull(collection=query.collection, rows=rows)
