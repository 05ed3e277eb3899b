"""Watches the partitions that a worker owns: whether they move, have checkpoints, and wait for open transactions."""

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

OPEN_LOGGED_AFTER_S: Final = 60.0
"""A transaction that is still open by then is logged: it is the longest by default in Kafka's own clients."""
LOGGED_AGAIN_AFTER_S: Final = 300.0
"""Seconds after which the warning about missing checkpoints is repeated."""


class PartitionWatch:
    """Checks the state of the owned partitions, and the end offsets that fetches have returned."""

    def __init__(self, owners: Owners, group: FaustGroup) -> None:
        self._owners, self._group = owners, group
        self._unsaved_logged_again_s = 0.0
        self._open_since_s = dict[tuple[TopicPartition, int], float]()
        """When a transaction was first seen open, by its partition and first offset; `inf` once it is logged."""

    def look(self) -> None:
        """Raises WorkerFailed when an assigned partition has records to read but does not move."""
        self._check_checkpoints()
        self._check_transactions()
        for topic, owner in self._owners.items():
            stalled = owner.stalled()
            if stalled is not None:
                raise WorkerFailed(what=f"{topic}, partition {stalled}, is assigned but does not move")

    def _check_checkpoints(self) -> None:
        """Warns now and then that a partition moves but has no checkpoint, and why."""
        for topic, owner in self._owners.items():
            found = owner.unsaved()
            if found is None or monotonic() < self._unsaved_logged_again_s:
                continue
            partition, since_s, why = found
            logger.warning(
                "%s, partition %s, has had no checkpoint for %.0f s: waits %s; nothing is lost",
                *(topic, partition, since_s, why or "for its turn"),
            )
            self._unsaved_logged_again_s = monotonic() + LOGGED_AGAIN_AFTER_S

    def _check_transactions(self) -> None:
        """Warns once about each transaction that stays open, and so holds up the records behind it."""
        held = {
            offsets.OpenTransaction(TopicPartition(topic, partition), end, written - end)
            for topic, owner in self._owners.items()
            for partition in owner.owned
            if (end := self._group.end(topic, partition)) is not None
            and (written := self._group.written(topic, partition)) is not None
            and end < written
        }
        now_s = monotonic()
        since_s = {
            (each.topic_partition, each.offset): self._open_since_s.get((each.topic_partition, each.offset), now_s)
            for each in held
        }
        overdue = [each for each in held if now_s - since_s[each.topic_partition, each.offset] > OPEN_LOGGED_AFTER_S]
        if overdue:
            logger.warning("%s; %s", offsets.describe_open_transactions(sorted(overdue)), offsets.ENDED_BY)
        logged = {(each.topic_partition, each.offset): inf for each in overdue}
        self._open_since_s = since_s | logged
