"""Docstrings as Sphinx reads them: what is indented is code, as in Markdown."""

from __future__ import annotations

from typing import Any


def as_restructured_text(app: Any, what: str, name: str, obj: object, options: Any, lines: list[str]) -> None:
    """Marks blocks that are indented as code, in place. Called by autodoc.

    >>> lines = ["Sends views.", "", "    await send(view)", "", "Done."]
    >>> as_restructured_text(None, "class", "x", None, None, lines)
    >>> lines
    ['Sends views.', '', '.. code-block:: python', '', '    await send(view)', '', 'Done.']
    """
    made: list[str] = []
    for number, line in enumerate(lines):
        begins = line.startswith("    ") and number > 0 and not lines[number - 1].strip()
        if begins and not _within(made):
            made += [".. code-block:: python", ""]
        made.append(line)
    lines[:] = made


def _within(made: list[str]) -> bool:
    """Whether the last line that is not empty belongs to a block of code."""
    return next((line.startswith("    ") for line in reversed(made) if line.strip()), False)
