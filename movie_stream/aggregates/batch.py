"""The valid, timely views of one chunk, as the columns that accumulators read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from movie_stream.aggregates.columns import Array, Ints
from movie_stream.aggregates.sketch import Hashes


class Numbers(NamedTuple):
    """A column of numbers that may be missing."""

    rows: Ints | None
    """The rows of the batch that have a number; None: all of them."""
    values: Ints
    """The numbers of these rows."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Columns of equal length, one row a view, in the order of the log."""

    offset: Ints
    timestamp_ms: Ints
    local_hour: Ints
    """0 to 23, in TIMEZONE."""
    ids: Mapping[str, Ints]
    """genre (by slug), movie_id, user_id: numbers of the partition's interners."""
    hashes: Mapping[str, Hashes]
    """movie_id, user_id."""
    numbers: Mapping[str, Numbers]
    """rating and revenue in millionths, duration in minutes."""
    texts: Mapping[str, Array]
    """title, and spelling (the genre trimmed and collapsed): objects."""

    def __len__(self) -> int:
        return len(self.offset)
