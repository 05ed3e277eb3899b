"""Finds which views of a file have arrived, by comparing its rows with the records of a partition, both in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence


class Arrivals:
    """Finds the longest prefix of the rows of one partition that it holds in this order, among other records.

    A writer's records arrive in order and without gaps (see topic_writer.py), so this prefix is what has arrived.
    Identical rows are distinguished by their order.

    >>> arrivals = Arrivals(next_offset=7)
    >>> arrivals.add([(7, b"ana", b"1"), (8, b"other", b"x"), (9, b"ben", b"2")])
    >>> arrivals.match([b"ana", b"ben", b"ana"], [b"1", b"2", b"3"]), arrivals.next_offset
    (2, 10)
    """

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        """The offset after the last row found."""
        self._unread: deque[tuple[int, bytes | None, bytes | None]] = deque()

    def add(self, records: Iterable[tuple[int, bytes | None, bytes | None]]) -> None:
        """Adds the next records of the partition: offset, key and value."""
        self._unread.extend(records)

    def match(self, keys: Sequence[bytes | None], values: Sequence[bytes | None]) -> int:
        """How many of the next rows are among the records added so far."""
        found = 0
        while self._unread and found < len(keys):
            offset, key, value = self._unread.popleft()
            if key == keys[found] and value == values[found]:
                found += 1
                self.next_offset = offset + 1
        return found
