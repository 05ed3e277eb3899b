"""Where a scenario takes place: a broker, a mongod, workers, a stream being produced, and the verdict at the end."""

from __future__ import annotations

import asyncio
import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Final, Literal, Self

from movie_stream.embedded.broker import broker
from movie_stream.embedded.launch import launch
from movie_stream.runs.progress import wait_until_counted
from movie_stream.settings import Settings
from tests.chaos.fleet import LEFT_WITHIN_S, Fleet, WorkerUnderTest
from tests.chaos.record import Outcome
from tests.chaos.stream import Producer, Stream
from tests.support import reference
from tests.support.kafka.proxy import Proxy
from tests.support.kafka_server import KafkaCluster, KafkaServer
from tests.support.mongo.mongo_server import MongoServer, ReplicaSet
from tests.support.whole_path import command, database, documents, records, succeed

Kind = Literal["Tansu", "Apache Kafka"]
COUNTED_WITHIN_S: Final = 240.0


class Stage:
    """Everything of one run of one scenario; `seed` is chosen at random, or CHAOS_SEED, and is said.

    `rng` decides whatever is left to chance. Use as `with Stage(...) as stage`, and call `verdict` at the end.
    """

    def __init__(
        self,
        scenario: str,
        kind: Kind,
        folder: Path,
        *,
        replica_set: bool = False,
        three_mongods: bool = False,
        three_brokers: bool = False,
        **more: str,
    ) -> None:
        self.scenario, self.kind, self._folder = scenario, kind, folder
        self.seed = int(os.environ.get("CHAOS_SEED") or random.SystemRandom().randrange(10**6))
        self.rng = random.Random(self.seed)
        self.faults, self.recovery_s = 0, 0.0
        self._stack, self._replica_set, self._more = ExitStack(), replica_set, more
        self._three_mongods, self._three_brokers = three_mongods, three_brokers
        self.kafka: KafkaServer
        """Only with Apache Kafka."""
        self.cluster: KafkaCluster
        """Only with three of them."""
        self.mongod: MongoServer
        """Only where there is one."""
        self.replica_set: ReplicaSet
        """Only with three of them."""

    def __enter__(self) -> Self:
        self._began_s = time.monotonic()
        self.say(f"{self.scenario} on {self.kind}; the same again with CHAOS_SEED={self.seed}")
        with self._stack as stack:
            self.proxy = stack.enter_context(Proxy())
            servers = self._start_tansu(stack) if self.kind == "Tansu" else self._start_kafka(stack)
            data = self._folder / "mongo"
            data.mkdir(parents=True)
            uri = self._start_mongods(stack, data)
            defaults = {name: field.default for name, field in Settings.model_fields.items()}
            self.settings = Settings(
                **defaults
                | {"kafka_bootstrap_servers": servers, "mongodb_uri": uri, "allowed_lateness": "2h"}
                | self._more
            )
            succeed(self.settings, "init")
            self.fleet = stack.enter_context(Fleet(self.settings, self._folder))
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_tansu(self, stack: ExitStack) -> str:
        asyncio.run(launch(self.proxy.before(broker()), stack))
        return f"127.0.0.1:{self.proxy.port}"

    def _start_mongods(self, stack: ExitStack, data: Path) -> str:
        if self._three_mongods:
            self.replica_set = stack.enter_context(ReplicaSet(data))
            return self.replica_set.uri
        self.mongod = stack.enter_context(MongoServer(data, replica_set=self._replica_set))
        return self.mongod.uri

    def _start_kafka(self, stack: ExitStack) -> str:
        if self._three_brokers:
            self.cluster = stack.enter_context(KafkaCluster(self._folder / "kafka"))
            return self.cluster.bootstrap_servers
        self.kafka = KafkaServer(self._folder / "kafka", advertised=self.proxy.port)
        self.proxy.target = self.kafka.port
        stack.enter_context(self.kafka)
        return f"127.0.0.1:{self.proxy.port}"

    def owned(self) -> bool:
        """Whether all partitions of both topics have been taken over by workers that run."""
        return self.fleet.owners(2 * self.settings.kafka_partitions)

    def command(self, *arguments: str) -> str:
        """Runs a command to its end, which must be a good one; what it printed."""
        return succeed(self.settings, *arguments)

    def refused(self) -> str:
        """What a worker that is started now says, since it refuses to work."""
        done = command(self.settings, "worker")
        assert done.returncode == 1, done.stdout[-2000:]
        [line] = done.stderr.splitlines()
        self.say(f"a worker refuses: {line}")
        return line

    def say(self, what: str) -> None:
        """Into the test's output, with the time since the beginning."""
        print(f"{time.monotonic() - self._began_s:6.1f} s  {what}", flush=True)  # noqa: T201

    def fault(self, what: str) -> None:
        """Counts a fault that happens now."""
        self.faults += 1
        self.say(what)

    def pause(self, least_s: float, most_s: float) -> None:
        """Lets a random time pass: the moment of the next fault."""
        time.sleep(self.rng.uniform(least_s, most_s))

    @contextmanager
    def producing(self, stream: Stream, rate: float) -> Iterator[Producer]:
        """The stream is being produced meanwhile."""
        with Producer(self.settings, stream, rate).running() as producer:
            yield producer

    def stream(self, count: int = 300_000, **more: object) -> Stream:
        """The seeded stream of this run."""
        return Stream(self.seed, count, **more)  # type: ignore[arg-type]

    def recover(self) -> float:
        """Waits until all that is in the topic now is in MongoDB; how many seconds that took."""
        began = time.monotonic()
        asyncio.run(asyncio.wait_for(wait_until_counted(self.settings), COUNTED_WITHIN_S))
        took_s = time.monotonic() - began
        self.recovery_s = max(self.recovery_s, took_s)
        self.say(f"all that was there is counted, after {took_s:.1f} s")
        return took_s

    def leave_one(self, worker: WorkerUnderTest, overtaken: bool = False) -> None:
        """Has a worker leave in good order, and in time; if it may be `overtaken` meanwhile, it ends with that."""
        worker.wait_for("run ")
        took_s = worker.terminate(overtaken)
        self.say(f"{worker.name} left after {took_s:.1f} s")
        assert took_s < LEFT_WITHIN_S, worker.text[-2000:]

    def leave(self) -> None:
        """Has all workers leave."""
        for worker in self.fleet.alive:
            self.leave_one(worker)

    def differences(self) -> tuple[list[str], int]:
        """The differences from the reference, documents and dead letters, a line each; and the number of events."""
        log = records(self.settings, self.settings.kafka_topic)
        events = [[record for record, _ in partition] for partition in log]
        lateness_ms = self.settings.allowed_lateness // timedelta(milliseconds=1)
        wanted = reference.expected(events, reference.Rules(allowed_lateness_ms=lateness_ms))
        with database(self.settings) as db:
            wrong = reference.same(documents(db), wanted.documents)
            [run] = db["_runs"].find()
        letters = {
            (int(headers["source-partition"]), int(headers["source-offset"]), headers["kind"].decode())
            for partition in records(self.settings, self.settings.dead_letters_topic)
            for _, headers in partition
            if int(headers["run"]) == run["number"]
        }
        wrong += [f"dead letter {letter}: missing" for letter in sorted(wanted.dead_letters - letters)]
        wrong += [f"dead letter {letter}: not expected" for letter in sorted(letters - wanted.dead_letters)]
        return wrong, sum(map(len, events))

    def end(self, views: Producer, workers: int = 2) -> int:
        """The stream ends, all of it is counted, the workers leave, and everything is right."""
        views.wait()
        self.fleet.fill(workers)
        self.recover()
        self.leave()
        return self.verdict()

    def verdict(self) -> int:
        """All documents and dead letters must be those of the reference; returns the number of events."""
        wrong, events = self.differences()
        self.keep(wrong, events)
        return events

    def keep(self, wrong: list[str], events: int) -> None:
        """Notes the outcome, which must be that nothing is wrong."""
        for line in self.fleet.faults_said():
            self.say(f"a worker said: {line}")
        Outcome(self.scenario, self.kind, self.seed, events, self.faults, len(wrong), self.recovery_s).keep()
        self.say(f"{events:,} events, {self.faults} faults, {len(wrong)} differences")
        assert not wrong, f"CHAOS_SEED={self.seed}: {len(wrong)} differences, the first: {wrong[:5]}"
