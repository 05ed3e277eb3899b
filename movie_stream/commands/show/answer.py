"""The answer of `show`, before it is formatted as a table, JSON or CSV."""

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
    """A column of a table: its field, and how it is formatted."""

    heading: str
    field: str
    cell: Cell
    justify: Literal["left", "right"] = "right"
    least: int | None = None
    """The characters to which it may be shortened if there is no room; figures are never shortened."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a title. If the columns do not fit, the last ones are left out."""

    title: str
    columns: Sequence[Column]
    rows: Sequence[Row]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer in every format in which it may be shown."""

    documents: Sequence[Row]
    """For JSON."""
    fields: Sequence[str]
    """The columns of the CSV."""
    rows: Sequence[Row]
    """The rows of the CSV."""
    tables: Sequence[Table]
    notes: Sequence[str] = ()
    """Remarks on the tables."""
    more: str = ""
    """The remark that the limit left something out; empty if it did not."""
    nothing: str = ""
    """The remark that there is nothing, with the remedy; empty if there is something."""

    def same_content(self, other: Answer) -> bool:
        """Whether the answers differ at most in ages."""
        return (self.documents, self.more, self.nothing) == (other.documents, other.more, other.nothing)
