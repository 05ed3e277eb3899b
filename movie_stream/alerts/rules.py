"""What rules say: which series of figures is looked at, and when an alert is due. rule_file.py reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

from movie_stream.alerts.expectations import Expectations

HOUR_MS: Final = 3_600_000
"""The windows of films and of the quality, and of all others that do not say it."""
ALL: Final = "all"
EACH: Final = "each"
LOG: Final = "log"
"""The receiver that is always there: a line in the log of the worker that evaluates."""

Direction = Literal["above", "below"]
Severity = Literal["info", "warning", "critical"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "warning", "critical")
Source = Literal["views", "films", "quality"]
"""Views and ratings of genres, the films of hours, or the quality of the source partitions."""


@dataclass(frozen=True, slots=True)
class Beyond:
    """Views above or below a number."""

    direction: Direction
    limit: float


@dataclass(frozen=True, slots=True)
class BeyondUsual:
    """Views above or below a multiple of what is usual: of the median of the same window of the last weeks, and
    farther from it than they vary.
    """

    direction: Direction
    multiple: float
    weeks: int = 4
    min_weeks: int = 3
    """With fewer weeks before it nothing is usual, and there is no alert."""
    spread: float = 3.0
    """How many standard deviations away it has to be as well, as the median absolute deviation (MAD) estimates them."""
    at_least: float = 10.0
    """Views that are worth a word: in the window where it is about more, usually where it is about less."""


@dataclass(frozen=True, slots=True)
class RatingFalling:
    """The average rating of a window below that of the windows before it by so much."""

    by: float
    over: int = 24
    """Windows before it."""
    at_least: float = 20.0
    """Ratings that both averages have to be made of."""


@dataclass(frozen=True, slots=True)
class Climbing:
    """A film of an hour's list with so many times the views that it had in the hours before: of their median."""

    times: float
    over: int = 6
    """Hours before it. What a film had there that was not in the list is taken to be as much as the list's last one."""
    at_least: float = 20.0
    """Views of the hour."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A figure of `data_quality`, or its share of another, above or below a number."""

    field: str
    direction: Direction
    limit: float
    share_of: str | None = None


@dataclass(frozen=True, slots=True)
class LightAtLeast:
    """The verdict on a row of `data_quality`, by the expectations of the same file: at least as bad as this."""

    light: Literal["yellow", "red"]
    expected: Expectations = field(default_factory=Expectations)
    """What it is a verdict by."""


Condition = Beyond | BeyondUsual | RatingFalling | Climbing | Quality | LightAtLeast


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: at each window of event time its condition holds of a subject, or not; so many windows in a row at
    which it does are an alert.
    """

    name: str
    kind: str
    """As the file calls it."""
    condition: Condition
    subject: str = ALL
    """`all`, `each`, or the slug of one genre."""
    window_ms: int = HOUR_MS
    in_a_row: int = 1
    wait_ms: int = 60_000
    """How long after its end, in event time, a window is looked at: some views come a little later than others."""
    severity: Severity = "warning"
    to: tuple[str, ...] = (LOG,)
    called: str | None = field(default=None, compare=False)
    """The genre as its file writes it, for when there are no views that name it."""
    line: int = field(default=0, compare=False)
    """Where it begins in its file."""

    @property
    def source(self) -> Source:
        """Which figures it looks at."""
        match self.condition:
            case Climbing():
                return "films"
            case Quality() | LightAtLeast():
                return "quality"
            case _:
                return "views"

    @property
    def definition(self) -> str:
        """A hash of all that its alerts depend on and say; not of who is told."""
        of = (self.kind, self.condition, self.subject, self.window_ms, self.in_a_row, self.wait_ms, self.severity)
        return hashlib.sha256(repr(of).encode()).hexdigest()[:16]
