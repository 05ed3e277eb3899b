"""Commits that come in a rebalance. Apache Kafka refuses them, which aiokafka takes for the loss of its membership: it
would join once more, and so begin the next rebalance of all members. The embedded broker takes any commit of a member.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import CommitFailedError
from aiokafka.protocol.commit import OffsetCommitRequest
from aiokafka.protocol.group import JoinGroupRequest

from movie_stream.kafka.cluster import topics
from movie_stream.settings import Settings
from tests.support.kafka.group_member import GroupMember, connected
from tests.support.kafka.worker_member import worker_member
from tests.support.kafka_server import KafkaServer
from tests.support.waiting import comes_true

SESSION_MS = 60_000
"""Longer than the test takes: nobody leaves by it."""


def note_requests(consumer: AIOKafkaConsumer, sent: list[type]) -> None:
    """Adds the types of the requests of its membership to `sent`."""
    send = consumer._coordinator._send_req

    async def noted(request: Any) -> Any:
        sent.append(type(request))
        return await send(request)

    consumer._coordinator._send_req = noted


async def test_a_commit_in_a_rebalance_begins_no_other_and_is_made_after_it(settings: Settings, tmp_path: Path) -> None:
    """One member joins while another, which has asked for an id only, is waited for: so the rebalance lasts, and with
    it the join of a worker, which commits meanwhile.
    """
    sent: list[type] = []
    with KafkaServer(tmp_path / "kafka") as kafka:
        there = settings.model_copy(update={"kafka_bootstrap_servers": kafka.bootstrap_servers})
        await topics.ensure(there)
        async with (
            worker_member(there, SESSION_MS, lambda consumer: note_requests(consumer, sent)) as (worker, membership),
            connected(there) as a,
            connected(there) as b,
        ):
            await comes_true(lambda: bool(worker.assignment()))
            joins = sent.count(JoinGroupRequest)
            waited_for = await GroupMember(there, a, SESSION_MS).ask_for_id()
            joining = asyncio.create_task((other := await GroupMember(there, b, SESSION_MS).ask_for_id()).join())
            await comes_true(lambda: sent.count(JoinGroupRequest) > joins)
            committing = asyncio.create_task(worker.commit({min(worker.assignment()): 7}))
            await comes_true(lambda: committing.done() or OffsetCommitRequest in sent)  # answered after the join
            assert [await waited_for.join(), await joining] == [0, 0]
            await asyncio.gather(waited_for.take_share(), other.take_share())
            with pytest.raises(CommitFailedError):
                await committing
            await comes_true(lambda: not membership.waiting_s)
            kept = min(worker.assignment())
            await worker.commit({kept: 7})
            assert await worker.committed(kept) == 7
            assert [await other.heartbeat(), await waited_for.heartbeat()] == [0, 0], "another rebalance has begun"
