"""Our own format: a column for each field of a view."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from movie_stream.replay.csv_file import CsvFile
from movie_stream.replay.csv_header import REQUIRED, read_header
from movie_stream.replay.csv_rows import Rows
from movie_stream.replay.formats.format import ViewsFormat


class Native(ViewsFormat):
    """A CSV with the columns of a view."""

    name: ClassVar[str] = "native"
    title: ClassVar[str] = "views"
    columns: ClassVar[tuple[str, ...]] = REQUIRED

    def __init__(self, file: CsvFile, movies: Path | None) -> None:
        self.header = read_header(file.path, file.line, file.names)

    def native(self, rows: Rows) -> Rows:
        return rows
