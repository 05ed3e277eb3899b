"""Reports the refused rows of a file to the user: the first ones by line, the others by kind."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final

from movie_stream.events.reasons import kind_of
from movie_stream.replay.files.csv_rows import RefusedRow

NAMED_ROWS: Final = 20
"""The most refused rows that are shown individually; the others are counted by reason."""
KINDS_SHOWN: Final = 10


class RefusedRows:
    """The refused rows of one file.

    >>> rows = RefusedRows("views.csv")
    >>> list(rows.named([RefusedRow(7, "rating: expected a number")])), list(rows.others())
    (['views.csv, line 7: rating: expected a number'], [])
    """

    def __init__(self, file: object) -> None:
        self._file = file
        self._named = 0
        self._not_named: Counter[str] = Counter()

    def named(self, rows: Sequence[RefusedRow]) -> Iterator[str]:
        """A line for each of these rows, until there are NAMED_ROWS."""
        for row in rows:
            if self._named < NAMED_ROWS:
                self._named += 1
                yield f"{self._file}, line {row.line}: {row.reason}"
            else:
                self._not_named[kind_of(row.reason)] += 1

    def others(self) -> Iterator[str]:
        """A line for each kind of the other rows."""
        for kind, rows in self._not_named.most_common(KINDS_SHOWN):
            yield f"{self._file}: {rows:,} more refused: {kind}"
        more = len(self._not_named) - KINDS_SHOWN
        if more > 0:
            yield f"{self._file}: and more, for {more:,} other reasons"
