"""What a table needs of a log: Kafka has it (kafka/log.py), and a list in memory, for tests."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from typing import Protocol


class Log(Protocol):
    """One partition of a topic."""

    async def append(self, values: Sequence[bytes]) -> list[int]:
        """Appends records in this order, waits until all are acknowledged, and returns their offsets."""
        ...

    def read(self, start: int | None, until: int | None) -> AsyncIterator[tuple[int, bytes | None]]:
        """The records from `start` (None: the oldest there is) to before `until` (None: the end as it is now).

        Raises LogTruncated if records in between were deleted.
        """
        ...

    async def oldest(self) -> int:
        """The offset of the oldest record, or of the end where there is none."""
        ...

    async def delete_before(self, offset: int) -> None:
        """Deletes the records before an offset, where the broker can."""
        ...


class LogTruncated(RuntimeError):
    """Records were deleted under the reader of a log: it has to start over."""


def portions(values: Iterable[bytes], size: int) -> Iterator[list[bytes]]:
    """The values that are appended at once, portion by portion: each is full when it has `size` bytes or more.

    >>> [list(map(len, portion)) for portion in portions([bytes(3), bytes(2), b"", bytes(5)], 4)]
    [[3, 2], [0, 5]]
    """
    portion: list[bytes] = []
    held = 0
    for value in values:
        portion.append(value)
        held += len(value)
        if held >= size:
            yield portion
            portion, held = [], 0
    if portion:
        yield portion
