"""The alerts of a rule, as a pure function of its series of figures.

An alert is a maximal run of windows at which the condition holds, with at least as many windows as the rule demands. So
neither the division of the windows into pieces nor a repeated evaluation changes the outcome.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from movie_stream.alerts.conditions import Judged, Windows, judge, lookback_ranges
from movie_stream.alerts.rules import EACH, Beyond, BeyondUsual, Quality, RatingFalling, Rule
from movie_stream.alerts.series import NOTHING, Reasons, Series
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.errors import MovieStreamError

_AT_ONCE: Final = 500
"""The most windows that are judged at a time."""
MOST_GENRES: Final = 50_000
"""The most genres of a rule of each: the first window of each of them is stored in one document."""


class TooManyGenres(MovieStreamError):
    """A rule of each genre has more genres than can be stored.

    What to do: mend what the source sends as genre, or name one genre in the rule.

    >>> print(TooManyGenres(rule="busy genres", found=12_000))
    rule busy genres: expected at most 50,000 genres for a rule of each, got 12,000; see what the source sends as \
genre, or name the one that is meant in the rule
    """

    def __init__(self, *, rule: str, found: int) -> None:
        super().__init__(
            f"rule {rule}: expected at most {MOST_GENRES:,} genres for a rule of each, got {found:,}; see what the "
            "source sends as genre, or name the one that is meant in the rule"
        )


@dataclass(frozen=True, slots=True)
class Streak:
    """A run of windows at which a rule holds for a subject; an alert, if it is long enough."""

    subject: str
    start_ms: int
    windows: int
    value: float
    """The most extreme value."""
    at_ms: int
    """The start of the first window with that value."""
    threshold: float
    """The threshold of that window."""
    usual: float | None = None
    label: str | None = None
    """The display name of the subject in that window, if it differs."""
    end_ms: int | None = None
    """The end of its last window; None if that is the last window evaluated."""
    reasons: Reasons = ()
    """For verdicts on data quality: the figures of that window that are beyond their limits."""


@dataclass(slots=True)
class Evaluation:
    """The alerts of one rule, window by window. `until_ms` is the end of the last window evaluated."""

    rule: Rule
    until_ms: int
    firsts: dict[str, int] = field(default_factory=dict)
    """The first window of each subject, for rules of each."""
    begins: Mapping[str, int] = field(default_factory=dict)
    """The start of the evaluation of some subjects."""
    begin_ms: int = 0
    """The start of the evaluation of all others."""
    _open: dict[str, Streak] = field(default_factory=dict)

    def advance(
        self, series: Mapping[str, Series], until_ms: int, first_ms: int, others: Series | None = None
    ) -> list[Streak]:
        """Evaluates the windows up to a time, the end of one; returns the alerts that have ended, by end and subject.

        `series` has the figures of these windows and of the earlier ones needed; `first_ms` is the start of the first
        window with any figures. Raises TooManyGenres.
        """
        pieces = self.advancing(series, until_ms, first_ms, others)
        streaks = (streak for piece in pieces for streak in piece)
        return sorted(streaks, key=lambda streak: (streak.end_ms or 0, streak.subject))

    def advancing(
        self, series: Mapping[str, Series], until_ms: int, first_ms: int, others: Series | None = None
    ) -> Iterator[list[Streak]]:
        """Like `advance`, subject by subject, so that the caller can yield in between; exhaust the iterator."""
        length = self.rule.window_ms
        while self.until_ms < until_ms:
            end = min(until_ms, self.until_ms + _AT_ONCE * length)
            starts = np.arange(self.until_ms, end, length, dtype=np.int64)
            for subject in self._subjects(series, starts):
                own = series.get(subject, NOTHING)
                first = self.firsts.get(subject, first_ms)
                judged = judge(self.rule.condition, Windows(starts, length, own, first, others))
                begins = max(first, self.begins.get(subject, self.begin_ms))
                yield list(self._fold(subject, _restricted(judged, starts >= begins), starts, own))
            self.until_ms = end

    def open_streaks(self) -> list[Streak]:
        """The alerts that have not ended, by subject."""
        return [streak for _, streak in sorted(self._open.items()) if streak.windows >= self.rule.in_a_row]

    def _subjects(self, series: Mapping[str, Series], starts: Ints) -> list[str]:
        """The subjects of these windows: those known by the end of the last one."""
        if self.rule.subject != EACH:
            return [self.rule.subject]
        if self.rule.source != "views":
            seen = {subject for subject, own in series.items() if own.within(int(starts[0]), int(starts[-1]))}
            return sorted(seen | self._open.keys())
        for subject, own in series.items():
            if len(own.starts) and own.starts[0] <= starts[-1]:
                self.firsts[subject] = min(self.firsts.get(subject, int(own.starts[0])), int(own.starts[0]))
        if len(self.firsts) > MOST_GENRES:
            raise TooManyGenres(rule=self.rule.name, found=len(self.firsts))
        if self._quiet_without_figures:
            return sorted({*series, *self._open} & self.firsts.keys())
        return sorted(self.firsts)

    @property
    def _quiet_without_figures(self) -> bool:
        """Whether the rule cannot hold at windows without figures."""
        condition = self.rule.condition
        return not (isinstance(condition, Beyond | BeyondUsual) and condition.direction == "below")

    def _fold(self, subject: str, judged: Judged, starts: Ints, series: Series) -> Iterator[Streak]:
        """The alerts that end within these windows; runs that reach the last one are kept."""
        length, before = self.rule.window_ms, self._open.pop(subject, None)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], judged.holds, [False]]).astype(np.int8)))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        if before is not None and not (runs and runs[0][0] == 0):
            yield from self._ended(before, int(starts[0]))
            before = None
        for begin, end in runs:
            streak = self._streak(subject, judged, starts, begin, end, series)
            if before is not None:
                streak, before = self._merged(before, streak), None
            if end == len(starts):
                self._open[subject] = streak
            else:
                yield from self._ended(streak, int(starts[end - 1]) + length)

    def _ended(self, streak: Streak, end_ms: int) -> Iterator[Streak]:
        if streak.windows >= self.rule.in_a_row:
            yield replace(streak, end_ms=end_ms)

    def _streak(self, subject: str, judged: Judged, starts: Ints, begin: int, end: int, series: Series) -> Streak:
        values = judged.value[begin:end]
        at = begin + int(np.argmin(values) if self._lower_is_worse else np.argmax(values))
        return Streak(
            subject,
            int(starts[begin]),
            end - begin,
            float(judged.value[at]),
            int(starts[at]),
            float(judged.threshold[at]),
            None if judged.usual is None else float(judged.usual[at]),
            self._label(series, int(starts[at])),
            reasons=series.reasons_at(int(starts[at])),
        )

    def _label(self, series: Series, at_ms: int) -> str | None:
        """The display name of the subject in a window or, if it has no views there, in those it was compared with."""
        shifts = (0, *(shift for shift, _ in lookback_ranges(self.rule.condition, self.rule.window_ms)))
        return next((label for shift in shifts if (label := series.labels.get(at_ms - shift))), None)

    def _merged(self, before: Streak, after: Streak) -> Streak:
        """Two adjacent streaks as one."""
        beyond = after.value < before.value if self._lower_is_worse else after.value > before.value
        peak = after if beyond else before
        return replace(peak, start_ms=before.start_ms, windows=before.windows + after.windows)

    @property
    def _lower_is_worse(self) -> bool:
        """Whether lower values are worse."""
        match self.rule.condition:
            case Beyond(direction=direction) | BeyondUsual(direction=direction) | Quality(direction=direction):
                return direction == "below"
            case RatingFalling():
                return True
            case _:
                return False


def _restricted(judged: Judged, where: Bools) -> Judged:
    return judged if where.all() else replace(judged, holds=judged.holds & where)


def restarted(rule: Rule, from_ms: int, lasting: Mapping[str, int], firsts: Mapping[str, int]) -> Evaluation:
    """An evaluation that repeats the alerts that reach `before(rule, from_ms)` or beyond.

    `lasting` has the starts of the known ones among them, by subject, which are evaluated from there. All others begin
    at `before` at the earliest, so that earlier windows only matter to the former.
    """
    begin = before(rule, from_ms)
    begins = {subject: min(start, begin) for subject, start in lasting.items()}
    return Evaluation(rule, min([begin, *begins.values()]), dict(firsts), begins, begin)


def before(rule: Rule, from_ms: int) -> int:
    """The earliest start of a run that is an alert only with the window at `from_ms`."""
    return from_ms - from_ms % rule.window_ms - (rule.in_a_row - 1) * rule.window_ms


def due_until(rule: Rule, until_ms: int) -> int:
    """The time up to which a rule may be evaluated if results are complete up to `until_ms`: the end of its last whole
    window whose `wait` has passed.
    """
    waited = max(until_ms - rule.wait_ms, 0)
    return waited - waited % rule.window_ms
