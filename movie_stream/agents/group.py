"""What an agent needs of the consumer group, and the way of a commit through it.

A commit tells whoever watches the group how far this worker is; nothing is ever restored from it. Its way:

1. `Owner._flush` has the agent write what changed and, where a checkpoint is due, waits until its cursor counts
   (`flush` of Accumulate and Publish, steps 1 to 3).
2. `Owner._finish` notes the cursor's position in `Owner.finished`, and calls `Group.commit_soon`.
3. `FaustGroup.commit_soon` has Faust's consumer commit. One commit is under way at a time; what comes meanwhile goes
   with the next. Faust also does so by itself, every second.
4. Faust asks what there is to commit: `ChunkConsumer._filter_tps_with_pending_acks` and `_filter_committable_offsets`
   answer with `Worker.finished`, without the positions that the group knows already. What Faust has acknowledged
   itself counts for nothing.
5. `ChunkThread._commit`, in the thread that fetches, has aiokafka send the offsets. A rebalance may refuse them: that
   is logged, and no error. While the broker is away aiokafka tries again, and this commit stays under way.
6. `ChunkConsumer._commit` notes what the group has taken. What it has not is answered again in step 4 of the next
   commit. A seek forgets all of these notes, since others may have committed something else meanwhile.
7. `FaustGroup.commit_tried` is set; `Worker.commit_awaited` is, too, once the first commit of an assignment was waited
   for, for a bounded time.

A commit that is lost, or whose answer is, costs nothing: a restart goes on where the changelog's cursor stands
(`Table.restore`), so no view is counted twice or left out.

Faust's side is in `kafka/fetch/transport.py`.
"""

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
