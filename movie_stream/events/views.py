"""Decoded views as columns: the common output of both decoders."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from movie_stream.columnar.columns import Bools
from movie_stream.columnar.spans import PAD, Ints, Spans, joined, put, replaced
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

    def put(self, rows: Ints, others: Views) -> Views:
        """These views, with the others in these rows. The texts of each share a buffer."""
        texts = put([*self.texts.values()], rows, [others.texts[name] for name in self.texts])
        return Views(
            dict(zip(self.texts, texts, strict=True)),
            replaced(self.timestamp_ms, rows, others.timestamp_ms),
            {name: replaced(number, rows, others.numbers[name]) for name, number in self.numbers.items()},
        )


def placeholders(count: int) -> Views:
    """So many rows without a view, for `put`."""
    nothing = np.zeros(count, np.int64)
    empty = Spans(joined([]), nothing + len(PAD), nothing)
    return Views(dict.fromkeys(TEXTS, empty), nothing, dict.fromkeys(NUMBERS, nothing))
