"""What a format is: how the rows of a file become rows of the columns that a view has.

A new one is a class in a file of its own, with its place in `FORMATS` (see __init__.py). There are two kinds: files in
which a row is a view, and catalogues, in which a row is a film; of their films views are made up.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from movie_stream.replay.csv_file import CsvFile
from movie_stream.replay.csv_header import OPTIONAL, REQUIRED, Header
from movie_stream.replay.csv_rows import Rows

UNKNOWN_GENRE: Final = "Unknown"
FIELDS: Final = (*REQUIRED, *OPTIONAL)
VIEW: Final = Header(len(FIELDS), {name: place for place, name in enumerate(FIELDS)})
"""Rows that have all the columns of a view, in this order."""


@dataclass(frozen=True, slots=True)
class Film:
    """One row of a catalogue."""

    movie_id: str
    title: str
    genre: str
    minutes: int = 0
    """0 where that is not known."""
    stars: float | None = None
    """Of 5, that its viewers give on average."""
    weight: float | None = None
    """How often it is seen, relative to the others; None in a catalogue that does not know."""


class Format(ABC):
    """A kind of file, by the names in its header."""

    name: ClassVar[str]
    """For `--format`."""
    title: ClassVar[str]
    """For people."""
    columns: ClassVar[tuple[str, ...]]
    """Names that the header has; what has all of them is of this format."""

    @classmethod
    def described(cls) -> str:
        """What such a file is, for people."""
        return f"{cls.title} (format {cls.name})"


class ViewsFormat(Format):
    """A row is a view."""

    @abstractmethod
    def __init__(self, file: CsvFile, movies: Path | None) -> None:
        """`movies` is a file of films, where the user named one.

        Raises InputError where a file beside it is missing or unusable.
        """

    header: Header
    """Of the rows that `native` makes."""
    part_of_hash: bytes = b""
    """What of other files the views depend on."""

    @abstractmethod
    def native(self, rows: Rows) -> Rows:
        """The rows as rows of views."""


class CatalogueFormat(Format):
    """A row is a film."""

    @abstractmethod
    def film(self, cells: Mapping[str, str]) -> Film:
        """The film of a row, by the names in the header. Raises ValueError with a reason where it is none."""
