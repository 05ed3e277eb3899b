"""The performance goals, in one table; as ratios within one run if the absolute speed depends on the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from movie_stream.kafka.fetch.transport import SESSION_TIMEOUT_MS

OURS: Final = "movie-stream"
"""One worker, all results, from Kafka to MongoDB."""
SESSION_S: Final = SESSION_TIMEOUT_MS / 1_000
"""How long the broker waits for a worker that is silent before others get its partitions."""


@dataclass(frozen=True)
class Goal:
    """A figure, and its lower or upper `bound`."""

    what: str
    figure: str
    """The figure's name in `results.py`; the goal is on that of `subject`, or on its ratio to that of `against`."""
    bound: float
    sense: Literal[">=", "<="]
    part: str
    subject: str = OURS
    against: str | None = None
    unit: str = "x"

    def met(self, value: float) -> bool:
        """Whether a value meets the goal."""
        return value >= self.bound if self.sense == ">=" else value <= self.bound


# fmt: off
GOALS: Final = (
    Goal("events/s, to bare aiokafka getmany", "events_per_s", 1.8, ">=", "peers", against="aiokafka getmany"),
    Goal("events/s, to Flink, warm", "events_per_s", 1.0, ">=", "peers", against="Flink, warm"),
    Goal("events per CPU-second, to Flink, warm", "events_per_cpu_s", 2.0, ">=", "peers", against="Flink, warm"),
    Goal("events per CPU-second, to Flink, cold", "events_per_cpu_s", 3.5, ">=", "peers", against="Flink, cold"),
    Goal("events per CPU-second, to Kafka Streams, cold", "events_per_cpu_s", 2.0, ">=", "peers", against="Kafka Streams, cold"),  # noqa: E501
    Goal("events per CPU-second, to Kafka Streams, warm", "events_per_cpu_s", 4.0, ">=", "peers", against="Kafka Streams, warm"),  # noqa: E501
    Goal("events/s, to Spark local[2]", "events_per_s", 8.0, ">=", "peers", against="Spark"),
    Goal("events/s, to idiomatic Faust", "events_per_s", 100.0, ">=", "peers", against="Faust"),
    Goal("events per CPU-second, two workers to one", "events_per_cpu_s", 0.9, ">=", "worker", "2 workers", "1 worker"),
    Goal("CPU an event, 1,000,000 users to 10,000", "cpu_us_per_event", 1.2, "<=", "worker", "1,000,000 users", "10,000 users"),  # noqa: E501
    Goal("CPU an event, 100,000 films to 1,000", "cpu_us_per_event", 1.2, "<=", "worker", "100,000 films", "1,000 films"),  # noqa: E501
    Goal("sparse views, documents/s, to bare pymongo", "documents_per_s", 1.0, ">=", "sparse", against="bare pymongo bulk_write"),  # noqa: E501
    Goal("sparse views, CPU a document", "cpu_us_per_document", 25, "<=", "sparse", unit="µs"),
    Goal("events/s, views of generate to dense ones", "events_per_s", 0.8, ">=", "default", "views of generate", "dense views"),  # noqa: E501
    Goal("latency at 20,000 events/s, p50", "p50_ms", 150, "<=", "latency", "windows of a minute", unit="ms"),
    Goal("latency at 20,000 events/s, p99", "p99_ms", 400, "<=", "latency", "windows of a minute", unit="ms"),
    Goal("memory of a worker", "peak_rss_mb", 280, "<=", "worker", "1 worker", unit="MB"),
    Goal("memory of a worker, 1,000,000 users", "peak_rss_mb", 400, "<=", "worker", "1,000,000 users", unit="MB"),
    Goal("memory of a worker, 100,000 films", "peak_rss_mb", 300, "<=", "worker", "100,000 films", unit="MB"),
    Goal("memory of a worker, zstd", "peak_rss_mb", 280, "<=", "worker", "zstd", unit="MB"),
    Goal("start to first event applied", "first_event_s", 1.5, "<=", "worker", "start", unit="s"),
    Goal("start to first event applied, first ever", "first_event_s", 6.0, "<=", "worker", "start, first ever", unit="s"),  # noqa: E501
    Goal("standstill of what a worker keeps, another joins", "standstill_s", 0.5, "<=", "rebalance", "a second worker joins", unit="s"),  # noqa: E501
    Goal("standstill of what a worker keeps, another leaves", "standstill_s", 0.5, "<=", "rebalance", "it leaves", unit="s"),  # noqa: E501
    Goal("takeover after kill -9", "takeover_s", SESSION_S + 2.0, "<=", "rebalance", "it is killed", unit="s"),
    Goal("produce, a CSV to Kafka", "events_per_s", 400_000, ">=", "produce", "produce", unit="events/s"),
    Goal("produce, sorting the file", "events_per_s", 250_000, ">=", "produce", "produce, sorting the file", unit="events/s"),  # noqa: E501
    Goal("generate", "events_per_s", 300_000, ">=", "produce", "generate", unit="rows/s"),
    Goal("what the page asks, 50 a second, p99", "p99_ms", 50, "<=", "web", "all that the page asks", unit="ms"),
    Goal("memory of serve, 200 readers of the changes", "peak_rss_mb", 300, "<=", "web", "200 readers of the changes", unit="MB"),  # noqa: E501
    Goal("the page with its libraries, compressed", "page_kb", 600, "<=", "web", "the page", unit="kB"),
)
# fmt: on
