"""Made-up views of the real films of a catalogue."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from movie_stream.console.words import number_of
from movie_stream.errors import FileRefused
from movie_stream.events.contract import NUMBERS, TEXTS
from movie_stream.replay.files.csv_rows import RefusedRow, Rows
from movie_stream.replay.files.table import Table, whole
from movie_stream.replay.formats.format import VIEW, CatalogueFormat, Film
from movie_stream.replay.formats.genres import Choice, Chooser
from movie_stream.replay.records.replay_input import ReplayInput
from movie_stream.replay.synthetic.catalogue import Catalogue, cumulative
from movie_stream.replay.synthetic.generate import COLUMNS, GeneratedRows, generate_rows

POPULARITY_FALL: Final = 0.8
"""Exponent of Zipf's law, for films without a weight."""
SHUFFLED_BY: Final = 1895
LONGEST_MINUTES: Final = NUMBERS["duration"].most


@dataclass(frozen=True, slots=True)
class Simulation:
    """The number of views to make up, the number of users, and the span up to the present."""

    count: int = 100_000
    seed: int = 0
    users: int | None = None
    """None: one for every ten views."""
    span: timedelta = timedelta(days=2)


class SimulatedViews(ReplayInput):
    """Views of the films of a catalogue. Raises FileRefused if none of its films is usable."""

    made_up = True

    def __init__(
        self, csv_file: Table, kind: type[CatalogueFormat], simulation: Simulation, genre: Choice = "first"
    ) -> None:
        super().__init__(VIEW)
        self._csv, self._simulation = csv_file, simulation
        self.path, self.file_bytes = csv_file.path, csv_file.size_bytes
        self.size, self.position, self.line = simulation.count, 0, 0
        self.now_ms = time.time_ns() // 1_000_000
        films, self.refused, self.mended = _films(csv_file, kind())
        if not films:
            first = self.refused[0] if self.refused else RefusedRow(1, "there is nothing below the header")
            raise FileRefused(path=self.path, line=first.line, why=first.reason, remedy="correct the file")
        self._catalogue = catalogue_of(films, genre)
        lacking = kind.describe_missing(csv_file.names)
        made_up = f"{number_of(simulation.count, 'view')} {'is' if simulation.count == 1 else 'are'} made up"
        self.what = f"{kind.described()}{csv_file.kind}, {number_of(len(films), 'film')}; {made_up}"
        self.what += f"; {lacking}" if lacking else ""
        self.made_of = f"views: {simulation.count}, users: {simulation.users or 'a tenth'}, "
        self.made_of += f"days: {simulation.span.days}, seed: {simulation.seed}"

    def close(self) -> None:
        self._csv.close()

    def rows(self, last_line: int | None = None) -> Iterator[Rows]:
        end = datetime.fromtimestamp(self.now_ms / 1000, UTC)
        simulation = self._simulation
        self.position = 0
        made = generate_rows(
            *(simulation.count, simulation.seed),
            end=end,
            span=simulation.span,
            films=self._catalogue,
            users=simulation.users,
        )
        for part in made:
            lines = np.arange(self.position + 1, self.position + len(part) + 1, dtype=np.int64)
            self.position = self.line = self.position + len(part)
            yield Rows(_cells(part), lines, [])

    def hashes(self) -> Iterator[str]:
        for _, made in self._csv.hashes(b""):
            yield made


def _films(file: Table, kind: CatalogueFormat) -> tuple[list[Film], list[RefusedRow], Counter[str]]:
    """The films, the refused rows, and the repairs made."""
    mended = Counter[str]()
    films, refused = list[Film](), list[RefusedRow]()
    for chunk in whole(file, mended):
        refused += chunk.refused
        for line, row in zip(chunk.lines.tolist(), zip(*chunk.columns, strict=True), strict=True):
            try:
                films.append(_checked(kind.film(dict(zip(file.names, row, strict=True)))))
            except ValueError as error:
                refused.append(RefusedRow(line, str(error)))
    return films, refused, mended


def _checked(film: Film) -> Film:
    """The film, if its texts can be those of a view."""
    texts = [("movie_id", film.movie_id), ("title", film.title), *(("genre", genre) for genre in film.genres)]
    for name, text in texts:
        if not 0 < len(text) <= TEXTS[name].longest:
            raise ValueError(f"{name}: expected 1 to {TEXTS[name].longest} characters, got {len(text)}")
        if any("\udc00" <= char <= "\udcff" for char in text):
            raise ValueError(f"{name}: not UTF-8; save the file as UTF-8")
    if film.minutes > LONGEST_MINUTES:
        raise ValueError(f"minutes: expected a number from 0 to {LONGEST_MINUTES}, got {film.minutes:.6g}")
    return film


def catalogue_of(films: Sequence[Film], genre: Choice = "first") -> Catalogue:
    """The films as columns, each with one of its genres.

    If no film has a weight, Zipf's law applies: few films are seen often and many seldom.
    """
    if all(film.weight is None for film in films):
        ranks = np.random.default_rng(SHUFFLED_BY).permutation(len(films)) + 1
        weights = 1.0 / ranks**POPULARITY_FALL
    else:
        weights = np.array([film.weight or 0.0 for film in films])
        weights = np.maximum(weights, (weights[weights > 0].min() if weights.any() else 1.0) / 2)  # every film is seen
    genre_of = Chooser(genre, (film.genres for film in films))
    return Catalogue(
        movie_id=[film.movie_id for film in films],
        title=[film.title for film in films],
        genre=[genre_of(film.genres) for film in films],
        popularity=cumulative(weights),
        quality=np.array([np.nan if film.stars is None else film.stars for film in films]),
        minutes=np.array([film.minutes for film in films], np.int64),
        price=np.full(len(films), np.nan),
    )


def _cells(part: GeneratedRows) -> list[list[str]]:
    """The columns as cells."""
    return [["" if value is None else str(value) for value in getattr(part, name)] for name in COLUMNS]
