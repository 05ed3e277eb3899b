"""An Apache Kafka of a test's own, which may be killed, paused and started again on the same data.

Its jars are downloaded from Maven Central into `.kafka/`, once; without `java` or `mvn` the test is skipped. The
benchmark uses it too, so nothing here needs pytest.
"""

from __future__ import annotations

import asyncio
import fcntl
import shutil
import subprocess
import time
import unittest
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from aiokafka.admin import AIOKafkaAdminClient

from movie_stream.embedded.launch import free_port
from movie_stream.embedded.process import GuardedProcess
from tests.support.server_process import ServerProcess

POM: Final = Path(__file__).parents[1] / "data" / "kafka" / "pom.xml"
JARS: Final = Path(__file__).parents[2] / ".kafka" / "4.1.1"
CLUSTER: Final = "MkU3OEVBNTcwNTJENDM2Qg"
READY_WITHIN_S: Final = 60.0
STARTED: Final = "Kafka Server started"
JAVA: Final = (
    "-Xmx512m",
    *("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"),  # it lives for a minute: less is compiled, and sooner
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
    "-Dorg.slf4j.simpleLogger.log.kafka.server.KafkaRaftServer=info",  # says STARTED
)


def missing() -> str | None:
    """Why Apache Kafka cannot be run here; None where it can."""
    absent = [program for program in ("java", "mvn") if shutil.which(program) is None]
    return f"Apache Kafka needs {' and '.join(absent)}, not found on PATH" if absent else None


def jars() -> Path:
    """The folder of the jars, which Maven fills the first time. Raises SkipTest where it cannot be had."""
    if reason := missing():
        raise unittest.SkipTest(reason)  # pytest takes it as its own
    JARS.parent.mkdir(exist_ok=True)
    with (JARS.parent / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # tests run side by side
        if not JARS.exists():
            unfinished = JARS.with_suffix(".unfinished")
            maven = ["mvn", "--quiet", "--batch-mode", "--color=never", "--file", str(POM)]
            copy = ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
            subprocess.run([*maven, *copy], check=True, timeout=600)
            unfinished.rename(JARS)
    return JARS


class KafkaServer(ServerProcess):
    """One broker, its own controller; runs within a `with` block, on data in `folder`.

    `properties` are added to its configuration, `format_arguments` go to the formatting of its storage. Clients
    are directed to `advertised`, a port of 127.0.0.1, if that is not its own. `ports` are more of its own, by the
    name of the listener; clients are directed to these at localhost.
    """

    def __init__(
        self,
        folder: Path,
        *,
        properties: Mapping[str, str] | None = None,
        format_arguments: Sequence[str] = (),
        advertised: int | None = None,
        ports: Mapping[str, int] | None = None,
    ) -> None:
        self._folder, self._format_arguments = folder, format_arguments
        self.port, self._controller_port = free_port(), free_port()
        self._ports = ports or {}
        self._properties = {**self._defaults(advertised or self.port), **(properties or {})}

    @property
    def bootstrap_servers(self) -> str:
        """Its own address."""
        return f"127.0.0.1:{self.port}"

    @property
    def quorum(self) -> str:
        """Its own controller, for another broker of the same cluster."""
        return f"1@{self.controller}"

    @property
    def controller(self) -> str:
        """The address of its controller."""
        return f"127.0.0.1:{self._controller_port}"

    def overrule(self, properties: Mapping[str, str]) -> None:
        """Changes its configuration before it is started."""
        self._properties |= properties

    def _defaults(self, advertised: int) -> dict[str, str]:
        more = "".join(f",{name}://localhost:{port}" for name, port in self._ports.items())
        return {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.voters": self.quorum,
            "listeners": f"PLAINTEXT://127.0.0.1:{self.port},CONTROLLER://127.0.0.1:{self._controller_port}{more}",
            "advertised.listeners": f"PLAINTEXT://127.0.0.1:{advertised}{more}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL,SSL:SSL",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self._folder / "data"),
            "offsets.topic.num.partitions": "3",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "group.initial.rebalance.delay.ms": "0",
            "auto.create.topics.enable": "false",
        }

    def __enter__(self) -> Self:
        self.format()
        self.start()
        try:
            self.wait_until_ready()
        except BaseException:
            self.process.stop()
            raise
        return self

    def format(self) -> None:
        """Prepares its folder."""
        self._folder.mkdir(parents=True, exist_ok=True)
        written = "\n".join(f"{name}={value}" for name, value in self._properties.items())
        (self._folder / "server.properties").write_text(written + "\n")
        storage = ["format", "--cluster-id", CLUSTER, "--config", str(self._folder / "server.properties")]
        done = subprocess.run(
            [*self._java("kafka.tools.StorageTool"), *storage, *self._format_arguments],
            capture_output=True,
            text=True,
            timeout=READY_WITHIN_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.process.kill()  # its data is of no more use
        self.process.stop()

    def _java(self, main: str) -> list[str]:
        return ["java", *JAVA, "-cp", f"{jars()}/*", main]

    def start(self) -> None:
        """Starts it, on the data that is there; does not wait until it serves."""
        self.process = GuardedProcess(
            "Apache Kafka", [*self._java("kafka.Kafka"), str(self._folder / "server.properties")]
        )

    def wait_until_ready(self) -> None:
        """Until it answers."""
        deadline = time.monotonic() + READY_WITHIN_S
        while STARTED not in (log := self.process.log()):
            assert self.process.exit_code() is None, log[-2000:]
            assert time.monotonic() < deadline, log[-2000:]
            time.sleep(0.05)


class KafkaCluster:
    """Three brokers, each a controller too, of which one may be away; within a `with` block."""

    def __init__(self, folder: Path) -> None:
        self.brokers = [KafkaServer(folder / name) for name in ("first", "second", "third")]
        voters = ",".join(f"{number}@{broker.controller}" for number, broker in enumerate(self.brokers, 1))
        for number, broker in enumerate(self.brokers, 1):
            broker.overrule(
                {
                    "node.id": str(number),
                    "controller.quorum.voters": voters,
                    "offsets.topic.replication.factor": "3",
                    "transaction.state.log.replication.factor": "3",
                    "transaction.state.log.min.isr": "2",
                }
            )

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(broker.bootstrap_servers for broker in self.brokers)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for broker in self.brokers:
                broker.format()
            for broker in self.brokers:
                broker.start()
                stack.callback(broker.process.stop)
            for broker in self.brokers:
                broker.wait_until_ready()
            stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for broker in self.brokers:
            broker.process.kill()
            broker.process.stop()

    def wait_until_in_sync(self) -> None:
        """Until each of them has all that the others have, so that another may be killed."""
        deadline = time.monotonic() + READY_WITHIN_S
        for broker in self.brokers:
            broker.wait_until_ready()
        while behind := asyncio.run(self._behind()):
            assert time.monotonic() < deadline, behind
            time.sleep(0.2)

    async def _behind(self) -> list[str]:
        """The partitions of which a broker lacks something."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap_servers)
        await admin.start()
        try:
            return [
                f"{topic['topic']}, partition {partition['partition']}"
                for topic in await admin.describe_topics()
                for partition in topic["partitions"]
                if len(partition["isr"]) < len(partition["replicas"])
            ]
        finally:
            await admin.close()
