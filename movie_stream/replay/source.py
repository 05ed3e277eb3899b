"""The source of a replay as the user describes it, and opening it."""

from __future__ import annotations

import asyncio
import csv
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Final

from movie_stream.errors import InputError, UsageError
from movie_stream.events.contract import FIELDS
from movie_stream.replay.files.csv_file import CsvFile
from movie_stream.replay.files.csv_header import declared_delimiter, delimiter_of, meant
from movie_stream.replay.files.encodings import ODD, UTF8, encoding_of, marked
from movie_stream.replay.files.json_file import JsonFile, looks_like_json, members_of
from movie_stream.replay.files.parquet_file import MAGIC, ParquetFile
from movie_stream.replay.files.source_file import (
    BUFFER_BYTES,
    Archive,
    OnProgress,
    SourceFile,
    no_progress,
    open_source_file,
)
from movie_stream.replay.files.table import Table
from movie_stream.replay.formats import format_of, has_fields, mapped_format, recognised
from movie_stream.replay.formats.format import CatalogueFormat, Format
from movie_stream.replay.formats.genres import Choice, choice_of
from movie_stream.replay.formats.movielens import MovieLens
from movie_stream.replay.records.csv_views import ViewsFile
from movie_stream.replay.records.replay_input import ReplayInput
from movie_stream.replay.synthetic.simulated import SimulatedViews, Simulation

OFFICE: Final = "[Content_Types].xml"
"""The member that marks a zip archive as an office document."""
ENDINGS: Final = (".csv", ".tsv", ".txt", ".jsonl", ".ndjson", ".json", ".parquet")
SHOWN_CHARACTERS: Final = 200


@dataclass(frozen=True, slots=True)
class ViewsSource:
    """A file, or standard input for `-`, and what the user says about it."""

    path: Path | str
    format_name: str | None = None
    """The format as in `--format`; None: detected from the header."""
    movies: Path | None = None
    """The file of MovieLens' films, if it is not beside the ratings."""
    member: str | None = None
    """The member of an archive; None: detected from its header."""
    simulation: Simulation | None = None
    """The simulation for catalogues; None: the default."""
    encoding: str | None = None
    """The name of Python's codec for `--encoding`; None: detected."""
    mapping: Mapping[str, str] = field(default_factory=dict)
    """Column names by field."""
    genre: Choice | None = None
    """Which of several genres counts; None: the first."""

    def open(self, on_progress: OnProgress = no_progress) -> ReplayInput:
        """Opens the source; `on_progress` is called while it is unpacked.

        Raises InputError if it is unusable, UsageError if an option does not apply to it.
        """
        file = open_source_file(self.path, self._choose, on_progress)
        file.encoding = self.encoding
        try:
            table = self._table(file)
            kind = self._kind(table)
            self._check(kind, in_archive=file.in_archive)
            views: ReplayInput
            if issubclass(kind, CatalogueFormat):
                views = SimulatedViews(table, kind, self.simulation or Simulation(), self.genre or "first")
            else:
                views = ViewsFile(table, kind, self.movies, self.genre or "first")
            views.made_of = ", ".join(filter(None, [views.made_of, self._read_as]))
            return views
        except BaseException:
            file.close()
            raise

    def _kind(self, table: Table) -> type[Format]:
        """The format; sets the table's names to those of the format."""
        if not self.mapping or (self.format_name is None and has_fields(table.names, self.mapping)):
            return format_of(table, self.format_name)
        rename(table, self.mapping)
        return mapped_format(table, self.mapping) if self.format_name is None else format_of(table, self.format_name)

    def _table(self, file: SourceFile) -> Table:
        """The rows of a file in any format."""
        head = file.file.read(BUFFER_BYTES)
        file.file.seek(0)
        if head.startswith(MAGIC) or looks_like_json(head):
            table: Table = ParquetFile(file) if head.startswith(MAGIC) else JsonFile(file)
            if self.encoding is not None and MovieLens.missing(table.names):  # whose films are a CSV
                raise UsageError(
                    argument="--encoding", expected="a CSV", got=f"{file.path}, which has its own encoding"
                )
            return table
        return CsvFile(file, self.encoding)

    @property
    def _read_as(self) -> str:
        """The options that the views depend on, for the bookmark; empty by default."""
        options = {
            "encoding": self.encoding,
            "map": ",".join(f"{name}={column}" for name, column in sorted(self.mapping.items())) or None,
            "genre": None if self.genre == "first" else self.genre,
        }
        return ", ".join(f"{name}: {value}" for name, value in options.items() if value is not None)

    async def opened(self, on_progress: OnProgress) -> ReplayInput:
        """Opens the source in a daemon thread: a slow pipe blocks neither the event loop nor the end of the process."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[ReplayInput] = loop.create_future()

        def settle(views: ReplayInput | None, error: BaseException | None) -> None:
            if coming.cancelled():
                if views:
                    views.close()
            elif views:
                coming.set_result(views)
            elif error:
                coming.set_exception(error)

        def work() -> None:
            views, failed = None, None
            try:
                views = self.open(on_progress)
            except BaseException as error:
                failed = error
            try:
                loop.call_soon_threadsafe(settle, views, failed)
            except RuntimeError:  # the loop is closed, and its caller gone
                if views:
                    views.close()

        Thread(target=work, name=f"opening {self.path}", daemon=True).start()
        return await coming

    def _check(self, kind: type[Format], *, in_archive: bool) -> None:
        """Raises UsageError if an option is for other kinds of files."""
        if self.simulation is not None and not issubclass(kind, CatalogueFormat):
            expected = "a catalogue of films, of which views are made up"
            raise self._unfit("--views, --users, --days and --seed", expected, kind)
        if self.movies is not None and kind is not MovieLens:
            raise self._unfit("--movies", "MovieLens ratings", kind)
        if self.genre is not None and not kind.genres:
            raise self._unfit("--genre", "films with several genres", kind)
        if self.member is not None and not in_archive:
            raise self._unfit("--member", "an archive", kind)

    def _unfit(self, argument: str, expected: str, kind: type[Format]) -> UsageError:
        return UsageError(argument=argument, expected=expected, got=f"{self.path} with {kind.title}")

    def _choose(self, archive: Archive) -> str:
        """The member of an archive to read."""
        names = archive.names
        if self.member is not None:
            found = [name for name in names if self.member in (name, name.rpartition("/")[2])]
            if len(found) != 1:
                raise UsageError(argument="--member", expected=f"one of {', '.join(names)}", got=self.member)
            return found[0]
        if OFFICE in names:
            got, remedy = "a spreadsheet, or another office document", "export the sheet as CSV (UTF-8)"
            raise InputError(path=archive.path, expected="a CSV, or an archive with one", got=got, remedy=remedy)
        found = names if len(names) == 1 else [name for name in names if _is_known(archive, name)]
        if len(found) != 1:
            raise InputError(
                path=archive.path,
                expected="one file in the archive of a format that is known",
                got=f"{len(found)} among {', '.join(names)[:200] or 'none'}",
                remedy="name it with: --member",
            )
        return found[0]


def source_of(
    path: Path,
    format_name: str | None = None,
    movies: Path | None = None,
    member: str | None = None,
    *,
    views: int | None = None,
    users: int | None = None,
    days: int | None = None,
    seed: int | None = None,
    encoding: str | None = None,
    mapping: str | None = None,
    genre: str | None = None,
) -> ViewsSource:
    """The source for these options; any of `views`, `users`, `days` and `seed` asks for a simulation.

    Raises UsageError.
    """
    usual = Simulation()
    simulation = Simulation(
        usual.count if views is None else views,
        usual.seed if seed is None else seed,
        users,
        usual.span if days is None else timedelta(days=days),
    )
    return ViewsSource(
        *(path, format_name, movies, member),
        None if all(figure is None for figure in (views, users, days, seed)) else simulation,
        None if encoding is None else encoding_of(encoding),
        mapping_of(mapping or ""),
        None if genre is None else choice_of(genre),
    )


def mapping_of(text: str) -> dict[str, str]:
    """Parses `--map`: column names by field.

    >>> mapping_of("genre=Category,user_id=User")
    {'genre': 'Category', 'user_id': 'User'}

    Raises UsageError.
    """
    found: dict[str, str] = {}
    for part in filter(None, map(str.strip, text.split(","))):
        name, _, column = (piece.strip() for piece in part.partition("="))
        if name not in FIELDS or not column or name in found:
            expected = f"FIELD=COLUMN,... with the fields {', '.join(FIELDS)}, each once"
            raise UsageError(argument="--map", expected=expected, got=part)
        if column in found.values():
            raise UsageError(argument="--map", expected="a column for each field", got=f"{column} for two of them")
        found[name] = column
    return found


def rename(table: Table, mapping: Mapping[str, str]) -> None:
    """Renames the mapped columns to their fields. Raises UsageError if there is no such column."""
    names = meant(table.names, list(mapping.values()))
    for column in mapping.values():
        if names.count(column) != 1:
            expected = f"one of the columns {', '.join(table.names)[:SHOWN_CHARACTERS]}"
            raise UsageError(argument="--map", expected=expected, got=column)
    by_column = {column: name for name, column in mapping.items()}
    taken = [name if name not in mapping or name in by_column else f"{name} of the file" for name in names]
    table.names = [by_column.get(column, name) for column, name in zip(names, taken, strict=True)]


def _is_known(archive: Archive, name: str) -> bool:
    """Whether this file has the header of a known format."""
    if not name.lower().endswith(ENDINGS):
        return False
    beginning = archive.beginning(name, BUFFER_BYTES)
    if beginning.startswith(MAGIC):
        return True
    if looks_like_json(beginning):
        return recognised(members_of(beginning)) is not None
    encoding, length = marked(beginning) or (UTF8, 0)
    text = beginning[length:].decode(encoding, "surrogateescape" if encoding == UTF8 else ODD)
    lines = text.split("\n", 2)
    declared = declared_delimiter(text)
    try:
        [names] = csv.reader([lines[1 if declared else 0]], strict=True, delimiter=declared or delimiter_of(text))
    except (csv.Error, ValueError):
        return False
    return recognised([cell.strip() for cell in names]) is not None
