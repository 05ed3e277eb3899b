"""The rules: the figures of each, and the condition of its alerts. rule_file.py reads them."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import Final, Literal

from movie_stream.alerts.expectations import Expectations

HOUR_MS: Final = 3_600_000
"""The windows of rules on films and on quality, and the default of all others."""
ALL: Final = "all"
EACH: Final = "each"
LOG: Final = "log"
"""The receiver that always exists: a line in the log of the worker that evaluates."""

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
    """Views above or below a multiple of the usual number, the median of the same window in the last weeks, and farther
    from it than the usual variation.
    """

    direction: Direction
    multiple: float
    weeks: int = 4
    min_weeks: int = 3
    """The least number of earlier weeks with data; with fewer there is no alert."""
    spread: float = 3.0
    """The least distance in standard deviations, as estimated by the median absolute deviation (MAD)."""
    at_least: float = 10.0
    """The least number of views: in the window for alerts above the usual, usually for those below it."""


@dataclass(frozen=True, slots=True)
class RatingFalling:
    """An average rating in a window that is lower, by a number, than in the windows before it."""

    by: float
    over: int = 24
    """The number of windows before it."""
    at_least: float = 20.0
    """The least number of ratings in each of the two averages."""


@dataclass(frozen=True, slots=True)
class Climbing:
    """A film in an hour's list whose views exceed a multiple of the median of the hours before."""

    times: float
    over: int = 6
    """The number of hours before it. In hours that do not list it, a film counts as the last one of the list."""
    at_least: float = 20.0
    """The least number of views in the hour."""


@dataclass(frozen=True, slots=True)
class Quality:
    """A figure of `data_quality`, or its share of another, above or below a number."""

    field: str
    direction: Direction
    limit: float
    share_of: str | None = None


@dataclass(frozen=True, slots=True)
class LightAtLeast:
    """A verdict on a row of `data_quality`, by the expectations of the same file, at least as bad as a light."""

    light: Literal["yellow", "red"]
    expected: Expectations = field(default_factory=Expectations)
    """The expectations of the verdict."""


Condition = Beyond | BeyondUsual | RatingFalling | Climbing | Quality | LightAtLeast


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: its condition holds, or not, for a subject at each window of event time; enough windows in a row at
    which it holds are an alert.
    """

    name: str
    kind: str
    """The kind as named in the file."""
    condition: Condition
    subject: str = ALL
    """`all`, `each`, or the slug of one genre."""
    window_ms: int = HOUR_MS
    in_a_row: int = 1
    wait_ms: int = 60_000
    """The delay, in event time, from a window's end to its evaluation: some views arrive a little later than others."""
    severity: Severity = "warning"
    to: tuple[str, ...] = (LOG,)
    called: str | None = field(default=None, compare=False)
    """The genre as written in its file, the display name if no view has one."""
    line: int = field(default=0, compare=False)
    """The first line of the rule in its file."""

    @property
    def source(self) -> Source:
        """The figures that it uses."""
        match self.condition:
            case Climbing():
                return "films"
            case Quality() | LightAtLeast():
                return "quality"
            case _:
                return "views"

    @property
    def definition(self) -> str:
        """A hash of all parts that its alerts depend on; receivers are not among them."""
        parts = (self.kind, self.condition, self.subject, self.window_ms, self.in_a_row, self.wait_ms, self.severity)
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
