"""The broker and the MongoDB of a benchmark: Apache Kafka if Java and Maven exist, else the embedded broker."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import psutil

from bench.results import MADE
from movie_stream.embedded.broker import broker
from movie_stream.embedded.launch import launch
from movie_stream.embedded.mongod import mongod
from movie_stream.embedded.process import GuardedProcess
from movie_stream.settings import Settings
from tests.support.kafka_server import KafkaServer, missing

APACHE_KAFKA: Final = "Apache Kafka"
EMBEDDED: Final = "the embedded broker (Tansu)"


class Services:
    """A broker and a MongoDB that run within a `with` block, which removes all their processes and files.

    `broker` is the name of the broker, and `why` the reason why it is not Apache Kafka; `embedded` forces the embedded
    one.
    """

    def __init__(self, *, embedded: bool = False) -> None:
        self._stack = ExitStack()
        self.why = "it was asked for" if embedded else missing()
        self.broker = APACHE_KAFKA if self.why is None else EMBEDDED
        self.bootstrap_servers = self.mongodb_uri = ""
        self._kafka_data: Path | None = None

    def __enter__(self) -> Self:
        with self._stack as stack:
            if self.broker == APACHE_KAFKA:
                try:
                    self._broker_process = self._start_kafka(stack)
                except subprocess.SubprocessError as error:
                    self.broker, self.why = EMBEDDED, f"Maven could not get it: {error}"
            if self.broker == EMBEDDED:
                self._broker_process, port = asyncio.run(launch(broker(), stack))
                self.bootstrap_servers = f"127.0.0.1:{port}"
            self._mongod_process, port = asyncio.run(launch(mongod(), stack))
            self.mongodb_uri = f"mongodb://127.0.0.1:{port}"
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def _start_kafka(self, stack: ExitStack) -> GuardedProcess:
        folder = MADE / f"broker-{os.getpid()}"
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        for left in MADE.glob("broker-*"):  # from a run that was killed
            if not psutil.pid_exists(int(left.name.removeprefix("broker-"))):
                shutil.rmtree(left, ignore_errors=True)
        kafka = stack.enter_context(KafkaServer(folder))
        self.bootstrap_servers, self._kafka_data = kafka.bootstrap_servers, folder / "data"
        return kafka.process

    def settings(self, **more: object) -> Settings:
        """Settings with these services; a developer's `.env` is ignored."""
        defaults = {name: field.default for name, field in Settings.model_fields.items()}
        services = {"kafka_bootstrap_servers": self.bootstrap_servers, "mongodb_uri": self.mongodb_uri}
        return Settings(**defaults | services | more)

    def cpu_s(self) -> dict[str, float]:
        """User and system time of both since their start, by name: "broker" and "mongod"."""
        processes = {"broker": self._broker_process, "mongod": self._mongod_process}
        return {name: sum(psutil.Process(process.pid).cpu_times()[:2]) for name, process in processes.items()}

    def stored_bytes(self, topic: str) -> int | None:
        """The bytes on disk of all that was ever written to a topic; None if that is unknown.

        Deleted records count as long as their segment (1 GiB) is not full, since Kafka keeps it until then.
        """
        if self._kafka_data is None:
            return None
        segments = self._kafka_data.glob(f"{topic}-[0-9]*/*.log")
        return sum(_end_of(segment) for segment in segments)


def _end_of(segment: Path) -> int:
    """The end of the written part of a segment, whose file may be preallocated."""
    return segment.stat().st_size
