"""The peers, what each does, and how it is run."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.installs import classpath_of, jars_of, python_with

FOLDER: Final = Path(__file__).parent
JVM: Final = ("java", "-XX:+UseParallelGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=error")
# Flink's serializers and Spark access private parts of the JDK.
OPENED: Final = tuple(
    f"--add-opens=java.base/{package}=ALL-UNNAMED"
    for package in ("java.lang", "java.util", "java.nio", "java.time", "java.util.concurrent")
)


@dataclass(frozen=True)
class Peer:
    """A stream processor to compare. `subjects` are the names of its passes over the topic, in order; "" is skipped."""

    key: str
    """Its name on the command line."""
    subjects: tuple[str, ...]
    does: str
    install: Callable[[], Sequence[str]]
    """Installs it if necessary; returns its command line before SERVERS TOPIC EVENTS. Raises NotInstalled."""
    at_most: int = sys.maxsize
    """The number of events that a slow peer is limited to."""
    whole_topic: bool = False
    """Whether it always reads the whole topic."""


def _with_ours(script: str) -> Callable[[], Sequence[str]]:
    """A script for our own interpreter, since it needs no further packages."""
    return lambda: [sys.executable, "-P", str(FOLDER / script)]


def _with_its_own(script: str) -> Callable[[], Sequence[str]]:
    """A script for a virtual environment of its own, with the requirements beside it."""
    path = FOLDER / script
    return lambda: [str(python_with(path.with_suffix(".txt"))), "-P", str(path)]


def _spark() -> Sequence[str]:
    return [*_with_its_own("spark_queries.py")(), str(jars_of(FOLDER / "spark_connector" / "pom.xml"))]


def _pathway() -> Sequence[str]:
    python, script = (Path(part) for part in _with_its_own("pathway_table.py")()[::2])
    return [str(python.with_name("pathway")), "spawn", "--threads", "2", str(python), "-P", str(script)]


def _java(project: str, main: str, *options: str) -> Callable[[], Sequence[str]]:
    def install() -> Sequence[str]:
        return [*JVM, *options, "-cp", classpath_of(FOLDER / project / "pom.xml"), main]

    return install


PEERS: Final = (
    Peer("getmany", ("aiokafka getmany",), "fetches, and does nothing else", _with_ours("bare_aiokafka.py")),
    Peer(
        "flink",
        ("Flink, cold", "", "Flink, warm"),
        "four aggregates, tuned by hand, parallelism 2; results stay in its memory",
        _java("flink", "FourAggregates", *OPENED, "-Xmx2g"),
    ),
    Peer(
        "kafka-streams",
        ("Kafka Streams, cold", "", "Kafka Streams, warm"),
        "one aggregate, two threads; results go to a topic",
        _java("kafka_streams", "MinuteByGenre", "-Xmx2g"),
    ),
    Peer("spark", ("Spark",), "four aggregates, Structured Streaming, local[2]", _spark, whole_topic=True),
    Peer("pathway", ("Pathway",), "one aggregate, two threads; results go to a callback", _pathway),
    Peer("bytewax", ("Bytewax",), "one aggregate; results are dropped", _with_its_own("bytewax_dataflow.py"), 400_000),
    Peer("quix", ("Quix Streams",), "one aggregate; results are dropped", _with_its_own("quix_application.py"), 60_000),
    Peer("faust", ("Faust",), "one aggregate, one table update an event", _with_ours("idiomatic_faust.py"), 60_000),
)
