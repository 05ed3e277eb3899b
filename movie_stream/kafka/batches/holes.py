"""Holes between the record batches of a partition, at a broker that fills them a moment later.

Tansu 0.6 assigns a batch its offsets before it stores it. If several producers write to a partition, a reader at its
end may get a batch while the one before it is still missing; once past that, it would never read it. Hence a fetch ends
before a hole, and the next one begins there. A hole that stays is passed over after a while: probably the producer's
connection broke before its batch was stored, and nobody was told that it had been.

At other brokers holes are what compaction leaves, and are never filled: so nothing is done about them unless
`wait_for_missing_batches` was called.
"""

from __future__ import annotations

import logging
import struct
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

logger = logging.getLogger(__name__)

FILLED_WITHIN_S: Final = 10.0
"""How long a reader waits at a hole. A batch is stored milliseconds after its offsets were assigned."""
BETWEEN_LOOKS_S: Final = 0.1
"""The most that counts of the time between two looks: the broker may have stood still."""
_FIELDS: Final = struct.Struct(">qi4xb6xi")
"""A batch's first offset, its length, the version of its format, and its last offset relative to the first."""
_LENGTH_FROM: Final = 12
"""Where the bytes begin that the length counts."""
_PRESENT: Final = 2


@dataclass(slots=True)
class _Wait:
    """At a hole."""

    looked_s: float
    """When it was seen last, by the monotonic clock."""
    waited_s: float = 0.0


class Holes:
    """The holes that the readers of a process wait at."""

    def __init__(self) -> None:
        self.waits = False
        """Whether fetches end before holes."""
        self._known: dict[tuple[Any, int], _Wait] = {}  # by partition and offset

    def bytes_before(self, tp: Any, data: bytes, position: int) -> int:
        """How many bytes of a fetch from a position on come before its first hole: all if there is none, or if it
        stays.
        """
        at = 0
        while self.waits and len(data) - at >= _FIELDS.size:
            base, length, version, last = _FIELDS.unpack_from(data, at)
            if version != _PRESENT or length < _FIELDS.size - _LENGTH_FROM:  # another format, or damaged
                break
            if base > position:
                if not self._stays(tp, position, base):
                    return at
            elif self._known:
                self._known.pop((tp, position), None)  # it was filled
            position, at = max(position, base + last + 1), at + _LENGTH_FROM + length
        return len(data)

    def _stays(self, tp: Any, offset: int, until: int) -> bool:
        """Notes that a hole was seen once more; whether that was for long enough."""
        now_s = monotonic()
        wait = self._known.setdefault((tp, offset), _Wait(now_s))
        wait.waited_s += min(now_s - wait.looked_s, BETWEEN_LOOKS_S)
        wait.looked_s = now_s
        if wait.waited_s < FILLED_WITHIN_S:
            return False
        self._known.pop((tp, offset), None)
        logger.warning(
            "%s, partition %s: there is nothing at the offsets %s to %s, so reading goes on behind them; probably "
            "their producer's connection broke before they were stored; should the broker store them later, they do "
            "not count",
            *(tp.topic, tp.partition, offset, until - 1),
        )
        return True


HOLES: Final = Holes()
"""Those of this process."""


def wait_for_missing_batches() -> None:
    """Makes all fetches of this process end before holes, until these are filled or stay."""
    HOLES.waits = True
