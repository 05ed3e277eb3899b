"""Nouns in singular or plural, with their number."""

from __future__ import annotations


def number_of(count: int, noun: str) -> str:
    """A number with its noun, in the plural unless the number is 1.

    >>> number_of(1, "row"), number_of(1_200, "row")
    ('1 row', '1,200 rows')
    """
    return f"{count:,} {noun}{'s' * (count != 1)}"


def of_several(count: int, things: str) -> str:
    """A number with words in the plural; for 1, the first word loses its s.

    >>> of_several(1, "timestamps in seconds"), of_several(2, "timestamps in seconds")
    ('1 timestamp in seconds', '2 timestamps in seconds')
    """
    first, blank, rest = things.partition(" ")
    return f"{count:,} {first.removesuffix('s') if count == 1 else first}{blank}{rest}"
