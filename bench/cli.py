"""`python -m bench`: the command line of the benchmark."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Final, NoReturn

import typer
from rich.console import Console

from bench import compare, report, worker
from bench import default as default_part
from bench import latency as latency_part
from bench import produce as produce_part
from bench import profile as profile_part
from bench import rebalance as rebalance_part
from bench import scale as scale_part
from bench import sparse as sparse_part
from bench import web as web_part
from bench.peers.catalogue import PEERS
from bench.results import RESULTS, Found, load
from bench.running import Run
from bench.services import APACHE_KAFKA, Services

EVENTS: Final = 3_000_000

app = typer.Typer(
    help="Measure movie-stream, and others beside it, on this machine.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
)

Events = Annotated[int, typer.Option(min=1_000, help="Events in each topic.")]
Rounds = Annotated[int, typer.Option(min=1, help="Rounds in which everything is measured, in turn; medians count.")]
Seconds = Annotated[float, typer.Option(min=1, help="Seconds during which probes are sent.")]
Embedded = Annotated[bool, typer.Option("--embedded", help="Use the embedded broker, even if Apache Kafka can run.")]
Results = Annotated[Path, typer.Option(help="Results are appended to this file.")]
Page = Annotated[Path | None, typer.Option(help="Also regenerate the tables of this page.")]
Only = Annotated[list[str] | None, typer.Option("--only", help=f"One of: {', '.join(p.key for p in PEERS)}; or more.")]


@contextmanager
def running(events: int, rounds: int, embedded: bool, results: Path, page: Path | None) -> Iterator[Run]:
    """A run whose results are reported when it ends, whatever the cause."""
    console = Console(highlight=False)
    with Services(embedded=embedded) as services:
        run = Run(services, events, rounds, results, console)
        why = "" if services.broker == APACHE_KAFKA else f": {services.why}"
        run.say(f"broker: {services.broker}{why}")
        try:
            with run.progress:
                yield run
        finally:
            report.show("Goals, in this run", Found(run.kept), console)
            for part, took_s in run.took_s.items():
                run.say(f"{part} took {took_s:,.0f} s")
            if page is not None and run.kept:
                report.fill(page, load(results), console)


@app.command("worker")
def worker_command(
    events: Events = EVENTS,
    rounds: Rounds = 3,
    only: Annotated[str, typer.Option(help="Only the variants whose name contains this.")] = "",
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Count a backlog: one worker, two, few and many users and films, lz4 and zstd; and measure the time to the first
    event.

    python -m bench worker --events 200000 --rounds 1 --only "1 worker"
    """
    if not any(only in subject for subject in worker.SUBJECTS):
        names = ", ".join(f'"{subject}"' for subject in worker.SUBJECTS)
        raise typer.BadParameter(f"expected part of one of {names}, got {only!r}", param_hint="--only")
    with running(events, rounds, embedded, results, page) as run:
        worker.measure(run, only)


@app.command()
def peers(
    events: Events = EVENTS,
    rounds: Rounds = 3,
    only: Only = None,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Compare with other stream processors on the same topic, in turn.

    python -m bench peers --only flink --only getmany --events 200000 --rounds 1
    """
    check_names(only)
    with running(events, rounds, embedded, results, page) as run:
        compare.measure(run, only or ())


@app.command()
def latency(
    seconds: Seconds = 65.0,
    events: Annotated[int | None, typer.Option(min=1_000, help="The number of events, instead of --seconds.")] = None,
    rounds: Rounds = 1,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Measure the time from sending a view until MongoDB returns it, at 20,000 events/s.

    python -m bench latency --seconds 10
    """
    if events is not None:
        seconds = max(events / latency_part.RATE, 1.0)
    with running(round(seconds * latency_part.RATE), rounds, embedded, results, page) as run:
        latency_part.measure(run, seconds)


@app.command()
def produce(
    events: Events = EVENTS,
    rounds: Rounds = 3,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Make a CSV with `movie-stream generate`, and send it with `movie-stream produce`.

    python -m bench produce --events 200000 --rounds 1
    """
    with running(events, rounds, embedded, results, page) as run:
        produce_part.measure(run)


@app.command()
def sparse(
    events: Events = sparse_part.MOST,
    rounds: Rounds = 1,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Count ratings as far apart as those of MovieLens, about a document each; and write the same documents by bare
    PyMongo.

    python -m bench sparse --events 100000
    """
    with running(events, rounds, embedded, results, page) as run:
        sparse_part.measure(run)


@app.command()
def default(
    events: Events = EVENTS,
    rounds: Rounds = 3,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Count the views that `movie-stream generate` makes without options, and the dense views of the other parts.

    python -m bench default --events 200000 --rounds 1
    """
    with running(events, rounds, embedded, results, page) as run:
        default_part.measure(run)


@app.command()
def rebalance(
    events: Events = EVENTS,
    rounds: Rounds = 1,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Measure how long partitions stand still while a second worker joins, leaves and is killed, at 20,000 events/s.

    python -m bench rebalance --events 200000
    """
    with running(events, rounds, embedded, results, page) as run:
        rebalance_part.measure(run)


@app.command()
def scale(
    events: Events = EVENTS,
    rounds: Rounds = 3,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Count twelve partitions with one worker and with four, and measure the cost of an event in each process.

    python -m bench scale --events 200000 --rounds 1
    """
    with running(events, rounds, embedded, results, page) as run:
        scale_part.measure(run)


@app.command()
def profile(
    events: Events = EVENTS,
    rounds: Rounds = 1,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Show where the CPU time of a worker goes, in microseconds per event.

    python -m bench profile --events 200000
    """
    with running(events, rounds, embedded, results, page) as run:
        profile_part.measure(run)


@app.command()
def web(
    events: Annotated[int, typer.Option(min=1_000, help="Minute windows in the database.")] = web_part.WINDOWS,
    seconds: Annotated[float, typer.Option(min=1, help="Seconds during which requests are sent.")] = web_part.SECONDS,
    rounds: Rounds = 1,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Send the page's requests to movie-stream serve, 50 per second, and the same queries to MongoDB; then serve 200
    readers of changes.

    python -m bench web --events 50000 --seconds 10
    """
    with running(events, rounds, embedded, results, page) as run:
        web_part.measure(run, seconds)


@app.command("all")
def everything(
    events: Events = EVENTS,
    rounds: Rounds = 3,
    seconds: Seconds = 65.0,
    embedded: Embedded = False,
    results: Results = RESULTS,
    page: Page = None,
) -> None:
    """Run all parts, one after the other, with the same services; those that take a given time, in one round.

    python -m bench all --events 100000 --rounds 1 --seconds 10
    """
    with running(events, rounds, embedded, results, page) as run:
        for part in (compare, worker, default_part, produce_part, scale_part):
            with run.part(part.PART):
                part.measure(run)
        for part in (sparse_part, rebalance_part, profile_part):
            with run.part(part.PART), run.once():
                part.measure(run)
        for lasting in (latency_part, web_part):
            with run.part(lasting.PART), run.once():
                lasting.measure(run, seconds)


def check_names(only: list[str] | None) -> None:
    """Ends with a usage error if a peer does not exist."""
    if unknown := set(only or ()) - {peer.key for peer in PEERS}:
        raise typer.BadParameter(f"no such peer: {', '.join(sorted(unknown))}", param_hint="--only")


def main() -> NoReturn:
    """Runs the command line. Ctrl-C and SIGTERM end everything that was started."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    app(prog_name="python -m bench")
    sys.exit(0)
