"""The rules of an event, declared once: for the checks of the decoders, and for the reasons of refusals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import Meta

MICRO: Final = 1_000_000
"""Ratings and prices are counted in whole millionths, so that sums do not depend on the order of addition."""

MISSING: Final = -1
"""In an integer column: the field was null or absent."""

MAX_TIMESTAMP_MS: Final = 253_402_214_399_999
"""The last millisecond before 9999-12-31T00:00:00Z, which MongoDB, Python and BI tools can all show."""


@dataclass(frozen=True, slots=True)
class Text:
    """A string that is not empty.

    >>> Text(128).words
    'a string of 1 to 128 characters'
    """

    longest: int
    """The largest length in characters (Unicode code points)."""
    trimmed: bool = False
    """Whether surrounding whitespace is ignored."""
    meaning: str = ""
    """What it is, for those who send it."""

    @property
    def words(self) -> str:
        """The rule in words, to be read after "expected"."""
        return f"a string of 1 to {self.longest} characters{' after trimming' * self.trimmed}"

    @property
    def meta(self) -> Meta:
        """The rule for the JSON decoder, as far as it can check it: it does not trim."""
        return Meta() if self.trimmed else Meta(min_length=1, max_length=self.longest)


@dataclass(frozen=True, slots=True)
class Number:
    """A number that is neither below `least` nor above `most`.

    >>> Number(0, 5, decimals=6, optional=True).words
    'a number from 0 to 5, or null'
    """

    least: int
    most: int
    decimals: int = 0
    """The number of decimals that count; values are rounded to these."""
    unit: str = ""
    optional: bool = False
    """Whether it may be null, or absent."""
    bounds: str = ""
    """The bounds in words, if numbers would not explain them."""
    meaning: str = ""
    """What it is, for those who send it."""

    @property
    def words(self) -> str:
        """The rule in words, to be read after "expected"."""
        kind = "a number" if self.decimals else "a whole number"
        bounds = self.bounds or f"from {self.least} to {self.most}"
        return f"{kind}{f' of {self.unit}' * bool(self.unit)} {bounds}{', or null' * self.optional}"

    @property
    def meta(self) -> Meta:
        """The rule for the JSON decoder."""
        return Meta(ge=self.least, le=self.most)

    @property
    def scale(self) -> int:
        """The number of counted units in one: 1, or a million."""
        return int(10**self.decimals)


FIELD_RULES: Final[Mapping[str, Text | Number]] = {
    "movie_id": Text(128, meaning="Which film: films are told apart by it alone."),
    "title": Text(512, meaning="What the film is called; shown is that of its newest view."),
    "genre": Text(64, trimmed=True, meaning="The genre; spellings that differ in case and blanks are one."),
    "user_id": Text(128, meaning="Who watched; also the key of the record."),
    "timestamp": Number(
        *(1, MAX_TIMESTAMP_MS),
        unit="Unix milliseconds",
        bounds="above 0 and before the year 9999-12-31",
        meaning="When it was watched; it decides which windows the view counts in.",
    ),
    "rating": Number(0, 5, decimals=6, optional=True, meaning="How good the viewer found it."),
    "duration": Number(0, 1440, unit="minutes", optional=True, meaning="How long the view was."),
    "price": Number(
        *(0, 1_000_000_000),
        decimals=6,
        optional=True,
        meaning="What was paid; a view without it has a revenue of REVENUE_PER_VIEW.",
    ),
}
"""The rules by the name of the field, in the order in which an event is written."""

TEXTS: Final[Mapping[str, Text]] = {name: rule for name, rule in FIELD_RULES.items() if isinstance(rule, Text)}
NUMBERS: Final[Mapping[str, Number]] = {
    name: rule for name, rule in FIELD_RULES.items() if isinstance(rule, Number) and rule.optional
}
"""The optional fields, which are all numbers."""
REQUIRED: Final = tuple(name for name in FIELD_RULES if name not in NUMBERS)
OPTIONAL: Final = tuple(NUMBERS)
FIELDS: Final = (*REQUIRED, *OPTIONAL)
