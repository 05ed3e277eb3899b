"""Markdown as GitHub has it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

MADE = "This page is made by `make docs`.\n\n"


def plain(text: str) -> str:
    r"""Text of which Markdown makes nothing else.

    >>> print(plain("5 * <b>"))
    5 \* \<b\>
    """
    return re.sub(r"([\\*<>$\"])", r"\\\1", text)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; a bar within a cell stays one."""
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


def block(language: str, text: str) -> str:
    """A block of code."""
    return f"```{language}\n{text.rstrip()}\n```\n"
