"""The panels of the dashboard: tiles with one number, and rows of graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Tile:
    """One number, and the thresholds from which it is yellow or red."""

    title: str
    expr: str
    unit: str
    says: str
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)


@dataclass(frozen=True)
class Graph:
    """Lines over time: the query of each, with its legend."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str
    says: str


def quantile(of: float, metric: str, by: str = "") -> str:
    """The expression of a histogram's quantile, optionally by a label."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({of}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def rate(metric: str, by: str = "") -> str:
    """The expression of a counter's rate."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


_ABOVE_0_RED: Final = ((None, "green"), (1.0, "red"))
_BELOW_1_RED: Final = ((None, "red"), (1.0, "green"))

TILES: Final = (
    Tile("Workers", 'sum(up{job="movie-stream-worker"})', "none", "Workers that answer.", _BELOW_1_RED),
    Tile("Views", "sum(job:movie_stream_events:rate5m)", "reqps", "Records read per second."),
    Tile(
        "Waiting",
        "sum(movie_stream_lag)",
        "short",
        "Records before the last stable offset that are not applied yet.",
        ((None, "green"), (10_000.0, "yellow"), (100_000.0, "red")),
    ),
    Tile(
        "Delay",
        "max(job:movie_stream_delay_seconds:p95_5m)",
        "s",
        "From Kafka until MongoDB's acknowledgement: the 95th percentile of the views.",
        ((None, "green"), (2.0, "yellow"), (5.0, "red")),
    ),
    Tile(
        "Refused",
        "max(job:movie_stream_refused:ratio_rate5m)",
        "percentunit",
        "Share of the records that are bad or late.",
        ((None, "green"), (0.001, "yellow"), (0.01, "red")),
    ),
    Tile("Parked", "sum(movie_stream_documents_parked_total)", "none", "Documents that MongoDB refuses.", _ABOVE_0_RED),
    Tile("Run valid", "min(movie_stream_run_valid)", "bool_yes_no", "Whether workers may continue it.", _BELOW_1_RED),
    Tile("Server", 'sum(up{job="movie-stream-serve"})', "none", "Servers that answer.", _BELOW_1_RED),
)

ROWS: Final[tuple[tuple[str, tuple[Graph, ...]], ...]] = (
    (
        "Stream",
        (
            Graph(
                "Records",
                (
                    (rate("movie_stream_events_total", "instance"), "{{instance}}"),
                    (rate("movie_stream_refused_total", "kind"), "{{kind}}"),
                    (rate("movie_stream_copies_total", "outcome"), "copies {{outcome}}"),
                ),
                "reqps",
                "Records read per second by each worker, and refused ones.",
            ),
            Graph(
                "Lag",
                (("sum by (topic) (movie_stream_lag)", "{{topic}}"),),
                "short",
                "Records not applied yet. Lag of the views: too few workers; of the partials: MongoDB is slow.",
            ),
            Graph(
                "Delay from Kafka to MongoDB",
                tuple((quantile(q, "movie_stream_delay_seconds"), f"{q:.0%}") for q in (0.5, 0.95, 0.99)),
                "s",
                "Of all counted views, until MongoDB's acknowledgement.",
            ),
            Graph(
                "Delay from event time",
                tuple((quantile(q, "movie_stream_event_delay_seconds"), f"{q:.0%}") for q in (0.5, 0.95)),
                "s",
                "Including the time before a view reaches Kafka.",
            ),
            Graph(
                "Why records are refused",
                (("topk(10, " + rate("movie_stream_dead_letters_total", "reason") + ")", "{{reason}}"),),
                "reqps",
                "movie-stream dead-letters list shows them.",
            ),
            Graph(
                "Age of the watermark",
                (("time() - max by (topic, partition) (movie_stream_watermark_seconds)", "partition {{partition}}"),),
                "s",
                "Age of the newest view by event time, for each partition of the views.",
            ),
            Graph(
                "Progress",
                (("sum by (topic) (rate(movie_stream_position[$__rate_interval]))", "{{topic}}"),),
                "reqps",
                "Offsets per second.",
            ),
        ),
    ),
    (
        "Writing",
        (
            Graph(
                "Documents",
                ((rate("movie_stream_documents_total"), "written"),),
                "wps",
                "Documents written per second.",
            ),
            Graph(
                "Documents waiting",
                (("sum by (partition) (movie_stream_documents_waiting)", "partition {{partition}}"),),
                "short",
                "Above 100,000 a partition is paused (back-pressure).",
            ),
            Graph(
                "Requests to MongoDB",
                ((quantile(0.95, "movie_stream_mongodb_request_duration_seconds", "operation"), "{{operation}} 95%"),),
                "s",
                "Duration until the acknowledgement.",
            ),
            Graph(
                "Errors of MongoDB",
                (
                    (rate("movie_stream_mongodb_errors_total", "kind"), "{{kind}}"),
                    (rate("movie_stream_mongodb_retries_total", "operation"), "{{operation}} retried"),
                ),
                "reqps",
                "Of workers and server; failed requests are retried.",
            ),
            Graph(
                "Flushes",
                ((quantile(0.95, "movie_stream_flush_duration_seconds", "agent"), "{{agent}} 95%"),),
                "s",
                "Duration, including checkpoints.",
            ),
            Graph(
                "Checkpoints",
                ((quantile(0.95, "movie_stream_checkpoint_duration_seconds", "agent"), "{{agent}} 95%"),),
                "s",
                "Duration of writing them to the changelogs.",
            ),
            Graph(
                "Skipped documents",
                (
                    ("sum(movie_stream_documents_parked_total)", "parked"),
                    ("sum(movie_stream_documents_incomparable_total)", "incomparable"),
                ),
                "none",
                "Documents that were not written; should be 0.",
            ),
        ),
    ),
    (
        "Workers",
        (
            Graph("Rows", (("sum by (topic) (movie_stream_table_rows)", "{{topic}}"),), "short", "Rows in memory."),
            Graph(
                "Changelogs",
                (("sum by (topic) (movie_stream_table_bytes)", "{{topic}}"),),
                "bytes",
                "Bytes that a restore would read.",
            ),
            Graph(
                "Restores",
                ((quantile(0.95, "movie_stream_restore_duration_seconds", "agent"), "{{agent}} 95%"),),
                "s",
                "Duration when partitions are assigned.",
            ),
            Graph(
                "Rebalances and evictions",
                (
                    ("sum by (instance) (increase(movie_stream_rebalances_total[5m]))", "rebalances of {{instance}}"),
                    ("sum(increase(movie_stream_evictions_total[5m]))", "evicted keys"),
                    ("sum(movie_stream_partition_paused)", "paused partitions"),
                ),
                "none",
                "Within five minutes.",
            ),
            Graph(
                "Memory",
                (('process_resident_memory_bytes{job=~"movie-stream-.*"}', "{{instance}}"),),
                "bytes",
                "Of each process.",
            ),
            Graph(
                "CPU",
                (('rate(process_cpu_seconds_total{job=~"movie-stream-.*"}[$__rate_interval])', "{{instance}}"),),
                "percentunit",
                "Of one core.",
            ),
            Graph(
                "Versions and runs",
                (
                    ("count by (version) (movie_stream_build_info)", "version {{version}}"),
                    ('count(count_values("run", movie_stream_run_timestamp_seconds))', "concurrent runs"),
                ),
                "none",
                "More than one concurrent run lasts seconds at most.",
            ),
        ),
    ),
    (
        "Alerts on the content",
        (
            Graph(
                "Progress of the evaluation",
                (
                    (
                        "max(movie_stream_watermark_seconds) - max(movie_stream_alerts_evaluated_until_seconds)",
                        "behind the watermark",
                    ),
                    ("max(movie_stream_alerts_still_seconds)", "without progress"),
                ),
                "s",
                "Event time behind the watermark, with the wait for the slowest partition; and time without progress.",
            ),
            Graph(
                "Messages waiting",
                (("sum by (receiver) (movie_stream_alerts_messages_waiting)", "{{receiver}}"),),
                "short",
                "Messages not delivered to their receivers yet.",
            ),
            Graph(
                "Age of the oldest message",
                (("max by (receiver) (movie_stream_alerts_oldest_message_seconds)", "{{receiver}}"),),
                "s",
                "Its delivery is retried for retry_for.",
            ),
            Graph(
                "What became of messages",
                (
                    (
                        "sum by (receiver, outcome) (increase(movie_stream_alerts_messages_total[5m]))",
                        "{{receiver}} {{outcome}}",
                    ),
                ),
                "none",
                "Within five minutes.",
            ),
            Graph(
                "Evaluation",
                (
                    ("sum(movie_stream_alerts_evaluating)", "evaluating workers"),
                    ("sum(increase(movie_stream_alerts_failures_total[5m]))", "failures"),
                    ("max(movie_stream_alerts_workers_without_rules)", "workers without these rules"),
                ),
                "none",
                "One worker evaluates, without failures, and all have the same rules.",
            ),
        ),
    ),
    (
        "Server",
        (
            Graph(
                "Requests",
                (
                    (rate("movie_stream_http_requests_total", "status"), "{{status}}"),
                    ('sum(rate(movie_stream_http_answers_total{outcome="failed"}[$__rate_interval]))', "failed"),
                ),
                "reqps",
                "Answers per second by status.",
            ),
            Graph(
                "Answers",
                (
                    (
                        "topk(10, " + quantile(0.95, "movie_stream_http_request_duration_seconds", "route") + ")",
                        "{{route}} 95%",
                    ),
                ),
                "s",
                "Duration by route, without streams.",
            ),
            Graph(
                "Queries",
                (
                    (
                        "topk(10, " + quantile(0.95, "movie_stream_mongodb_query_duration_seconds", "collection") + ")",
                        "{{collection}} 95%",
                    ),
                ),
                "s",
                "Duration of MongoDB's queries.",
            ),
            Graph(
                "In flight",
                (
                    ("sum(movie_stream_http_requests_in_flight)", "requests"),
                    ("sum(movie_stream_sse_readers)", "readers of changes"),
                ),
                "none",
                "Requests being answered, and readers of changes.",
            ),
            Graph(
                "Wrong tokens",
                ((rate("movie_stream_sign_ins_refused_total", "reason"), "{{reason}}"),),
                "reqps",
                "Refused sign-ins per second.",
            ),
        ),
    ),
)


def expressions() -> Iterator[str]:
    """All expressions of the dashboard."""
    yield from (tile.expr for tile in TILES)
    yield from (expr for _, graphs in ROWS for graph in graphs for expr, _ in graph.lines)
