"""Exports a result to a Delta Lake table that mirrors MongoDB; only differences are written."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import dropwhile
from pathlib import Path

from movie_stream.commands.export.by_range import AllGone
from movie_stream.commands.export.progress import Bar, say
from movie_stream.console.words import number_of
from movie_stream.export.columns import ID, Row, shape_of
from movie_stream.export.delta_mirror import mirrored
from movie_stream.export.delta_scope import Position, Scope
from movie_stream.export.delta_table import Merged, MirrorTable
from movie_stream.export.documents import Documents
from movie_stream.mongo.query import Query


def to_delta(documents: Documents, query: Query, path: Path) -> None:
    """Merges the rows into the table, one slice per commit, and prints the number of changes.

    Raises TableDiffers, TableBusy, TableDamaged, ExtraMissing, ExportFailed, AllGone, and the errors of MongoDB.
    """
    total = documents.count(query)
    table = MirrorTable(path, shape_of(query))
    whole = Scope(query.since, query.until, query.genre)
    name = query.collection
    if total == 0 and (rows := table.count(whole)):
        there = number_of(rows, "row")
        raise AllGone(path=path, collection=name, database=documents.database, there=there)
    merged = Merged()
    with Bar(name, total) as bar:
        for piece, count in mirrored(table, lambda start: _each(documents, query, start), whole):
            merged.add(piece)
            bar.advance(count)
    say(f"{name} in {path}: {_in_words(merged)} (version {table.version})")


def _each(documents: Documents, query: Query, start: Position | None) -> Iterator[Row]:
    """The documents from a position on."""
    if isinstance(start, datetime):
        query = replace(query, since=start)
    every = (document for page in documents.pages(query) for document in page)
    return dropwhile(lambda document: str(document[ID]) < start, every) if isinstance(start, str) else every


def _in_words(merged: Merged) -> str:
    """The changes as text.

    >>> _in_words(Merged(2, 1)), _in_words(Merged())
    ('2 rows added, 1 updated, 0 deleted', 'nothing has changed')
    """
    if not merged.any:
        return "nothing has changed"
    return f"{number_of(merged.inserted, 'row')} added, {merged.updated:,} updated, {merged.deleted:,} deleted"
