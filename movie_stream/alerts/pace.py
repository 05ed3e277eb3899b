"""How much is evaluated at a time, so that counting, in the same event loop, has its turn in between."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final

from movie_stream.alerts.conditions import looks_back
from movie_stream.alerts.rules import EACH, Rule

GIVES_WAY_EVERY_S: Final = 0.02
ROWS_AT_ONCE: Final = 20_000
"""About as many figures are read and kept at a time."""
READ_AT_ONCE: Final = 2_000
"""Documents that come from MongoDB together: others have their turn only between these."""
_SUBJECTS: Final = 20
"""Of a rule of each or of films, as long as it is not known how many there are."""


class Turns:
    """Lets others have theirs, where they have waited for a while."""

    def __init__(self) -> None:
        self._given_s = float("-inf")

    async def give(self) -> bool:
        """To be called often; whether it was time."""
        if monotonic() - self._given_s < GIVES_WAY_EVERY_S:
            return False
        await asyncio.sleep(0)
        self._given_s = monotonic()
        return True


class Portions:
    """How many windows of each rule are read at a time: what was read last tells how many rows each of them has."""

    def __init__(self) -> None:
        self._rows_a_window: dict[str, float] = {}

    def windows(self, rule: Rule, at_most: int) -> int:
        """So many windows next.

        >>> from movie_stream.alerts.rules import BeyondUsual
        >>> rule, portions = Rule("r", "views", BeyondUsual("above", 2.0, weeks=4), EACH), Portions()
        >>> portions.windows(rule, 2_000)
        200
        >>> portions.read(rule, 200, 300_000)
        >>> portions.windows(rule, 2_000)
        13
        """
        each = self._rows_a_window.get(rule.name)
        if each is None:
            each = (1 + len(looks_back(rule.condition, rule.window_ms))) * (_SUBJECTS if rule.subject == EACH else 1)
        return max(min(int(ROWS_AT_ONCE / each), at_most), 1)

    def read(self, rule: Rule, windows: int, rows: int) -> None:
        """For so many windows so many rows were read."""
        self._rows_a_window[rule.name] = max(rows / windows, 1.0)
