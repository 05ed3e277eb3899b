"""Watches the partitions that a worker owns: whether they move, are saved, and are held by no open transaction."""

from __future__ import annotations

import logging
from math import inf
from time import monotonic
from typing import Final

from aiokafka import TopicPartition

from movie_stream.agents.faust_group import FaustGroup
from movie_stream.agents.owner import Owners
from movie_stream.errors import WorkerFailed
from movie_stream.kafka import offsets

logger = logging.getLogger(__name__)

OPEN_SAID_AFTER_S: Final = 60.0
"""A transaction that is still open then is worth a line of a worker's log: it is the longest by default in Kafka's own
clients."""
SAID_AGAIN_AFTER_S: Final = 300.0


class PartitionWatch:
    """Looks at what the owners know of their partitions, and at the ends that fetches have told."""

    def __init__(self, owners: Owners, group: FaustGroup) -> None:
        self._owners, self._group = owners, group
        self._unsaved_said_again_s = 0.0
        self._open_since_s = dict[tuple[TopicPartition, int], float]()
        """Since when a transaction has been seen to be open, by its place and first offset; `inf` once it is said."""

    def look(self) -> None:
        """Raises WorkerFailed when an assigned partition has records to read but does not move."""
        self._look_at_checkpoints()
        self._look_at_transactions()
        for topic, owner in self._owners.items():
            stalled = owner.stalled()
            if stalled is not None:
                raise WorkerFailed(what=f"{topic}, partition {stalled}, is assigned but does not move")

    def _look_at_checkpoints(self) -> None:
        """Says now and then that a partition moves, but has no checkpoint, and why."""
        for topic, owner in self._owners.items():
            found = owner.unsaved()
            if found is None or monotonic() < self._unsaved_said_again_s:
                continue
            partition, since_s, why = found
            logger.warning(
                "%s, partition %s, has had no checkpoint for %.0f s: waits %s; nothing is lost",
                *(topic, partition, since_s, why or "for its turn"),
            )
            self._unsaved_said_again_s = monotonic() + SAID_AGAIN_AFTER_S

    def _look_at_transactions(self) -> None:
        """Says once of each transaction that it stays open, and keeps what stands behind it from being counted."""
        held = {
            offsets.Held(TopicPartition(topic, partition), end, written - end)
            for topic, owner in self._owners.items()
            for partition in owner.owned
            if (end := self._group.end(topic, partition)) is not None
            and (written := self._group.written(topic, partition)) is not None
            and end < written
        }
        now_s = monotonic()
        since_s = {(of.place, of.offset): self._open_since_s.get((of.place, of.offset), now_s) for of in held}
        for_long = [of for of in held if now_s - since_s[of.place, of.offset] > OPEN_SAID_AFTER_S]
        if for_long:
            logger.warning("%s; %s", offsets.said_of(sorted(for_long)), offsets.ENDED_BY)
        said = {(of.place, of.offset): inf for of in for_long}
        self._open_since_s = since_s | said
