"""How a worker's process ends: immediately and with its code, whoever reads its output, and whoever joins meanwhile."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from movie_stream.settings import Settings
from tests.support.in_process import initialize
from tests.support.waiting import until
from tests.support.whole_path import environment, started, succeed

SAYS = """
import logging, sys, threading, time
threading.Thread(target=time.sleep, args=(600,)).start()  # as a driver has them that waits for a server
from movie_stream.app import die, end
from movie_stream.errors import WorkerFailed
"""


@pytest.mark.parametrize(
    ("ends", "code"), [("die(WorkerFailed(what='x'))", 1), ("die(ValueError('a bug'))", 1), ("end(0)", 0)]
)
@pytest.mark.parametrize("read", [True, False], ids=["read", "nobody reads"])
def test_it_ends_whoever_reads(ends: str, code: int, read: bool) -> None:
    reader, writer = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", SAYS + ends], stdout=writer, stderr=writer)
    os.close(writer)
    if not read:
        os.close(reader)
    try:
        assert process.wait(30) == code
    finally:
        process.kill()
        process.wait()
        if read:
            os.close(reader)


WORKER = """
import asyncio, threading
from aiokafka.client import AIOKafkaClient
from movie_stream.app import MovieStream
from movie_stream.cli import main
from movie_stream.kafka.fetch.transport import ChunkThread

shut_down, revoked = MovieStream.shut_down, MovieStream._on_partitions_revoked
commit, close = ChunkThread._commit, AIOKafkaClient.close
"""
STOPS_IN_A_REBALANCE = """
rebalances, connections = asyncio.Event(), []

async def shut_down_later(app):
    connections.append(app.consumer._thread._consumer._client)
    print("it stops", flush=True)
    await rebalances.wait()
    await shut_down(app)

async def tell(app, partitions):
    await revoked(app, partitions)
    if app.should_stop:
        rebalances.set()

async def tell_of_it(client):
    if client in connections and threading.current_thread() is threading.main_thread():
        print("a thread closes the connection of another", flush=True)
    await close(client)

MovieStream.shut_down, MovieStream._on_partitions_revoked, AIOKafkaClient.close = shut_down_later, tell, tell_of_it
main()
"""
COMMITS_FOR_EVER = """
async def commit_first(app):
    app.consumer._offsets_committed.clear()  # so that there is something to commit
    app.worker._group.commit_soon()
    await shut_down(app)

async def commit_for_ever(thread, offsets):
    if not thread.app.should_stop:
        return await commit(thread, offsets)
    print("it stops", flush=True)
    await asyncio.Event().wait()

MovieStream.shut_down, ChunkThread._commit = commit_first, commit_for_ever
main()
"""


@contextmanager
def stopping(settings: Settings, how: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that owns all partitions, and was stopped."""
    initialize(settings)
    succeed(settings, "generate", "--count", "1000", "--to-topic")
    with log.open("wb") as output:
        command = [sys.executable, "-c", WORKER + how, "worker"]
        process = subprocess.Popen(command, env=environment(settings), stdout=output, stderr=output)
    try:
        # Where it has ended, it is for the test to say with what.
        until(lambda: log.read_text().count("goes on at") >= 6 or process.poll() is not None, log)
        process.terminate()
        until(lambda: "it stops" in log.read_text() or process.poll() is not None, log)
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.mark.long
def test_another_worker_joins_while_it_stops(settings: Settings, tmp_path: Path) -> None:
    ours, other = tmp_path / "ours.log", tmp_path / "other.log"
    with stopping(settings, STOPS_IN_A_REBALANCE, ours) as process, started(settings, "worker", log=other) as comes:
        assert process.wait(60) == 0, ours.read_text()
        assert "closes the connection" not in ours.read_text()
        until(lambda: other.read_text().count("goes on at") >= 6, other)
        comes.terminate()
        assert comes.wait(30) == 0, other.read_text()


def test_its_last_commit_is_not_answered(settings: Settings, tmp_path: Path) -> None:
    ours = tmp_path / "ours.log"
    with stopping(settings, COMMITS_FOR_EVER, ours) as process:
        assert process.wait(60) == 0, ours.read_text()
