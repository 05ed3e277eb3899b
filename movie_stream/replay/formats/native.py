"""Our own format: a column for each field of a view."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from movie_stream.events.contract import FIELDS, OPTIONAL, REQUIRED, TEXTS
from movie_stream.replay.files.csv_header import match_names, plain, read_header
from movie_stream.replay.files.csv_rows import Rows
from movie_stream.replay.files.table import Table
from movie_stream.replay.formats.format import ViewsFormat
from movie_stream.replay.formats.genres import Choice


class Native(ViewsFormat):
    """A CSV with the columns of a view."""

    name: ClassVar[str] = "native"
    title: ClassVar[str] = "views"
    columns: ClassVar[tuple[str, ...]] = REQUIRED
    others: ClassVar[tuple[str, ...]] = OPTIONAL
    texts: ClassVar[tuple[str, ...]] = tuple(TEXTS)
    fields: ClassVar[Mapping[str, str]] = {name: name for name in FIELDS}

    @classmethod
    def match_names(cls, names: Sequence[str]) -> list[str]:
        """As in `Format`, but also ignores blanks and punctuation: Movie ID is movie_id."""
        return match_names(names, (*cls.columns, *cls.others), plain)

    def __init__(self, file: Table, movies: Path | None, genre: Choice) -> None:
        self.header = read_header(file.path, file.line, file.names)

    def native(self, rows: Rows) -> Rows:
        return rows
