"""What `show` has found, before it is a table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Row = Mapping[str, Any]


class Cell(Protocol):
    """How a value is written in a table."""

    def __call__(self, value: Any, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: the field that it shows, and how."""

    heading: str
    field: str
    cell: Cell
    justify: Literal["left", "right"] = "right"
    least: int | None = None
    """To how many characters it may be shortened where there is no room; figures may not."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title. Where there is no room for all columns, the last ones are left out."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Answer:
    """What was asked for, in every form that it may be shown in."""

    documents: Sequence[Row]
    """For JSON."""
    fields: Sequence[str]
    """The columns of the CSV."""
    rows: Sequence[Row]
    """Its rows."""
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    """What else is to be known of the tables."""
    more: str = ""
    """That the limit has left something out, if it has."""
    nothing: str = ""
    """Where there is nothing: that this is so, and what to do."""

    def says_the_same(self, other: Answer) -> bool:
        """Whether nothing has changed but how long ago something was."""
        return (self.documents, self.more, self.nothing) == (other.documents, other.more, other.nothing)
