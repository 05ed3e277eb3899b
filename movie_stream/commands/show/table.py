"""The answer of `show` as tables within the width of the terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Final

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.table import Table as Drawn
from rich.text import Text

from movie_stream.commands.show.answer import Answer, Column, Table
from movie_stream.masking import printable

_GAP: Final = 2
"""Characters between columns."""
LEAST: Final = 8
"""The least width of a text column if there is no room."""


def printed(answer: Answer) -> RenderableType:
    """The answer as tables; a sentence if there is nothing."""
    if answer.nothing:
        return Text("\n".join(map(printable, answer.nothing.splitlines())))
    parts: list[RenderableType] = [_Fitted(table) for table in answer.tables]
    parts += [Text(printable(note), "dim") for note in answer.notes]
    if answer.more:
        parts.append(Text(answer.more, "yellow"))
    return Group(*parts)


def text(value: object) -> str:
    r"""Text without control characters; also for values of unexpected types.

    >>> text("Alien\n"), text(None)
    ('Alien\ufffd', '-')
    """
    return "-" if value is None else printable(str(value))


def count(value: object) -> str:
    """A whole number with thousands separators.

    >>> count(12345), count(None), count("many")
    ('12,345', '-', 'many')
    """
    return f"{value:,}" if isinstance(value, int) else text(value)


def number(value: object) -> str:
    """A number with two decimals.

    >>> number(1234.567), number(None)
    ('1,234.57', '-')
    """
    return f"{value:,.2f}" if isinstance(value, int | float) else text(value)


def time(pattern: str) -> Callable[[object], str]:
    """A formatter of dates by a pattern of strftime; all dates are in UTC."""

    def cell(value: object) -> str:
        return value.strftime(pattern) if isinstance(value, datetime) else text(value)

    return cell


class _Fitted:
    """A table that fits the width at the time of drawing."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        columns = self._table.columns
        cells = [[column.cell(row.get(column.field)) for row in self._table.rows] for column in columns]
        widths = fitted(columns, cells, options.max_width)
        drawn = Drawn(box=None, pad_edge=False, padding=(0, _GAP, 0, 0), header_style="bold cyan")
        for column, width in zip(columns, widths, strict=False):
            drawn.add_column(column.heading, justify=column.justify, width=width, no_wrap=True, overflow="ellipsis")
        for row in zip(*cells[: len(widths)], strict=True):
            drawn.add_row(*map(Text, row))
        yield Text(printable(self._table.title), "bold")
        yield drawn
        if hidden := [column.heading for column in columns[len(widths) :]]:
            yield Text(f"No room here for: {', '.join(hidden)}", "dim")


def fitted(columns: Sequence[Column], cells: Sequence[Sequence[str]], width: int) -> list[int]:
    """The widths of as many columns as fit: texts are shortened, the widest first, and figures never."""
    natural = [
        max(cell_len(line) for cell in (column.heading, *texts) for line in cell.splitlines())
        for column, texts in zip(columns, cells, strict=True)
    ]
    least = [
        wide if column.least is None else min(wide, max(column.least, cell_len(column.heading)))
        for column, wide in zip(columns, natural, strict=True)
    ]
    shown = len(columns)
    while shown > 1 and _total(least[:shown]) > width:
        shown -= 1
    widths = natural[:shown]
    for _ in range(_total(widths) - width):
        giving = [at for at in range(shown) if widths[at] > least[at]]
        if not giving:
            break
        widths[max(giving, key=widths.__getitem__)] -= 1
    return widths


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + _GAP * (len(widths) - 1)
