"""A result as a Delta Lake table, which is made to mirror MongoDB: only what differs is written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from movie_stream.commands.export.by_range import AllGone
from movie_stream.commands.export.progress import Bar, say
from movie_stream.console.words import number_of
from movie_stream.export.columns import Row
from movie_stream.export.delta_scope import Scope, slices
from movie_stream.export.delta_table import Merged, MirrorTable
from movie_stream.export.documents import Documents
from movie_stream.mongo.query import Query


def to_delta(documents: Documents, query: Query, path: Path) -> None:
    """Merges the rows into the table, a slice in a commit, and says what has changed.

    Raises TableDiffers, TableBusy, ExtraMissing, ExportFailed, AllGone, and the errors of MongoDB.
    """
    total = documents.count(query)
    table = MirrorTable(path, query.shape)
    whole = Scope(query.since, query.until, query.genre)
    name = query.result.collection
    if total == 0 and (rows := table.count(whole)):
        there = number_of(rows, "row")
        raise AllGone(path=path, collection=name, database=documents.database, there=there)
    merged = Merged()
    with Bar(name, total) as bar:
        for piece in slices(_each(documents, query), query.shape, whole):
            merged.add(table.merge(piece.rows, piece.scope))
            bar.advance(piece.documents)
    say(f"{name} in {path}: {_in_words(merged)} (version {table.version})")


def _each(documents: Documents, query: Query) -> Iterator[Row]:
    for page in documents.pages(query):
        yield from page


def _in_words(merged: Merged) -> str:
    """What was changed.

    >>> _in_words(Merged(2, 1)), _in_words(Merged())
    ('2 rows added, 1 updated, 0 deleted', 'nothing has changed')
    """
    if not merged.any:
        return "nothing has changed"
    return f"{number_of(merged.inserted, 'row')} added, {merged.updated:,} updated, {merged.deleted:,} deleted"
