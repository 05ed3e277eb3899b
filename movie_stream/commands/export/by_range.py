"""Exports a result to a folder with a file for each day or month; complete files are not written a second time.

The folder records its content (export/bookkeeping.py). So an interrupted export resumes when it is repeated, and a
later one writes only the ranges whose documents have changed since, including new ones.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from movie_stream.commands.export.one_file import check_sheet, copied
from movie_stream.commands.export.progress import Bar, say
from movie_stream.console.words import number_of
from movie_stream.errors import MovieStreamError, UsageError
from movie_stream.events.event import slug_of
from movie_stream.export.bookkeeping import NAME, Bookkeeping, CompleteRange, Mark
from movie_stream.export.columns import columns_of, shape_of
from movie_stream.export.documents import ALL, Documents
from movie_stream.export.new_file import PART, sweep
from movie_stream.export.ranges import By, end_of, labelled, widened
from movie_stream.export.target import Form
from movie_stream.export.writers import writer_to
from movie_stream.mongo.query import Query


class RangesMissing(MovieStreamError):
    """MongoDB has no document of the ranges exported before, so it is probably another database.

    What to do: see that it is the right database, and no rebuild has just begun.

    >>> print(RangesMissing(path="lake/hours", collection="hourly_metrics", database="movies_db", there="3 days"))
    lake/hours holds 3 days of hourly_metrics, and movies_db has no document of these; nothing was deleted: check that \
MONGODB_DATABASE is right and no rebuild has just begun, or remove the folder
    """

    def __init__(self, *, path: object, collection: str, database: str, there: str) -> None:
        super().__init__(
            f"{path} holds {there} of {collection}, and {database} has no document of these; nothing was deleted: "
            "check that MONGODB_DATABASE is right and no rebuild has just begun, or remove the folder"
        )


def to_ranges(
    documents: Documents,
    query: Query,
    folder: Path,
    form: Form,
    by: By,
    *,
    overwrite: bool = False,
    bom: bool = False,
) -> None:
    """Writes the ranges that the query touches and that are not complete, and prints their number.

    Raises FolderTaken, RangesMissing, and the errors of `writer_to` and of MongoDB.
    """
    query = _in_whole_ranges(query, by)
    notes = Bookkeeping.of(folder, _about(documents, query, form, by, bom=bom))
    _check_ours(notes, overwrite=overwrite)
    marks = documents.ranges(query, by)
    gone = [label for label in notes.ranges if label not in marks and _is_meant(label, query, by)]
    if gone and not marks:
        raise RangesMissing(
            path=folder,
            collection=query.collection,
            database=documents.database,
            there=number_of(len(gone), "range"),
        )
    missing = {label: mark for label, mark in marks.items() if overwrite or not notes.holds(label, mark)}
    sweep(folder, rf"(?:[\d-]+|{ALL}){re.escape(form.ending)}|{re.escape(NAME)}")
    if missing or gone:
        notes.begin()
    rows = 0
    with Bar(query.collection, sum(mark.documents for mark in missing.values())) as bar:
        for label, mark in missing.items():
            rows += _write(documents, _of_range(query, label, by), notes, label, mark, form, bar, bom=bom)
    for label in gone:
        notes.remove(label)
    say(_in_words(query, folder, by, len(missing), rows, len(marks) - len(missing), len(gone)))


def _write(
    documents: Documents,
    query: Query,
    notes: Bookkeeping,
    label: str,
    mark: Mark,
    form: Form,
    bar: Bar,
    *,
    bom: bool,
) -> int:
    """Writes one range. Its mark is older than its documents, so what changes meanwhile is rewritten the next time."""
    check_sheet(documents, query, form)
    path = notes.folder / f"{label}{form.ending}"
    name = query.collection
    writing = writer_to(path, form, columns_of(shape_of(query)), name=name, overwrite=True, bom=bom)
    rows = copied(documents, query, writing, bar)
    notes.add(CompleteRange(label, path.name, path.stat().st_size, rows, mark))
    return rows


def _about(documents: Documents, query: Query, form: Form, by: By, *, bom: bool) -> Mapping[str, Any]:
    """The properties that all files of a folder share."""
    return {
        "result": query.collection,
        "database": documents.database,
        "by": by if query.shape.start else ALL,
        "format": form.ending.removeprefix("."),
        "bom": bom,
        "genre": None if query.genre is None else slug_of(query.genre),
        "columns": {column.name: column.kind for column in columns_of(shape_of(query))},
    }


def _check_ours(notes: Bookkeeping, *, overwrite: bool) -> None:
    """Raises UsageError for a folder that holds other files, unless it is to be overwritten."""
    folder = notes.folder
    if folder.exists() and not folder.is_dir():
        raise UsageError(argument="--to", expected="a folder", got=str(folder))
    if overwrite or not folder.is_dir() or (folder / NAME).exists():
        return
    if any(not entry.name.endswith(PART) for entry in folder.iterdir()):
        expected = "a folder that is new or empty, or holds such an export already"
        raise UsageError(argument="--to", expected=expected, got=str(folder), remedy="or use --overwrite")


def _in_whole_ranges(query: Query, by: By) -> Query:
    if query.shape.start is None:
        return query
    since, until = widened(query.since, query.until, by)
    if (since, until) != (query.since, query.until):
        bounds = [f"from {_day(since)}"] * (since is not None) + [f"to {_day(until)} exclusive"] * (until is not None)
        say(f"{query.collection}: whole {by}s, {' '.join(bounds)} (UTC)")
    return replace(query, since=since, until=until)


def _of_range(query: Query, label: str, by: By) -> Query:
    if query.shape.start is None:
        return query
    start = labelled(label, by)
    return replace(query, since=start, until=end_of(start, by))


def _is_meant(label: str, query: Query, by: By) -> bool:
    """Whether a range lies within the times of the query."""
    if query.shape.start is None:
        return True
    start = labelled(label, by)
    return (query.since is None or start >= query.since) and (query.until is None or start < query.until)


def _in_words(query: Query, folder: Path, by: By, written: int, rows: int, whole: int, gone: int) -> str:
    unit = by if query.shape.start else "file"
    name = query.collection
    text = f"Wrote {number_of(written, unit)} of {name}, {number_of(rows, 'row')}, to {folder}"
    if whole:
        text += f"; {number_of(whole, unit)} {'was' if whole == 1 else 'were'} whole already"
    if gone:
        text += f"; removed {number_of(gone, unit)} that {'is' if gone == 1 else 'are'} not in MongoDB any more"
    return text


def _day(time: datetime | None) -> str:
    return "" if time is None else f"{time:%Y-%m-%d}"
