"""Kinds of reasons: why records and rows are refused, without the parts that differ in each of them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_OWN: Final = re.compile(r", got |; the record begins with | is '| of its partition so far| of this partition \(")
"""The text after one of these is from the record itself, or is its location."""
_VARIABLE: Final = re.compile(r"\d{4}-\d\d-\d\dT[\d:]+Z|(?<![\w-])[0-9][0-9a-fx,.]*")
SHOWN: Final = 3


def kind_of(reason: str) -> str:
    """The reason without the parts that differ in each record; there are a few dozen kinds.

    >>> kind_of('rating: expected a number from 0 to 5, or null, got "abc"')
    'rating: expected a number from 0 to 5, or null'
    >>> kind_of("title: not UTF-8 (byte 0xe9); save the file as UTF-8")
    'title: not UTF-8 (byte ...); save the file as UTF-8'
    >>> kind_of("not JSON: trailing characters (byte 17); the record begins with 'x, got 3'")
    'not JSON: trailing characters (byte ...)'
    >>> kind_of("late: 2024-10-31T14:30:00Z is more than 24 h before the newest view of its partition so far")
    'late: ... is more than ... h before the newest view'
    >>> kind_of("header movie-stream-replay-of: expected an earlier record of this partition (x 0 and ...)")
    'header movie-stream-replay-of: expected an earlier record'
    """
    subject, expected, rule = _OWN.split(reason, maxsplit=1)[0].partition("expected ")
    return _VARIABLE.sub("...", subject) + expected + rule  # the rule is the same in every record


def summed(counts: Mapping[str, int]) -> str:
    """The largest counts in one line.

    >>> summed({"not JSON": 1, "title: missing": 1_200, "late": 7, "expected a JSON object": 1})
    'title: missing (1,200); late (7); not JSON (1); and 1 other reasons'
    """
    largest = sorted(counts.items(), key=lambda item: -item[1])
    others = len(largest) - SHOWN
    return "; ".join(
        [f"{kind} ({count:,})" for kind, count in largest[:SHOWN]] + [f"and {others:,} other reasons"] * (others > 0)
    )
