"""The figures of one subject (a genre, a film, a partition, or all) by window, as sparse columns."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movie_stream.alerts.expectations import Found, Verdict
from movie_stream.columnar.columns import Ints

Floats = NDArray[np.float64]
Verdicts = Callable[[Mapping[str, Any]], Verdict]
"""The verdict on a document of `data_quality`."""
Reasons = tuple[Found, ...]


@dataclass(frozen=True, slots=True)
class Silence:
    """The figures of windows without data, from a time on: the subject is known to have had none there."""

    from_ms: int
    figures: Mapping[str, float]
    reasons: Reasons = ()
    """The figures beyond their limits."""


@dataclass(frozen=True, slots=True)
class Series:
    """Figures by the start of their window (ms, ascending); windows without figures are omitted.

    >>> series = Series.of([(0, {"views": 3}), (120_000, {"views": 5})])
    >>> series.at("views", np.array([0, 60_000, 120_000])).tolist()
    [3.0, 0.0, 5.0]
    """

    starts: Ints
    columns: Mapping[str, Floats]
    labels: Mapping[int, str] = field(default_factory=dict)
    """The display name of the subject, by window."""
    reasons: Mapping[int, Reasons] = field(default_factory=dict)
    """For data quality: the figures beyond their limits, by window."""
    silence: Silence | None = None
    """The figures of windows without data; None if these are unknown."""

    @classmethod
    def of(
        cls,
        rows: Iterable[tuple[int, Mapping[str, float | None]]],
        labels: Mapping[int, str] = {},
        reasons: Mapping[int, Reasons] = {},
        silence: Silence | None = None,
    ) -> Series:
        """The series of these rows, each with the start of its window; a figure of None is unknown."""
        ordered = sorted(rows, key=itemgetter(0))
        names = dict.fromkeys(chain.from_iterable(figures for _, figures in ordered))
        columns = {name: np.array([figures.get(name) for _, figures in ordered], np.float64) for name in names}
        return cls(np.array([start for start, _ in ordered], np.int64), columns, labels, reasons, silence)

    def at(self, column: str, starts: Ints, missing: float | Floats = 0.0) -> Floats:
        """A column at these windows; `missing` for windows without figures."""
        values = self.columns.get(column)
        if values is None or not len(values):
            return np.full(starts.shape, missing, np.float64)
        indices = np.minimum(np.searchsorted(self.starts, starts), len(values) - 1)
        return np.where(self.starts[indices] == starts, values[indices], missing)

    def known(self, column: str, starts: Ints) -> Floats:
        """A column at these windows; for windows without figures that of `silence`, or NaN if unknown.

        >>> series = Series.of([(0, {"records": 3})], silence=Silence(0, {"records": 0.0}))
        >>> series.known("records", np.array([-3_600_000, 0, 3_600_000])).tolist()
        [nan, 3.0, 0.0]
        """
        missing = np.full(starts.shape, np.nan)
        if self.silence is not None:
            missing[starts >= self.silence.from_ms] = self.silence.figures.get(column, np.nan)
        return self.at(column, starts, missing)

    def reasons_at(self, start_ms: int) -> Reasons:
        """The figures of a window that are beyond their limits."""
        if self.silence is None or start_ms < self.silence.from_ms or self.has(np.array([start_ms])).all():
            return self.reasons.get(start_ms, ())
        return self.silence.reasons

    def has(self, starts: Ints) -> NDArray[np.bool_]:
        """A mask of the windows with figures."""
        if not len(self.starts):
            return np.zeros(starts.shape, np.bool_)
        indices = np.minimum(np.searchsorted(self.starts, starts), len(self.starts) - 1)
        found: NDArray[np.bool_] = self.starts[indices] == starts
        return found

    def within(self, first_ms: int, last_ms: int) -> bool:
        """Whether any window that starts between these times, both inclusive, is known.

        >>> Series.of([(0, {"views": 3})]).within(1, 60_000)
        False
        """
        if self.silence is not None and self.silence.from_ms <= last_ms:
            return True
        index = int(np.searchsorted(self.starts, first_ms))
        return index < len(self.starts) and int(self.starts[index]) <= last_ms


NOTHING: Series = Series(np.zeros(0, np.int64), {})
"""A series without figures."""
