"""Series in, alerts out: the alerts of a rule as a function of the figures. Nothing in here asks anybody.

An alert is a maximal run of windows at which the condition holds, of so many windows as the rule wants in a row. So it
does not matter in which pieces the windows come, nor how often: whoever evaluates finds the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from movie_stream.alerts.conditions import Judged, Windows, judge, looks_back
from movie_stream.alerts.rules import EACH, Beyond, BeyondUsual, Quality, RatingFalling, Rule
from movie_stream.alerts.series import NOTHING, Reasons, Series
from movie_stream.columnar.columns import Bools, Ints
from movie_stream.errors import MovieStreamError

_AT_ONCE: Final = 500
"""Windows that are judged at a time."""
MOST_GENRES: Final = 50_000
"""Of a rule of each: the first window of every one is kept, and stands in one document."""


class TooManyGenres(MovieStreamError):
    """A rule of each genre is about more of them than can be kept.

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
    """Windows in a row at which a rule holds of a subject; an alert, if they are enough."""

    subject: str
    start_ms: int
    windows: int
    value: float
    """The most extreme one."""
    at_ms: int
    """The start of the window with that value; of several the first."""
    threshold: float
    """What that window was held against."""
    usual: float | None = None
    label: str | None = None
    """What people called the subject in that window, where that is another name."""
    end_ms: int | None = None
    """The end of its last window; None while the windows that are known end with it."""
    reasons: Reasons = ()
    """Of a verdict on the quality of data: which figures of that window are beyond their limits."""


@dataclass(slots=True)
class Evaluation:
    """The alerts of one rule, window by window. `until_ms` is the end of what was evaluated."""

    rule: Rule
    until_ms: int
    firsts: dict[str, int] = field(default_factory=dict)
    """The first window of each subject, of a rule of each."""
    begins: Mapping[str, int] = field(default_factory=dict)
    """From when on the alerts of some subjects are looked for."""
    begin_ms: int = 0
    """From when on those of all others are."""
    _lasting: dict[str, Streak] = field(default_factory=dict)

    def advance(
        self, series: Mapping[str, Series], until_ms: int, first_ms: int, others: Series | None = None
    ) -> list[Streak]:
        """Evaluates the windows up to a time, which is the end of one; the alerts that have ended, in their order.

        `series` has the figures of these windows and of those before that are needed; `first_ms` is the start of the
        first window with any figures. Raises TooManyGenres.
        """
        pieces = self.advancing(series, until_ms, first_ms, others)
        return sorted((streak for some in pieces for streak in some), key=lambda of: (of.end_ms or 0, of.subject))

    def advancing(
        self, series: Mapping[str, Series], until_ms: int, first_ms: int, others: Series | None = None
    ) -> Iterator[list[Streak]]:
        """Like `advance`, subject by subject, so that whoever asks can do something else in between; it is of use only
        when all of it was asked for.
        """
        length = self.rule.window_ms
        while self.until_ms < until_ms:
            end = min(until_ms, self.until_ms + _AT_ONCE * length)
            starts = np.arange(self.until_ms, end, length, dtype=np.int64)
            for subject in self._subjects(series, starts):
                of = series.get(subject, NOTHING)
                first = self.firsts.get(subject, first_ms)
                judged = judge(self.rule.condition, Windows(starts, length, of, first, others))
                begins = max(first, self.begins.get(subject, self.begin_ms))
                yield list(self._fold(subject, _only(judged, starts >= begins), starts, of))
            self.until_ms = end

    def lasting(self) -> list[Streak]:
        """The alerts that have not ended, by subject."""
        return [streak for _, streak in sorted(self._lasting.items()) if streak.windows >= self.rule.in_a_row]

    def _subjects(self, series: Mapping[str, Series], starts: Ints) -> list[str]:
        """Whom these windows are about: those that are known by their end."""
        if self.rule.subject != EACH:
            return [self.rule.subject]
        if self.rule.source != "views":
            seen = {subject for subject, of in series.items() if of.within(int(starts[0]), int(starts[-1]))}
            return sorted(seen | self._lasting.keys())
        for subject, of in series.items():
            if len(of.starts) and of.starts[0] <= starts[-1]:
                self.firsts[subject] = min(self.firsts.get(subject, int(of.starts[0])), int(of.starts[0]))
        if len(self.firsts) > MOST_GENRES:
            raise TooManyGenres(rule=self.rule.name, found=len(self.firsts))
        if self._quiet_without_figures:
            return sorted({*series, *self._lasting} & self.firsts.keys())
        return sorted(self.firsts)

    @property
    def _quiet_without_figures(self) -> bool:
        """Whether the rule can hold of no window that has no figures."""
        condition = self.rule.condition
        return not (isinstance(condition, Beyond | BeyondUsual) and condition.direction == "below")

    def _fold(self, subject: str, judged: Judged, starts: Ints, series: Series) -> Iterator[Streak]:
        """The alerts that end among these windows; what goes on after them is kept."""
        length, before = self.rule.window_ms, self._lasting.pop(subject, None)
        edges = np.flatnonzero(np.diff(np.concatenate([[False], judged.holds, [False]]).astype(np.int8)))
        runs = list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
        if before is not None and not (runs and runs[0][0] == 0):
            yield from self._ended(before, int(starts[0]))
            before = None
        for begin, end in runs:
            streak = self._streak(subject, judged, starts, begin, end, series)
            if before is not None:
                streak, before = self._joined(before, streak), None
            if end == len(starts):
                self._lasting[subject] = streak
            else:
                yield from self._ended(streak, int(starts[end - 1]) + length)

    def _ended(self, streak: Streak, end_ms: int) -> Iterator[Streak]:
        if streak.windows >= self.rule.in_a_row:
            yield replace(streak, end_ms=end_ms)

    def _streak(self, subject: str, judged: Judged, starts: Ints, begin: int, end: int, series: Series) -> Streak:
        values = judged.value[begin:end]
        at = begin + int(np.argmin(values) if self._falls else np.argmax(values))
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
        """What the subject is called in a window, or in those that it was compared with where it has no views."""
        before = looks_back(self.rule.condition, self.rule.window_ms)
        return next((of for shift in (0, *(of for of, _ in before)) if (of := series.labels.get(at_ms - shift))), None)

    def _joined(self, before: Streak, after: Streak) -> Streak:
        """Two streaks, the second of which begins where the first one is known to go on."""
        beyond = after.value < before.value if self._falls else after.value > before.value
        peak = after if beyond else before
        return replace(peak, start_ms=before.start_ms, windows=before.windows + after.windows)

    @property
    def _falls(self) -> bool:
        """Whether less is worse."""
        match self.rule.condition:
            case Beyond(direction=direction) | BeyondUsual(direction=direction) | Quality(direction=direction):
                return direction == "below"
            case RatingFalling():
                return True
            case _:
                return False


def _only(judged: Judged, where: Bools) -> Judged:
    return judged if where.all() else replace(judged, holds=judged.holds & where)


def restarted(rule: Rule, from_ms: int, lasting: Mapping[str, int], firsts: Mapping[str, int]) -> Evaluation:
    """An evaluation that finds anew the alerts that reach to `before(rule, from_ms)` or beyond.

    `lasting` has the starts of those of them that are known, by subject: they are looked for from there. All others
    begin at `before` at the earliest. So windows before that matter only to the former.
    """
    begin = before(rule, from_ms)
    begins = {subject: min(start, begin) for subject, start in lasting.items()}
    return Evaluation(rule, min([begin, *begins.values()]), dict(firsts), begins, begin)


def before(rule: Rule, from_ms: int) -> int:
    """As early as a run may begin that is an alert with the window at `from_ms`, and none without it."""
    return from_ms - from_ms % rule.window_ms - (rule.in_a_row - 1) * rule.window_ms


def due_until(rule: Rule, until_ms: int) -> int:
    """Up to when a rule may be evaluated, where results are complete up to a time: the end of its last whole window
    that has waited long enough.
    """
    waited = max(until_ms - rule.wait_ms, 0)
    return waited - waited % rule.window_ms
