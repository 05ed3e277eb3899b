"""Which views of a file have arrived: the file's rows compared with what stands in a partition, both in order."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence


class Arrivals:
    """The longest beginning of the rows of one partition that stands there in this order, among records of others.

    A writer's records stand in a partition in order and without a gap (see topic_writer.py), so this is what has
    arrived of them. Identical rows are told apart by their order.

    >>> arrivals = Arrivals(next_offset=7)
    >>> arrivals.add([(7, b"ana", b"1"), (8, b"other", b"x"), (9, b"ben", b"2")])
    >>> arrivals.match([b"ana", b"ben", b"ana"], [b"1", b"2", b"3"]), arrivals.next_offset
    (2, 10)
    """

    def __init__(self, next_offset: int) -> None:
        self.next_offset = next_offset
        """The offset after the last row that was found."""
        self._unread: deque[tuple[int, bytes | None, bytes | None]] = deque()

    def add(self, records: Iterable[tuple[int, bytes | None, bytes | None]]) -> None:
        """Takes the partition's next records: offset, key and value."""
        self._unread.extend(records)

    def match(self, keys: Sequence[bytes], values: Sequence[bytes]) -> int:
        """How many of the next rows stand in the records that were added; if it is all, there may be more."""
        found = 0
        while self._unread and found < len(keys):
            offset, key, value = self._unread.popleft()
            if key == keys[found] and value == values[found]:
                found += 1
                self.next_offset = offset + 1
        return found
