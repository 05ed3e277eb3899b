"""A format: how the rows of a file become rows with the columns of a view.

A new format is a class in a file of its own, listed in `FORMATS` (see __init__.py). There are two kinds: files in which
a row is a view, and catalogues, in which a row is a film to make up views for.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from movie_stream.events.contract import FIELDS
from movie_stream.replay.files.csv_header import Header, meant
from movie_stream.replay.files.csv_rows import Rows
from movie_stream.replay.files.table import Table
from movie_stream.replay.formats.genres import Choice

VIEW: Final = Header(len(FIELDS), {name: position for position, name in enumerate(FIELDS)})
"""The header of rows with all fields of a view, in this order."""


@dataclass(frozen=True, slots=True)
class Film:
    """One row of a catalogue."""

    movie_id: str
    title: str
    genres: tuple[str, ...]
    """In the order of the catalogue; may be empty."""
    minutes: int = 0
    """0 if unknown."""
    stars: float | None = None
    """The average rating, out of 5."""
    weight: float | None = None
    """How often the film is seen relative to the others; None if the catalogue does not say."""


class Format(ABC):
    """A kind of file, recognised by the names in its header."""

    name: ClassVar[str]
    """For `--format`."""
    title: ClassVar[str]
    """For messages."""
    columns: ClassVar[tuple[str, ...]]
    """Required names; a header that has all of them is of this format."""
    others: ClassVar[tuple[str, ...]] = ()
    """Optional names."""
    texts: ClassVar[tuple[str, ...]]
    """Names of the columns that must hold text, not lists."""
    genres: ClassVar[bool] = False
    """Whether a film has several genres, one of which is chosen."""

    @classmethod
    def meant(cls, names: Sequence[str]) -> list[str]:
        """The names of a header, spelled as in the format if they differ only in case."""
        return meant(names, (*cls.columns, *cls.others))

    @classmethod
    def missing(cls, names: Sequence[str]) -> list[str]:
        """The required columns that these names lack."""
        return [column for column in cls.columns if column not in cls.meant(names)]

    @classmethod
    def described(cls) -> str:
        """A description for messages."""
        return f"{cls.title} (format {cls.name})"


class ViewsFormat(Format):
    """A row is a view."""

    @abstractmethod
    def __init__(self, file: Table, movies: Path | None, genre: Choice) -> None:
        """`movies` is the file of films that the user names, if any; `genre` says which of several genres counts.

        Raises InputError if a neighbouring file is missing or unusable.
        """

    header: Header
    """The header of the rows that `native` returns."""
    part_of_hash: bytes = b""
    """The content of other files that the views depend on, for the hash."""
    fields: ClassVar[Mapping[str, str]]
    """By field of a view, the column that it is made of."""

    @abstractmethod
    def native(self, rows: Rows) -> Rows:
        """Converts the rows to rows of views."""


class CatalogueFormat(Format):
    """A row is a film, which may have several genres.

    The columns in `others` may be missing; `without` describes what views then lack.
    """

    genres: ClassVar[bool] = True
    without: ClassVar[Mapping[str, str]] = {}
    """What views lack, by the optional column that is missing."""

    @classmethod
    def describe_missing(cls, names: Sequence[str]) -> str:
        """What a file with these names lacks, for messages; empty if nothing."""
        parts = [f"no {column}, so {what}" for column, what in cls.without.items() if column not in cls.meant(names)]
        return "; ".join(parts)

    @abstractmethod
    def film(self, cells: Mapping[str, str]) -> Film:
        """The film of a row, given by column names. Raises ValueError with the reason if it is unusable."""
