"""What an agent needs of the consumer group."""

from __future__ import annotations

from typing import Protocol


class Group(Protocol):
    """The consumer group, as its owner of partitions sees it."""

    def commit_soon(self) -> None:
        """Has the finished positions committed; for lag and monitoring only."""
        ...

    def highwater(self, topic: str, partition: int) -> int | None:
        """The end of a partition as the last fetch told it, None before the first."""
        ...

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        """Stops fetching a partition, or goes on."""
        ...
