"""Every metric, declared once: its name, type, labels and meaning, and which process has it.

Names follow Prometheus' rules: base units, `_total` for counters, `_seconds` and `_bytes`. Labels only have values of
which there are few, whatever is sent to us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

PREFIX: Final = "movie_stream_"
Kind = Literal["counter", "gauge", "histogram"]
Told = Literal["worker", "serve", "both"]
Buckets = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric. Of a histogram a scrape has `_bucket`, `_sum` and `_count`."""

    name: str
    kind: Kind
    unit: str
    """What its number counts or measures, in words."""
    meaning: str
    labels: tuple[str, ...] = ()
    of: Told = "worker"
    """Which process has it."""
    buckets: Buckets = ()
    """The upper limits of a histogram's buckets, but for the last one, which has none."""

    @property
    def family(self) -> str:
        """What the client's library calls it, which adds `_total` itself."""
        return self.name.removesuffix("_total") if self.kind == "counter" else self.name


DELAYS: Final = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 3_600.0, 86_400.0)
EVENT_DELAYS: Final = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 21_600.0, 86_400.0, 604_800.0)
DURATIONS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
ANSWERS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

_PLACE: Final = ("topic", "partition")


def _counter(name: str, unit: str, meaning: str, *labels: str, of: Told = "worker") -> Metric:
    return Metric(f"{PREFIX}{name}_total", "counter", unit, meaning, labels, of)


def _gauge(name: str, unit: str, meaning: str, *labels: str, of: Told = "worker") -> Metric:
    return Metric(PREFIX + name, "gauge", unit, meaning, labels, of)


def _histogram(name: str, buckets: Buckets, meaning: str, *labels: str, of: Told = "worker") -> Metric:
    return Metric(f"{PREFIX}{name}_seconds", "histogram", "seconds", meaning, labels, of, buckets)


BUILD: Final = _gauge("build_info", "1", "Which version of movie-stream runs.", "version", of="both")
MONGODB_ERRORS: Final = _counter(
    "mongodb_errors", "errors", "Requests to MongoDB that failed, by kind of error.", "kind", of="both"
)

EVENTS: Final = _counter("events", "records", "Records of the source topic that were read, refused ones among them.")
DEAD_LETTERS: Final = _counter("dead_letters", "records", "Records that were refused.", "kind", "reason")
REFUSED: Final = _counter("refused", "records", "Records that were refused, bad or late; 0 before the first.", "kind")
COPIES: Final = _counter(
    "copies", "records", "Copies of refused records that count, or are not counted again.", "outcome"
)
DOCUMENTS: Final = _counter("documents", "documents", "Documents that were inserted or replaced.")
PARKED: Final = _counter("documents_parked", "documents", "Documents that MongoDB's validators refused.")
INCOMPARABLE: Final = _counter(
    "documents_incomparable", "documents", "Documents left as they are, since neither they nor ours are newer."
)
EVICTIONS: Final = _counter("evictions", "keys", "Keys of old windows whose figures were moved into MongoDB.")
RETRIES: Final = _counter("mongodb_retries", "requests", "Requests that are sent to MongoDB once more.", "operation")
REBALANCES: Final = _counter("rebalances", "rebalances", "How often this worker was given its share of the partitions.")

DELAY: Final = _histogram(
    "delay",
    DELAYS,
    "From a counted view's Kafka timestamp until MongoDB has acknowledged the documents that it changed.",
)
EVENT_DELAY: Final = _histogram(
    "event_delay",
    EVENT_DELAYS,
    "From a counted view's own timestamp until MongoDB has acknowledged the documents that it changed.",
)
FLUSH: Final = _histogram("flush_duration", DURATIONS, "How long flushes took, with their checkpoints.", "agent")
CHECKPOINT: Final = _histogram("checkpoint_duration", DURATIONS, "How long writing a checkpoint took.", "agent")
RESTORE: Final = _histogram("restore_duration", DURATIONS, "How long restoring a partition took.", "agent")
MONGODB: Final = _histogram(
    "mongodb_request_duration",
    DURATIONS,
    "How long MongoDB took to acknowledge documents (write), to keep figures of old windows (store), to give them "
    "back (load), or to note how far documents are written (progress).",
    "operation",
)

POSITION: Final = _gauge("position", "offset", "The next offset to be applied.", *_PLACE)
LAG: Final = _gauge("lag", "records", "Records that can be read and are not applied yet.", *_PLACE)
WATERMARK: Final = _gauge("watermark_seconds", "seconds", "The newest view's timestamp, in Unix seconds.", *_PLACE)
ROWS: Final = _gauge("table_rows", "rows", "Rows of figures, and users, that a table holds in memory.", *_PLACE)
BYTES: Final = _gauge(
    "table_bytes", "bytes", "What a restore of the table would read: its last snapshot and what changed since.", *_PLACE
)
WAITING: Final = _gauge("documents_waiting", "documents", "Documents that changed and are not written yet.", *_PLACE)
PAUSED: Final = _gauge(
    "partition_paused", "0 or 1", "1 while a partition is not read on, since too much of it waits.", *_PLACE
)
RUN: Final = _gauge("run_timestamp_seconds", "seconds", "When the run that is counted began, in Unix seconds.")

ALERTS_EVALUATING: Final = _gauge(
    "alerts_evaluating",
    "0 or 1",
    "1 in the one worker that evaluates the rules for alerts; like all metrics of alerts only with ALERTS_FILE.",
)
ALERTS_UNTIL: Final = _gauge(
    "alerts_evaluated_until_seconds",
    "seconds",
    "Up to which event time all rules are evaluated, in Unix seconds, never later than now; only where it is done.",
)
ALERTS_STILL: Final = _gauge(
    "alerts_still_seconds",
    "seconds",
    "For how long the evaluation has not got on, although there are newer results; only where it is done.",
)
ALERTS_FAILURES: Final = _counter(
    "alerts_failures", "passes", "How often the rules, or one of them, could not be evaluated, or not be kept."
)
ALERTS_WITHOUT_RULES: Final = _gauge(
    "alerts_workers_without_rules",
    "workers",
    "Workers of the group that have no ALERTS_FILE, or another one; only where rules are evaluated.",
)
ALERT_MESSAGES: Final = _counter(
    "alerts_messages",
    "messages",
    "What became of messages about alerts: arrived, failed (they are tried again), or given up.",
    "receiver",
    "outcome",
)
ALERT_MESSAGES_WAITING: Final = _gauge(
    "alerts_messages_waiting",
    "messages",
    "Messages that have not arrived yet; only where rules are evaluated.",
    "receiver",
)
ALERT_MESSAGE_AGE: Final = _gauge(
    "alerts_oldest_message_seconds",
    "seconds",
    "How long the oldest of them has waited; 0 where there is none.",
    "receiver",
)

HTTP_ANSWERS: Final = _counter(
    "http_answers",
    "answers",
    "Answers: failed, with a status of 500 or above, or fine; 0 before the first.",
    "outcome",
    of="serve",
)
REQUESTS: Final = _counter(
    "http_requests", "requests", "Requests that were answered.", "method", "route", "status", of="serve"
)
ANSWER: Final = _histogram(
    "http_request_duration", ANSWERS, "How long answers took, but for streams.", "method", "route", of="serve"
)
IN_FLIGHT: Final = _gauge(
    "http_requests_in_flight", "requests", "Requests being answered, but for streams.", of="serve"
)
READERS: Final = _gauge("sse_readers", "readers", "Who follows the changes at the moment.", of="serve")
QUERY: Final = _histogram(
    "mongodb_query_duration", ANSWERS, "How long MongoDB took to answer queries.", "collection", of="serve"
)
SIGN_INS_REFUSED: Final = _counter(
    "sign_ins_refused", "attempts", "Wrong tokens, and attempts after too many of them.", "reason", of="serve"
)
RUN_VALID: Final = _gauge(
    "run_valid",
    "0 or 1",
    "1 where workers may go on counting, 0 where the broker has lost records; nothing where it is not known.",
    of="serve",
)

METRICS: Final = tuple(of for of in list(globals().values()) if isinstance(of, Metric))
"""All of them, in the order of this file."""


def told_by(process: Told) -> tuple[Metric, ...]:
    """Those that a process has.

    >>> [metric.name for metric in told_by("both")]
    ['movie_stream_build_info', 'movie_stream_mongodb_errors_total']
    """
    return tuple(metric for metric in METRICS if metric.of in (process, "both"))
