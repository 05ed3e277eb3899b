"""Decoded views as columns: the common output of both decoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movie_stream.columnar.columns import Bools
from movie_stream.columnar.spans import Ints, Spans


@dataclass(frozen=True, slots=True)
class Views:
    """Columns of equal length, one row per view."""

    texts: dict[str, Spans]
    """The texts in UTF-8, by the names in TEXTS."""
    timestamp_ms: Ints
    numbers: dict[str, Ints]
    """The numbers in units of the last decimal, or MISSING, by the names in NUMBERS."""

    def __len__(self) -> int:
        return len(self.timestamp_ms)

    def take(self, rows: slice | Ints | Bools) -> Views:
        """Only these rows."""
        return Views(
            {name: text.take(rows) for name, text in self.texts.items()},
            self.timestamp_ms[rows],
            {name: number[rows] for name, number in self.numbers.items()},
        )

    def concat(self, others: Views) -> Views:
        """These views and then the others."""
        return Views(
            {name: text.concat(others.texts[name]) for name, text in self.texts.items()},
            np.concatenate([self.timestamp_ms, others.timestamp_ms]),
            {name: np.concatenate([number, others.numbers[name]]) for name, number in self.numbers.items()},
        )
