"""Extensions of a worker from outside: an agent that the package does not have, and a subscriber to changes."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import pytest

from movie_stream.agents.owner import Owned, Owner
from movie_stream.events.chunk import Chunk
from movie_stream.kafka.cluster import agents, client, topics
from movie_stream.kafka.cluster.agents import Agent
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.settings import Settings
from tests.services.agents.test_worker import starts
from tests.support import reference
from tests.support.whole_path import PATIENCE_S, database, documents, environment

PROGRAM: Final = """
from movie_stream.kafka.cluster import agents
from tests.services.agents.test_extension import COUNT

agents.AGENTS += (COUNT,)

from movie_stream.app import app
from movie_stream.commands.worker import work
from movie_stream.settings import load_settings

def say(changed):
    for of in changed:
        print("changed", of.document.collection, of.document.id, flush=True)

app.worker.subscribers.append(say)
work(load_settings(), until_end=True)
"""


class Counted:
    """How many records there were."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.position, self.records = 0, 0
        self.watermark_ms: int | None = None

    def freeze(self, snapshot: bool) -> Iterable[bytes]:
        return [b"%d" % self.records]

    def load(self, entry: bytes) -> None:
        self.records = int(entry)

    def loaded(self, position: int, watermark_ms: int | None) -> None:
        self.position, self.watermark_ms = position, watermark_ms


class Count(Owner[Counted]):
    """Counts records, and writes nothing but its checkpoints."""

    def new_state(self, partition: int) -> Counted:
        return Counted()

    def receive(self, owned: Owned[Counted], chunk: Chunk) -> None:
        state = owned.table.state
        state.records += int((chunk.offsets >= state.position).sum())
        state.position = chunk.end

    def missed(self, partition: int, position: int, oldest: int) -> None:
        raise AssertionError(f"{position} to {oldest}")

    async def flush(self, partition: int, owned: Owned[Counted], checkpoint: bool) -> float:
        if checkpoint:
            await self._checkpoint(partition, owned, owned.table.freeze())
        return 0.0


COUNT: Final = Agent(
    "count", source=lambda settings: f"{settings.kafka_group}-numbers", owner=f"{__name__}:{Count.__name__}"
)


def work(settings: Settings, log: Path) -> None:
    """A worker that has the agent too, and says which documents change, until the end."""
    with log.open("wb") as output:
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env=environment(settings),
            stdout=output,
            stderr=output,
            timeout=PATIENCE_S,
            check=False,
        )
    assert done.returncode == 0, log.read_text()[-2000:]


async def send(settings: Settings, values: Iterable[tuple[str, int, bytes]]) -> None:
    """Values to topics and partitions."""
    producer = await client.start_producer(settings)
    try:
        for topic, partition, value in values:
            await producer.send(topic, value, partition=partition)
        await producer.flush()
    finally:
        await client.stop_producer(producer)


async def test_a_third_agent_is_a_class_and_an_entry_and_a_subscriber_hears_of_every_document(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agents, "AGENTS", (*agents.AGENTS, COUNT))
    names, numbers = Topics.of(settings), COUNT.source(settings)
    assert {numbers, f"{settings.kafka_group}-count-changelog"} <= set(await topics.ensure(settings))
    events = [view or b"" for _, _, view in reference.views({}, {"user_id": "u2", "genre": "Noir"})]
    await send(settings, [(numbers, 0, b"1"), (numbers, 2, b"2"), (numbers, 2, b"3")])
    await send(settings, [(names.events, 0, event) for event in events])
    logs = tmp_path / "first.log", tmp_path / "again.log"
    await asyncio.to_thread(work, settings, logs[0])
    told = {tuple(line.split()[1:]) for line in logs[0].read_text().splitlines() if line.startswith("changed ")}
    with database(settings) as db:
        stored = documents(db)
    assert told == {(name, of) for name, found in stored.items() for of in found}
    assert len(told) > len(stored), "two genres"
    await asyncio.to_thread(work, settings, logs[1])
    goes_on = {place.partition: at for place, at in starts(logs[1]).items() if place.topic == numbers}
    assert goes_on == {0: 1, 1: 0, 2: 2}, "it was restored from its checkpoints, as the others are"
