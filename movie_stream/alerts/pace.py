"""The size of portions of the evaluation, so that counting, in the same event loop, is not blocked."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from movie_stream.alerts.conditions import lookback_ranges
from movie_stream.alerts.rules import EACH, Rule

YIELDS_EVERY_S: Final = 0.02
ROWS_AT_ONCE: Final = 20_000
"""The approximate number of figures to read at a time."""
READ_AT_ONCE: Final = 2_000
"""The batch size of cursors: other tasks only run between batches."""
_SUBJECTS: Final = 20
"""The assumed number of subjects of a rule of each or of films, until it is known."""


class Yielder:
    """Yields to other tasks at intervals."""

    def __init__(self) -> None:
        self._yielded_s = float("-inf")

    async def maybe_yield(self) -> bool:
        """Yields if the interval has passed, and returns whether it did; call it often."""
        if monotonic() - self._yielded_s < YIELDS_EVERY_S:
            return False
        await asyncio.sleep(0)
        self._yielded_s = monotonic()
        return True


class Portions:
    """The number of windows to read at a time for each rule, from the rows of each window in the last read."""

    def __init__(self) -> None:
        self._rows_per_window: dict[str, float] = {}

    def windows(self, rule: Rule, at_most: int) -> int:
        """The number of windows to read next.

        >>> from movie_stream.alerts.rules import BeyondUsual
        >>> rule, portions = Rule("r", "views", BeyondUsual("above", 2.0, weeks=4), EACH), Portions()
        >>> portions.windows(rule, 2_000)
        200
        >>> portions.read(rule, 200, 300_000)
        >>> portions.windows(rule, 2_000)
        13
        """
        rows = self._rows_per_window.get(rule.name)
        if rows is None:
            ranges = 1 + len(lookback_ranges(rule.condition, rule.window_ms))
            rows = ranges * (_SUBJECTS if rule.subject == EACH else 1)
        return max(min(int(ROWS_AT_ONCE / rows), at_most), 1)

    def read(self, rule: Rule, windows: int, rows: int) -> None:
        """Records the number of rows that were read for a number of windows."""
        self._rows_per_window[rule.name] = max(rows / windows, 1.0)
