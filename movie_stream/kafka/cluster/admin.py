"""aiokafka's admin client, with metadata requests for only the topics that it needs.

The metadata of all topics of a large cluster takes a client seconds to decode, at every checkpoint.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.errors import LeaderNotAvailableError, for_code
from aiokafka.protocol.admin import DeleteRecordsRequest


class Admin(AIOKafkaAdminClient):
    """An admin client that requests less metadata; reaches into aiokafka (pinned in pyproject.toml)."""

    @property
    def connected(self) -> bool:
        """Whether there is a connection to any broker."""
        return any(connection.connected() for connection in self._client._conns.values())

    async def delete_records(
        self, records_to_delete: Mapping[TopicPartition, RecordsToDelete], timeout_ms: int | None = None
    ) -> dict[TopicPartition, int]:
        """Deletes the records before an offset in each partition; returns the new first offsets. Raises KafkaError."""
        self._client.cluster.update_metadata(
            await self._get_cluster_metadata(sorted({tp.topic for tp in records_to_delete}))
        )
        by_leader: defaultdict[int, defaultdict[str, list[tuple[int, int]]]] = defaultdict(lambda: defaultdict(list))
        for tp, records in records_to_delete.items():
            leader = self._client.cluster.leader_for_partition(tp)
            if leader is None or leader < 0:
                raise LeaderNotAvailableError(tp)
            by_leader[leader][tp.topic].append((tp.partition, records.before_offset))
        oldest = dict[TopicPartition, int]()
        for leader, topics in by_leader.items():
            request = DeleteRecordsRequest(list(topics.items()), timeout_ms or self._request_timeout_ms)
            response = await self._client.send(leader, request)
            for topic, partitions, *_ in response.topics:
                for partition, begin, code, *_ in partitions:
                    if code:
                        raise for_code(code)(topic)
                    oldest[TopicPartition(topic, partition)] = begin
        return oldest
