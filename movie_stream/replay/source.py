"""Where the views of a replay come from, as the user names it, and how that is opened."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path

from movie_stream.errors import UsageError
from movie_stream.replay.csv_views import CsvFile, ViewsFile
from movie_stream.replay.formats.format import CatalogueFormat
from movie_stream.replay.opened import Told
from movie_stream.replay.simulated import SimulatedViews, Simulation
from movie_stream.replay.views import Views


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

    def open(self, told: Told | None = None) -> Views:
        """Opens it; `told` hears how far it is unpacked.

        Raises InputError where it is not usable, UsageError where something was said that does not fit it.
        """
        csv_file = CsvFile(self.path, self.format_name, self.member, told)
        try:
            if issubclass(csv_file.kind, CatalogueFormat):
                return SimulatedViews(csv_file, self.simulation or Simulation())
            if self.simulation is not None:
                raise UsageError(
                    argument="--views, --users, --days and --seed",
                    expected="a catalogue of films, of which views are made up",
                    got=f"{self.path} with {csv_file.kind.title}",
                )
            return ViewsFile(csv_file, self.movies)
        except BaseException:
            csv_file.opened.close()
            raise

    async def opened(self, told: Told) -> Views:
        """Opens it in a thread, where a slow pipe holds nobody up."""
        opening = asyncio.get_running_loop().run_in_executor(None, partial(self.open, told))
        try:
            return await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close)
            raise


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


def _close(opened: asyncio.Future[Views]) -> None:
    if not opened.cancelled() and not opened.exception():
        opened.result().close()
