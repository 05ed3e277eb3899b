"""Every metric, declared once: its name, type, labels and meaning, and the process that exports it.

Names follow the conventions of Prometheus: base units, `_total` for counters, `_seconds` and `_bytes`. Labels have low
cardinality, whatever the input.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "movie_stream_"
Kind = Literal["counter", "gauge", "histogram"]
Process = Literal["worker", "serve", "both"]
Buckets = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. A histogram is exported as `_bucket`, `_sum` and `_count`."""

    name: str
    kind: Kind
    unit: str
    """The unit of its value, as text."""
    meaning: str
    labels: tuple[str, ...] = ()
    of: Process = "worker"
    """The process that exports it."""
    buckets: Buckets = ()
    """The upper bounds of a histogram's buckets, except the last one, which has none."""

    @property
    def family(self) -> str:
        """The name for the client library, which adds `_total` itself."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


DELAYS: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0)
EVENT_DELAYS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0)
DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ANSWERS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_BY_PARTITION: Final = ("topic", "partition")


def _counter(name: str, unit: str, meaning: str, *labels: str, of: Process = "worker") -> Metric:
    return Metric(f"{PREFIX}{name}_total", "counter", unit, meaning, labels, of)


def _gauge(name: str, unit: str, meaning: str, *labels: str, of: Process = "worker") -> Metric:
    return Metric(PREFIX + name, "gauge", unit, meaning, labels, of)


def _histogram(name: str, buckets: Buckets, meaning: str, *labels: str, of: Process = "worker") -> Metric:
    return Metric(f"{PREFIX}{name}_seconds", "histogram", "seconds", meaning, labels, of, buckets)


BUILD: Final = _gauge("build_info", "1", "The version of movie-stream that runs.", "version", of="both")
MONGODB_ERRORS: Final = _counter(
    "mongodb_errors", "errors", "Failed requests to MongoDB, by kind of error.", "kind", of="both"
)

EVENTS: Final = _counter("events", "records", "Records read from the source topic, including refused ones.")
DEAD_LETTERS: Final = _counter("dead_letters", "records", "Refused records, by kind and reason.", "kind", "reason")
REFUSED: Final = _counter("refused", "records", "Refused records, bad or late; 0 before the first.", "kind")
COPIES: Final = _counter(
    "copies", "records", "Copies of refused records, counted or not counted a second time.", "outcome"
)
DOCUMENTS: Final = _counter("documents", "documents", "Documents inserted or replaced.")
PARKED: Final = _counter("documents_parked", "documents", "Documents refused by MongoDB's validators.")
INCOMPARABLE: Final = _counter(
    "documents_incomparable", "documents", "Documents not replaced, since neither version is newer."
)
EVICTIONS: Final = _counter("evictions", "keys", "Keys of old windows evicted from memory into MongoDB.")
RETRIES: Final = _counter("mongodb_retries", "requests", "Retried requests to MongoDB.", "operation")
REBALANCES: Final = _counter("rebalances", "rebalances", "Assignments of partitions to this worker.")

DELAY: Final = _histogram(
    "delay",
    DELAYS,
    "Latency from a counted view's Kafka timestamp until MongoDB has acknowledged the documents that it changed.",
)
EVENT_DELAY: Final = _histogram(
    "event_delay",
    EVENT_DELAYS,
    "Latency from a counted view's event time until MongoDB has acknowledged the documents that it changed.",
)
FLUSH: Final = _histogram("flush_duration", DURATIONS, "Duration of flushes, including their checkpoints.", "agent")
CHECKPOINT: Final = _histogram("checkpoint_duration", DURATIONS, "Duration of writing a checkpoint.", "agent")
RESTORE: Final = _histogram("restore_duration", DURATIONS, "Duration of restoring a partition.", "agent")
MONGODB: Final = _histogram(
    "mongodb_request_duration",
    DURATIONS,
    "Duration of requests to MongoDB: to acknowledge documents (write), to store evicted figures (store) and load them "
    "(load), or to store the offset up to which documents are written (progress).",
    "operation",
)

POSITION: Final = _gauge("position", "offset", "The next offset to apply.", *_BY_PARTITION)
LAG: Final = _gauge("lag", "records", "Records available in the partition that are not applied yet.", *_BY_PARTITION)
WATERMARK: Final = _gauge(
    "watermark_seconds", "seconds", "The watermark: the timestamp of the newest view, in Unix seconds.", *_BY_PARTITION
)
ROWS: Final = _gauge("table_rows", "rows", "Rows of figures, and users, in memory.", *_BY_PARTITION)
BYTES: Final = _gauge(
    "table_bytes",
    "bytes",
    "Bytes that a restore of the table would read: its last snapshot and the changes since.",
    *_BY_PARTITION,
)
WAITING: Final = _gauge(
    "documents_waiting",
    "documents",
    "Changed documents that are not written yet; under backlog those of open windows are among them.",
    *_BY_PARTITION,
)
PAUSED: Final = _gauge(
    "partition_paused", "0 or 1", "1 while reading of a partition is paused by back-pressure.", *_BY_PARTITION
)
RUN: Final = _gauge("run_timestamp_seconds", "seconds", "The start of the current run, in Unix seconds.")

ALERTS_EVALUATING: Final = _gauge(
    "alerts_evaluating",
    "0 or 1",
    "1 in the worker that evaluates the rules for alerts; like all metrics of alerts, only with ALERTS_FILE.",
)
ALERTS_UNTIL: Final = _gauge(
    "alerts_evaluated_until_seconds",
    "seconds",
    "The event time up to which all rules are evaluated, in Unix seconds, at most now; only in the evaluating worker.",
)
ALERTS_STILL: Final = _gauge(
    "alerts_still_seconds",
    "seconds",
    "Time without progress of the evaluation although there are newer results; only in the evaluating worker.",
)
ALERTS_FAILURES: Final = _counter(
    "alerts_failures", "passes", "Passes in which a rule could not be evaluated, or its alerts not be stored."
)
ALERTS_WITHOUT_RULES: Final = _gauge(
    "alerts_workers_without_rules",
    "workers",
    "Workers of the group without ALERTS_FILE, or with another one; only in the evaluating worker.",
)
ALERT_MESSAGES: Final = _counter(
    "alerts_messages",
    "messages",
    "Messages about alerts by outcome: arrived, failed (to be retried), or given up.",
    "receiver",
    "outcome",
)
ALERT_MESSAGES_WAITING: Final = _gauge(
    "alerts_messages_waiting",
    "messages",
    "Messages not delivered yet; only in the evaluating worker.",
    "receiver",
)
ALERT_MESSAGE_AGE: Final = _gauge(
    "alerts_oldest_message_seconds",
    "seconds",
    "Age of the oldest of these messages; 0 if there is none.",
    "receiver",
)

HTTP_ANSWERS: Final = _counter(
    "http_answers",
    "answers",
    "Responses: failed, with a status of 500 or above, or fine; 0 before the first.",
    "outcome",
    of="serve",
)
REQUESTS: Final = _counter("http_requests", "requests", "Requests answered.", "method", "route", "status", of="serve")
ANSWER: Final = _histogram(
    "http_request_duration", ANSWERS, "Duration of requests, except streams.", "method", "route", of="serve"
)
IN_FLIGHT: Final = _gauge("http_requests_in_flight", "requests", "Requests in flight, except streams.", of="serve")
READERS: Final = _gauge("sse_readers", "readers", "Clients that currently follow the changes.", of="serve")
QUERY: Final = _histogram(
    "mongodb_query_duration", ANSWERS, "Duration of queries to MongoDB.", "collection", of="serve"
)
SIGN_INS_REFUSED: Final = _counter(
    "sign_ins_refused",
    "attempts",
    "Sign-ins refused for a wrong token, or after too many of them.",
    "reason",
    of="serve",
)
RUN_VALID: Final = _gauge(
    "run_valid",
    "0 or 1",
    "1 if workers may continue the run, 0 if the broker has lost records; absent if unknown.",
    of="serve",
)

METRICS: Final = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""All metrics, in the order of this file."""


def exported_by(process: Process) -> tuple[Metric, ...]:
    """The metrics that a process exports.

    >>> [metric.name for metric in exported_by("both")]
    ['movie_stream_build_info', 'movie_stream_mongodb_errors_total']
    """
    return tuple(metric for metric in METRICS if metric.of in (process, "both"))
