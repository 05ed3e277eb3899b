"""Words that agree with their number."""

from __future__ import annotations


def number_of(count: int, noun: str) -> str:
    """A number of things, whose noun takes an s where they are several.

    >>> number_of(1, "row"), number_of(1_200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"
