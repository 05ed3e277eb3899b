"""What the dashboard shows: tiles with one number, and rows of graphs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class Tile:
    """One number, and from which values on it is yellow or red."""

    title: str
    expr: str
    unit: str
    says: str
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)


@dataclass(frozen=True)
class Graph:
    """Lines over time: what each of them asks, by the text of its legend."""

    title: str
    lines: tuple[tuple[str, str], ...]
    unit: str
    says: str


def quantile(of: float, metric: str, by: str = "") -> str:
    """The expression of a quantile of a histogram, by a label where one is given."""
    labels = ", ".join(filter(None, ("le", by)))
    return f"histogram_quantile({of}, sum by ({labels}) (rate({metric}_bucket[$__rate_interval])))"


def rate(metric: str, by: str = "") -> str:
    """The expression of a counter's speed."""
    return f"sum by ({by}) (rate({metric}[$__rate_interval]))"


_ABOVE_0_RED: Final = ((None, "green"), (1.0, "red"))
_BELOW_1_RED: Final = ((None, "red"), (1.0, "green"))

TILES: Final = (
    Tile("Workers", 'sum(up{job="movie-stream-worker"})', "none", "Workers that answer.", _BELOW_1_RED),
    Tile("Views", "sum(job:movie_stream_events:rate5m)", "reqps", "Records read a second."),
    Tile(
        "Waiting",
        "sum(movie_stream_lag)",
        "short",
        "Records that can be read and are not applied yet.",
        ((None, "green"), (10_000.0, "yellow"), (100_000.0, "red")),
    ),
    Tile(
        "Delay",
        "max(job:movie_stream_delay_seconds:p95_5m)",
        "s",
        "From Kafka until MongoDB has acknowledged it: so much, or less, for 95 % of the views.",
        ((None, "green"), (2.0, "yellow"), (5.0, "red")),
    ),
    Tile(
        "Refused",
        "max(job:movie_stream_refused:ratio_rate5m)",
        "percentunit",
        "Share of the records that are bad or late.",
        ((None, "green"), (0.001, "yellow"), (0.01, "red")),
    ),
    Tile("Parked", "sum(movie_stream_documents_parked_total)", "none", "Documents MongoDB refuses.", _ABOVE_0_RED),
    Tile("Run valid", "min(movie_stream_run_valid)", "bool_yes_no", "Whether workers may go on with it.", _BELOW_1_RED),
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
                "Read a second by each worker, and refused.",
            ),
            Graph(
                "Records that wait",
                (("sum by (topic) (movie_stream_lag)", "{{topic}}"),),
                "short",
                "Of the views: too few workers. Of the partials: MongoDB.",
            ),
            Graph(
                "Delay from Kafka until MongoDB has it",
                tuple((quantile(q, "movie_stream_delay_seconds"), f"{q:.0%}") for q in (0.5, 0.95, 0.99)),
                "s",
                "Of every view that counts.",
            ),
            Graph(
                "Delay from the view's own time",
                tuple((quantile(q, "movie_stream_event_delay_seconds"), f"{q:.0%}") for q in (0.5, 0.95)),
                "s",
                "With what passes before it comes to Kafka.",
            ),
            Graph(
                "Why records are refused",
                (("topk(10, " + rate("movie_stream_dead_letters_total", "reason") + ")", "{{reason}}"),),
                "reqps",
                "movie-stream dead-letters list shows them.",
            ),
            Graph(
                "How old the newest view is",
                (("time() - max by (topic, partition) (movie_stream_watermark_seconds)", "partition {{partition}}"),),
                "s",
                "By its own time, of each partition of the views.",
            ),
            Graph(
                "Progress",
                (("sum by (topic) (rate(movie_stream_position[$__rate_interval]))", "{{topic}}"),),
                "reqps",
                "Offsets a second.",
            ),
        ),
    ),
    (
        "Writing",
        (
            Graph("Documents", ((rate("movie_stream_documents_total"), "written"),), "wps", "Written a second."),
            Graph(
                "Documents that wait",
                (("sum by (partition) (movie_stream_documents_waiting)", "partition {{partition}}"),),
                "short",
                "Above 100,000 a partition is not read on.",
            ),
            Graph(
                "Requests to MongoDB",
                ((quantile(0.95, "movie_stream_mongodb_request_duration_seconds", "operation"), "{{operation}} 95%"),),
                "s",
                "How long it takes to acknowledge.",
            ),
            Graph(
                "Errors of MongoDB",
                (
                    (rate("movie_stream_mongodb_errors_total", "kind"), "{{kind}}"),
                    (rate("movie_stream_mongodb_retries_total", "operation"), "{{operation}} again"),
                ),
                "reqps",
                "Workers and server; what fails is sent again.",
            ),
            Graph(
                "Flushes",
                ((quantile(0.95, "movie_stream_flush_duration_seconds", "agent"), "{{agent}} 95%"),),
                "s",
                "With their checkpoints.",
            ),
            Graph(
                "Checkpoints",
                ((quantile(0.95, "movie_stream_checkpoint_duration_seconds", "agent"), "{{agent}} 95%"),),
                "s",
                "Written to the changelogs.",
            ),
            Graph(
                "Left out",
                (
                    ("sum(movie_stream_documents_parked_total)", "parked"),
                    ("sum(movie_stream_documents_incomparable_total)", "incomparable"),
                ),
                "none",
                "Documents that were not written; there should be none.",
            ),
        ),
    ),
    (
        "Workers",
        (
            Graph("Rows", (("sum by (topic) (movie_stream_table_rows)", "{{topic}}"),), "short", "In memory."),
            Graph(
                "Changelogs",
                (("sum by (topic) (movie_stream_table_bytes)", "{{topic}}"),),
                "bytes",
                "What a restore would read.",
            ),
            Graph(
                "Restores",
                ((quantile(0.95, "movie_stream_restore_duration_seconds", "agent"), "{{agent}} 95%"),),
                "s",
                "When partitions are assigned.",
            ),
            Graph(
                "Comings and goings",
                (
                    ("sum by (instance) (increase(movie_stream_rebalances_total[5m]))", "shares of {{instance}}"),
                    ("sum(increase(movie_stream_evictions_total[5m]))", "keys moved into MongoDB"),
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
                    ('count(count_values("run", movie_stream_run_timestamp_seconds))', "runs at the same time"),
                ),
                "none",
                "More than one run at the same time ends within seconds.",
            ),
        ),
    ),
    (
        "Alerts on the content",
        (
            Graph(
                "How far the rules are evaluated",
                (
                    (
                        "max(movie_stream_watermark_seconds) - max(movie_stream_alerts_evaluated_until_seconds)",
                        "behind the newest view",
                    ),
                    ("max(movie_stream_alerts_still_seconds)", "stands still"),
                ),
                "s",
                "By event time, with the waiting for the slowest partition; and for how long it has not got on.",
            ),
            Graph(
                "Messages that wait",
                (("sum by (receiver) (movie_stream_alerts_messages_waiting)", "{{receiver}}"),),
                "short",
                "They have not arrived at their receivers yet.",
            ),
            Graph(
                "How long the oldest message waits",
                (("max by (receiver) (movie_stream_alerts_oldest_message_seconds)", "{{receiver}}"),),
                "s",
                "It is tried again, for retry_for.",
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
                    ("sum(movie_stream_alerts_evaluating)", "workers that evaluate"),
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
                "By status.",
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
                "By route, but for streams.",
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
                "How long MongoDB takes.",
            ),
            Graph(
                "At the moment",
                (
                    ("sum(movie_stream_http_requests_in_flight)", "requests"),
                    ("sum(movie_stream_sse_readers)", "readers of changes"),
                ),
                "none",
                "What is being answered.",
            ),
            Graph(
                "Wrong tokens",
                ((rate("movie_stream_sign_ins_refused_total", "reason"), "{{reason}}"),),
                "reqps",
                "A second.",
            ),
        ),
    ),
)


def expressions() -> Iterator[str]:
    """All that the dashboard asks."""
    yield from (tile.expr for tile in TILES)
    yield from (expr for _, graphs in ROWS for graph in graphs for expr, _ in graph.lines)
