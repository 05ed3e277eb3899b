"""Holes between the record batches of a partition, at a broker that fills them a moment later.

Tansu 0.6 assigns a batch its offsets before it stores it. If several producers write to a partition, a reader at its
end may get a batch while the one before it is still missing; once past that, it would never read it. Hence a fetch ends
before a hole, and the next one begins there. A hole that stays is that of a producer whose connection broke: nobody was
told that its batch is stored.

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

FILLED_WITHIN_S: Final = 1.0
"""A batch is stored milliseconds after its offsets were assigned."""
FETCHES_AT_LEAST: Final = 100
"""How often a hole must have been seen besides: the broker itself may have stood still."""
_FIELDS: Final = struct.Struct(">qi4xb6xi")
"""A batch's first offset, its length, the version of its format, and its last offset relative to the first."""
_LENGTH_FROM: Final = 12
"""Where the bytes begin that the length counts."""
_PRESENT: Final = 2


@dataclass(slots=True)
class _Hole:
    offset: int
    first_s: float
    last_s: float
    fetches: int = 1


class Holes:
    """The holes that readers wait at, one of a partition."""

    def __init__(self) -> None:
        self.waits = False
        """Whether fetches end before holes."""
        self._known: dict[Any, _Hole] = {}

    def bytes_before(self, tp: Any, data: bytes, position: int) -> int:
        """How many bytes of a fetch from a position on come before its first hole: all if there is none, or if it
        stays.
        """
        at = 0
        while self.waits and len(data) - at >= _FIELDS.size:
            base, length, version, last = _FIELDS.unpack_from(data, at)
            if version != _PRESENT:
                break
            if base > position and not self._stays(tp, position, base):
                return at
            position, at = max(position, base + last + 1), at + _LENGTH_FROM + length
        return len(data)

    def _stays(self, tp: Any, offset: int, until: int) -> bool:
        """Notes that a hole was seen once more; whether it stays. A fetch begins after the one before it was looked at:
        so the times of these count.
        """
        now_s = monotonic()
        hole = self._known.get(tp)
        if hole is None or hole.offset != offset:
            self._known[tp] = _Hole(offset, now_s, now_s)
            return False
        waited_s, hole.last_s = hole.last_s - hole.first_s, now_s
        hole.fetches += 1
        if waited_s < FILLED_WITHIN_S or hole.fetches < FETCHES_AT_LEAST:
            return False
        del self._known[tp]
        logger.warning(
            "%s, partition %s: the broker has no records of the offsets %s to %s: their producer's connection broke "
            "before they were stored; goes on behind them",
            *(tp.topic, tp.partition, offset, until - 1),
        )
        return True


HOLES: Final = Holes()
"""Those of this process."""


def wait_for_missing_batches() -> None:
    """Makes all fetches of this process end before holes, until these are filled or stay."""
    HOLES.waits = True
