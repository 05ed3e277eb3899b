"""What a format is: how the rows of a file become rows of the columns that a view has.

A new one is a class in a file of its own, with its place in `FORMATS` (see __init__.py). There are two kinds: files in
which a row is a view, and catalogues, in which a row is a film; of their films views are made up.
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
"""Rows that have all the columns of a view, in this order."""


@dataclass(frozen=True, slots=True)
class Film:
    """One row of a catalogue."""

    movie_id: str
    title: str
    genres: tuple[str, ...]
    """In the order of the catalogue; none where it names none."""
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
    others: ClassVar[tuple[str, ...]] = ()
    """Names that it may have."""
    texts: ClassVar[tuple[str, ...]]
    """Names of the columns that hold texts alone, and no lists."""
    genres: ClassVar[bool] = False
    """Whether a film has several, of which one is chosen."""

    @classmethod
    def meant(cls, names: Sequence[str]) -> list[str]:
        """The names of a header, where they are those of the format but for case as these."""
        return meant(names, (*cls.columns, *cls.others))

    @classmethod
    def missing(cls, names: Sequence[str]) -> list[str]:
        """The columns that such names lack."""
        return [column for column in cls.columns if column not in cls.meant(names)]

    @classmethod
    def described(cls) -> str:
        """What such a file is, for people."""
        return f"{cls.title} (format {cls.name})"


class ViewsFormat(Format):
    """A row is a view."""

    @abstractmethod
    def __init__(self, file: Table, movies: Path | None, genre: Choice) -> None:
        """`movies` is a file of films, where the user named one; `genre` says which one of several counts.

        Raises InputError where a file beside it is missing or unusable.
        """

    header: Header
    """Of the rows that `native` makes."""
    part_of_hash: bytes = b""
    """What of other files the views depend on."""
    fields: ClassVar[Mapping[str, str]]
    """By a field of a view, the column that it is made of."""

    @abstractmethod
    def native(self, rows: Rows) -> Rows:
        """The rows as rows of views."""


class CatalogueFormat(Format):
    """A row is a film, which may have several genres.

    The columns in `others` may be missing; then `without` says what follows from that.
    """

    genres: ClassVar[bool] = True
    without: ClassVar[Mapping[str, str]] = {}
    """By a column, what no view has where it is missing."""

    @classmethod
    def lacking(cls, names: Sequence[str]) -> str:
        """What a file with these names lacks, for people; empty where it is complete."""
        parts = [f"no {column}, so {what}" for column, what in cls.without.items() if column not in cls.meant(names)]
        return "; ".join(parts)

    @abstractmethod
    def film(self, cells: Mapping[str, str]) -> Film:
        """The film of a row, by the names in the header. Raises ValueError with a reason where it is none."""
