"""The interface of a table to its log: Kafka implements it (kafka/log.py), and a list in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Final, Protocol

SENT_AT_ONCE: Final = 2 << 20
"""Approximate bytes of records in flight to a partition: the entries of a second mostly go at once. A table has the
next portion in memory besides, and the frozen copy that they are encoded from; the producer holds two copies of them.
"""


class Log(Protocol):
    """One partition of a topic."""

    async def append(self, values: Sequence[bytes]) -> list[int]:
        """Appends records in this order, waits until all are acknowledged, and returns their offsets."""
        ...

    def read(self, start: int | None, until: int | None) -> AsyncIterator[tuple[int, bytes | None]]:
        """The records from `start` (None: the oldest) to before `until` (None: the present end).

        Raises LogTruncated if records in between were deleted.
        """
        ...

    async def oldest(self) -> int:
        """The offset of the oldest record, or the end offset if there is none."""
        ...

    async def delete_before(self, offset: int) -> None:
        """Deletes the records before an offset, if the broker supports it."""
        ...


class LogTruncated(RuntimeError):
    """Records were deleted while a log was read: the reader has to start over."""


def portions(values: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """The values in portions that are appended together: a portion is full once it has `size` bytes or more.

    >>> [list(map(len, portion)) for portion in portions([bytes(3), bytes(2), b"", bytes(5)], 4)]
    [[3, 2], [0, 5]]
    """
    portion: list[bytes] = []
    portion_bytes = 0
    for value in values:
        portion.append(value)
        portion_bytes += len(value)
        if portion_bytes >= size:
            yield portion
            portion, portion_bytes = [], 0
    if portion:
        yield portion
