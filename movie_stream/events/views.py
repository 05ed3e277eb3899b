"""Decoded views as columns: the common output of both decoders."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from movie_stream.columnar.decimals import Bools
from movie_stream.columnar.spans import Ints, Spans
from movie_stream.events.contract import NUMBERS, TEXTS


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

    @classmethod
    def joined(cls, parts: Sequence[Views]) -> Views:
        """The rows of all these parts, at least one, whose texts share a buffer."""
        if len(parts) == 1:
            return parts[0]
        return cls(
            {name: Spans.joined([part.texts[name] for part in parts]) for name in TEXTS},
            np.concatenate([part.timestamp_ms for part in parts]),
            {name: np.concatenate([part.numbers[name] for part in parts]) for name in NUMBERS},
        )
