"""What an agent needs of the consumer group."""

from __future__ import annotations

from typing import Protocol


class Group(Protocol):
    """The consumer group, as its owner of partitions sees it."""

    def commit_soon(self) -> None:
        """Has the finished positions committed; for lag and monitoring only."""
        ...

    def end(self, topic: str, partition: int) -> int | None:
        """Up to where a partition can be read, as the last fetch told it, None before the first.

        Records of a transaction that is open, and those behind its first, cannot be read yet.
        """
        ...

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        """Stops fetching a partition, or goes on."""
        ...
