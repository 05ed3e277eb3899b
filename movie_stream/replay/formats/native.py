"""Our own format: a column for each field of a view."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from movie_stream.replay.csv_header import REQUIRED, read_header
from movie_stream.replay.csv_rows import Rows
from movie_stream.replay.formats.format import ViewsFormat
from movie_stream.replay.opened import Opened


class Native(ViewsFormat):
    """A CSV with the columns of a view."""

    name: ClassVar[str] = "native"
    title: ClassVar[str] = "views"
    columns: ClassVar[tuple[str, ...]] = REQUIRED

    def __init__(self, names: Sequence[str], source: Opened, movies: Path | None) -> None:
        self.header = read_header(source.path, 1, list(names))

    def native(self, rows: Rows) -> Rows:
        return rows
