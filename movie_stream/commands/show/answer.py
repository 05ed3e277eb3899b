"""The answer of `show`, before it becomes a table, JSON or CSV."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

Row = Mapping[str, Any]


class Cell(Protocol):
    """Formats a value for a table."""

    def __call__(self, value: Any, /) -> str: ...


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table: its field, and how it is shown."""

    heading: str
    field: str
    cell: Cell
    justify: Literal["left", "right"] = "right"
    least: int | None = None
    """To how many characters it may be shortened where there is no room; figures may not."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title. If the columns do not fit, the last ones are left out."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer in every form in which it may be shown."""

    documents: Sequence[Row]
    """For JSON."""
    fields: Sequence[str]
    """The columns of the CSV."""
    rows: Sequence[Row]
    """Its rows."""
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    """Remarks on the tables."""
    more: str = ""
    """Says that the limit has left something out; empty if not."""
    nothing: str = ""
    """Says that there is nothing, and the remedy; empty if there is something."""

    def says_the_same(self, other: Answer) -> bool:
        """Whether nothing but ages has changed."""
        return (self.documents, self.more, self.nothing) == (other.documents, other.more, other.nothing)
