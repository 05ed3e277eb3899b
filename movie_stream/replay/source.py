"""Where the views of a replay come from, as the user names it, and how that is opened."""

from __future__ import annotations

import asyncio
import csv
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from threading import Thread
from typing import Final

from movie_stream.errors import InputError, UsageError
from movie_stream.replay.csv_file import CsvFile
from movie_stream.replay.csv_header import BYTE_ORDER_MARK
from movie_stream.replay.csv_views import ViewsFile
from movie_stream.replay.formats import format_of, recognised
from movie_stream.replay.formats.format import CatalogueFormat, Format
from movie_stream.replay.formats.movielens import MovieLens
from movie_stream.replay.opened import BUFFER_BYTES, Archive, Told, opened, untold
from movie_stream.replay.simulated import SimulatedViews, Simulation
from movie_stream.replay.views import Views

OFFICE: Final = "[Content_Types].xml"
"""In each such document, which are zip archives."""
ENDINGS: Final = (".csv", ".txt")


@dataclass(frozen=True, slots=True)
class ViewsSource:
    """A file, `-` being standard input, and what the user says of it."""

    path: Path | str
    format_name: str | None = None
    """As in `--format`; found by the header where nobody says."""
    movies: Path | None = None
    """MovieLens' films, where they do not stand beside the ratings."""
    member: str | None = None
    """Of an archive."""
    simulation: Simulation | None = None
    """For catalogues; None is the usual one."""

    def open(self, told: Told = untold) -> Views:
        """Opens it; `told` hears how far it is unpacked.

        Raises InputError where it is not usable, UsageError where something was said that does not fit it.
        """
        file = opened(self.path, self._choose, told)
        try:
            csv_file = CsvFile(file)
            kind = format_of(csv_file, self.format_name)
            self._check(kind, in_archive=file.in_archive)
            if issubclass(kind, CatalogueFormat):
                return SimulatedViews(csv_file, kind, self.simulation or Simulation())
            return ViewsFile(csv_file, kind, self.movies)
        except BaseException:
            file.close()
            raise

    async def opened(self, told: Told) -> Views:
        """Opens it in a thread, where a slow pipe holds nobody up, not even the end of the process."""
        loop = asyncio.get_running_loop()
        coming: asyncio.Future[Views] = loop.create_future()

        def settle(views: Views | None, error: BaseException | None) -> None:
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
                views = self.open(told)
            except BaseException as error:
                failed = error
            try:
                loop.call_soon_threadsafe(settle, views, failed)
            except RuntimeError:  # the loop is closed: nobody waits any more
                if views:
                    views.close()

        Thread(target=work, name=f"opening {self.path}", daemon=True).start()
        return await coming

    def _check(self, kind: type[Format], *, in_archive: bool) -> None:
        """Raises UsageError where an option is for other files."""
        if self.simulation is not None and not issubclass(kind, CatalogueFormat):
            expected = "a catalogue of films, of which views are made up"
            raise self._unfit("--views, --users, --days and --seed", expected, kind)
        if self.movies is not None and kind is not MovieLens:
            raise self._unfit("--movies", "MovieLens ratings", kind)
        if self.member is not None and not in_archive:
            raise self._unfit("--member", "an archive", kind)

    def _unfit(self, argument: str, expected: str, kind: type[Format]) -> UsageError:
        return UsageError(argument=argument, expected=expected, got=f"{self.path} with {kind.title}")

    def _choose(self, archive: Archive) -> str:
        """Which file of an archive is meant."""
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
) -> ViewsSource:
    """The source; a simulation is asked for where one of its figures is."""
    if all(figure is None for figure in (views, users, days, seed)):
        return ViewsSource(path, format_name, movies, member)
    usual = Simulation()
    simulation = Simulation(
        usual.count if views is None else views,
        usual.seed if seed is None else seed,
        users,
        usual.span if days is None else timedelta(days=days),
    )
    return ViewsSource(path, format_name, movies, member, simulation)


def _is_known(archive: Archive, name: str) -> bool:
    """Whether the header of this file is that of a known format."""
    if not name.lower().endswith(ENDINGS):
        return False
    beginning = archive.beginning(name, BUFFER_BYTES).removeprefix(BYTE_ORDER_MARK)
    line = beginning.decode("utf-8", "surrogateescape").split("\n", 1)[0]
    try:
        [names] = csv.reader([line], strict=True)
    except (csv.Error, ValueError):
        return False
    return recognised([cell.strip() for cell in names]) is not None
