"""The figures of one subject (a genre, a film, a partition, or all) by window: what is known of them, and no gaps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from movie_stream.alerts.expectations import Light
from movie_stream.columnar.columns import Ints

Floats = NDArray[np.float64]
Verdicts = Callable[[Mapping[str, Any]], Light]
"""The verdict on a document of `data_quality`: grey, green, yellow or red."""


@dataclass(frozen=True, slots=True)
class Series:
    """Figures by the start of their window (ms, ascending); a window without figures is left out.

    >>> series = Series.of([(0, {"views": 3}), (120_000, {"views": 5})])
    >>> series.at("views", np.array([0, 60_000, 120_000])).tolist()
    [3.0, 0.0, 5.0]
    """

    starts: Ints
    columns: Mapping[str, Floats]
    labels: Mapping[int, str] = field(default_factory=dict)
    """What people call the subject, by window."""

    @classmethod
    def of(cls, rows: Iterable[tuple[int, Mapping[str, float | None]]], labels: Mapping[int, str] = {}) -> Series:
        """The series of these rows, each with the start of its window. None is not known."""
        ordered = sorted(rows, key=lambda row: row[0])
        names = dict.fromkeys(name for _, figures in ordered for name in figures)
        columns = {name: np.array([_number(figures.get(name)) for _, figures in ordered], np.float64) for name in names}
        return cls(np.array([start for start, _ in ordered], np.int64), columns, labels)

    def at(self, column: str, starts: Ints, missing: float = 0.0) -> Floats:
        """A column at these windows; `missing` where there is no figure."""
        values = self.columns.get(column)
        if values is None or not len(values):
            return np.full(starts.shape, missing)
        places = np.minimum(np.searchsorted(self.starts, starts), len(values) - 1)
        return np.where(self.starts[places] == starts, values[places], missing)

    def has(self, starts: Ints) -> NDArray[np.bool_]:
        """At which of these windows there are figures."""
        if not len(self.starts):
            return np.zeros(starts.shape, np.bool_)
        places = np.minimum(np.searchsorted(self.starts, starts), len(self.starts) - 1)
        found: NDArray[np.bool_] = self.starts[places] == starts
        return found

    def within(self, first_ms: int, last_ms: int) -> bool:
        """Whether there are figures of any window that starts between these times, or at one of them.

        >>> Series.of([(0, {"views": 3})]).within(1, 60_000)
        False
        """
        place = int(np.searchsorted(self.starts, first_ms))
        return place < len(self.starts) and int(self.starts[place]) <= last_ms


NOTHING: Series = Series(np.zeros(0, np.int64), {})
"""No figures at all."""


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
