import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from pymongo import AsyncMongoClient, WriteConcern

from movie_stream.embedded import mongod as mongod_module
from movie_stream.embedded.services import EmbeddedServices
from movie_stream.errors import EmbeddedFailed
from movie_stream.settings import load_settings

LIMIT_S = 30.0


async def test_a_record_sent_to_the_broker_is_read_back(services: EmbeddedServices) -> None:
    servers, topic = services.bootstrap_servers, "test-embedded-services"
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers) as producer:
        await producer.send_and_wait(topic, b"a view")
    async with AIOKafkaConsumer(topic, bootstrap_servers=servers, auto_offset_reset="earliest") as consumer:
        assert (await consumer.getone()).value == b"a view"


async def test_a_standalone_takes_the_durable_writes(services: EmbeddedServices) -> None:
    async with AsyncMongoClient[dict[str, int]](services.mongodb_uri) as client:
        durable = WriteConcern(w="majority", j=True, wtimeout=5_000)
        collection = client["test"].get_collection("embedded_services", write_concern=durable)
        await collection.update_one({"_id": 1}, {"$set": {"a": 2}}, upsert=True)
        assert await collection.find_one({"_id": 1}) == {"_id": 1, "a": 2}


def test_settings_get_the_pair(services: EmbeddedServices) -> None:
    settings = services.applied_to(load_settings())
    assert settings.require_broker() == services.bootstrap_servers
    assert settings.require_mongodb() == services.mongodb_uri


async def test_the_death_of_one_is_noticed_and_reported() -> None:
    async with EmbeddedServices() as services:
        services.check()
        [mongod] = [process for program, process in services._running if program.what == "mongod"]
        os.kill(mongod.pid, signal.SIGKILL)
        with pytest.raises(EmbeddedFailed, match="the embedded mongod failed: it ended with signal 9"):
            await services.fail()
        with pytest.raises(EmbeddedFailed, match="the embedded mongod failed"):
            services.check()


def test_when_one_cannot_start_the_other_does_not_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "mongod"
    broken.write_text("#!/bin/sh\necho mongod: error while loading shared libraries: libssl.so.3\nexit 127\n")
    broken.chmod(0o755)
    monkeypatch.setattr(mongod_module, "on_path", lambda program: broken)
    with pytest.raises(
        EmbeddedFailed,
        match=r"exit code 127, its last words: .*libssl\.so\.3; install that library with .*, or set MONGODB_URI",
    ):
        EmbeddedServices().__enter__()


def test_a_killed_parent_leaves_neither() -> None:
    parent = """
import sys, time
from movie_stream.embedded.services import EmbeddedServices
with EmbeddedServices():
    print("up", flush=True)
    time.sleep(600)
"""
    with subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        descendants = psutil.Process(process.pid).children(recursive=True)
        assert sorted(child.name() for child in descendants if "python" not in child.name()) == [
            "mongod",
            "tansu",
        ]
        os.kill(process.pid, signal.SIGKILL)
    _, alive = psutil.wait_procs(descendants, timeout=LIMIT_S)
    assert not alive
