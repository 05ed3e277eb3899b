"""A table of the page with new rows among those that it had: a partial run replaces only what it measured."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

SOME_DAY: Final = "an earlier day"
_UP_TO: Final = re.compile(r"^Measured up to (\d{4}-\d\d-\d\d)")
_OTHER_DAYS: Final = "Of another day than the rest: "
_OF_A_DAY: Final = re.compile(r"(?:: |; )(.+?) \(([^()]+)\)(?=[.;])")
_SKIPPED: Final = " (skipped: "


def last_measured(machine: str) -> str:
    """The day up to which a page was measured, from its description of the machine.

    >>> last_measured("Measured up to 2026-11-29 on 2 cores"), last_measured("")
    ('2026-11-29', 'an earlier day')
    """
    found = _UP_TO.match(machine)
    return found[1] if found else SOME_DAY


def merged(made: str, before: str, subjects: Sequence[str], days: Mapping[str, str], day_before: str) -> str:
    """A table `made` of results of these `days`, by subject, with the rows of the table `before` that it lacks.

    The rows are in the order of `subjects`; a row of before whose subject or columns no longer exist is dropped. Below
    the table stands which rows are of another day than the newest.
    """
    if not made:
        return ""
    head, rows = _parsed(made)
    head_before, rows_before = _parsed(before)
    known = dict(_OF_A_DAY.findall(before.partition(_OTHER_DAYS[:-2])[2]))
    kept = {name: row for name, row in rows_before.items() if head_before == head and name not in rows}
    of = {**{name: known.get(name, day_before) for name in kept}, **days}
    names = [name for name in subjects if name in rows or name in kept]
    newest = max(days.values())
    older = [f"{name} ({of[name]})" for name in names if of[name] != newest]
    note = f"\n{_OTHER_DAYS}{'; '.join(older)}.\n" if older else ""
    return "".join([*head, *(rows[name] if name in rows else kept[name] for name in names)]) + note


def _parsed(table: str) -> tuple[list[str], dict[str, str]]:
    """The two lines of the head, and the others by their first cell."""
    lines = [line for line in table.splitlines(keepends=True) if line.startswith("|")]
    return lines[:2], {line.split("|")[1].strip().partition(_SKIPPED)[0]: line for line in lines[2:]}
