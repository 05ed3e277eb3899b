"""The consumer group as an agent sees it, and the path of a commit through it.

Committed offsets show the progress of this worker to monitoring tools; nothing is ever restored from them. The path:

1. `Owner._flush` has the agent write the changes and, if a checkpoint is due, waits until its cursor counts
   (`flush` of Accumulate and Publish, steps 1 to 3).
2. `Owner._finish` notes the cursor's position in `Owner.finished`, and calls `Group.commit_soon`.
3. `FaustGroup.commit_soon` has Faust's consumer commit. One commit is under way at a time; positions finished meanwhile
   go with the next. Faust also commits every second on its own.
4. Faust asks for the offsets to commit: `ChunkConsumer._filter_tps_with_pending_acks` and
   `_filter_committable_offsets` return `Worker.finished`, without the positions that are committed already. Faust's own
   acknowledgements are ignored.
5. `ChunkThread._commit`, in the thread that fetches, has aiokafka send the offsets. In a rebalance they are not sent
   (kafka/group/membership.py): that is logged, and no error. While the broker is away aiokafka retries, and this commit
   stays under way.
6. `ChunkConsumer._commit` notes the offsets that the group accepted. Step 4 of the next commit returns the others
   again. A seek clears these notes, since others may have committed something else meanwhile.
7. `FaustGroup.commit_tried` is set. So is `Worker.commit_awaited`, after a bounded wait for the first commit of an
   assignment.

A lost commit, or a lost answer to one, costs nothing: a restart resumes at the changelog's cursor (`Table.restore`), so
no view is counted twice or left out.

Faust's side is in `kafka/fetch/transport.py`.
"""

from __future__ import annotations

from typing import Protocol


class Group(Protocol):
    """The consumer group, as an owner of partitions sees it."""

    def commit_soon(self) -> None:
        """Has the finished positions committed; for lag and monitoring only."""
        ...

    def end(self, topic: str, partition: int) -> int | None:
        """The partition's last stable offset, as of the last fetch; None before the first.

        Records of an open transaction, and those after its first record, cannot be read yet.
        """
        ...

    def pause(self, topic: str, partition: int, paused: bool) -> None:
        """Pauses or resumes fetching a partition."""
        ...
