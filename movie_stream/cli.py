"""The command line: names, options and help; each command is implemented in the module of its name in `commands/`.

Those modules are imported when their command runs, so that `--help` and shell completion are fast.
"""

import os
import shlex
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from movie_stream import __version__, options
from movie_stream.console import exits
from movie_stream.console.arguments import CommandLine, parsed

if TYPE_CHECKING:
    from movie_stream.replay.order.plan import Plan
    from movie_stream.replay.source import ViewsSource

app = CommandLine(
    name="movie-stream",
    help="Real-time analytics of movie views: Kafka in, exact results in MongoDB out.",
    epilog="To see it work: movie-stream demo. With your own Kafka and MongoDB: init, worker, produce.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


_HOW = ("--resume", "--restart")


def _examples(*lines: str) -> str:
    return "Examples:\n\n" + "\n\n".join(lines)


def _end(exit_code: int | None) -> None:
    if exit_code:
        raise typer.Exit(exit_code)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"movie-stream {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    pass


@app.command(
    epilog=_examples(
        "movie-stream demo", "movie-stream demo --once --count 20000", "movie-stream demo --file views.csv"
    )
)
def demo(
    once: options.Once = False,
    file: options.DemoFile = None,
    count: options.Count = None,
    rate: options.DemoRate = None,
    opening: options.Open = False,
) -> None:
    """Start a broker, a MongoDB, a worker and the page; replay a sample and made-up views, show the results live.

    It prints the address of the page; with --once there is no page. Ctrl-C ends everything with exit code 0, or 130 if
    it interrupts --once. If KAFKA_BOOTSTRAP_SERVERS and MONGODB_URI are both set, they are used instead of the embedded
    pair.
    """
    from movie_stream.commands.demo.command import demo as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), once=once, file=file, count=count, rate=rate, opening=opening))


@app.command(epilog=_examples("movie-stream services"))
def services() -> None:
    """Run only the embedded broker and MongoDB, and print the two variables that point at them.

    Ctrl-C or SIGTERM ends both, with exit code 0.
    """
    from movie_stream.commands.services import services as run
    from movie_stream.settings import load_settings

    _end(run(load_settings()))


@app.command(
    epilog=_examples("movie-stream init", "MONGODB_WORKER_USERNAME=movies movie-stream init --create-user"),
)
def init(
    create_user: Annotated[
        bool,
        typer.Option(
            "--create-user",
            help="Also create the MongoDB user for the workers, who may only read and write the one database, or "
            "reset its password. MONGODB_WORKER_USERNAME and MONGODB_WORKER_PASSWORD (or ..._FILE) define it. "
            "MONGODB_READER_USERNAME and MONGODB_READER_PASSWORD define a read-only user for movie-stream serve, and "
            "MONGODB_BI_USERNAME and MONGODB_BI_PASSWORD one for BI tools. MONGODB_URI must be an administrator's.",
        ),
    ] = False,
    shard: Annotated[
        bool,
        typer.Option(
            "--shard",
            help="Also shard the results by the hash of their _id, on a sharded cluster. MONGODB_URI must be that of "
            "a mongos, with an administrator of the cluster.",
        ),
    ] = False,
) -> None:
    """Create topics, collections, validators, indexes and views; idempotent."""
    from movie_stream.commands.init import init as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), create_user=create_user, shard=shard))


@app.command(epilog=_examples("movie-stream worker", "movie-stream worker --until-end"))
def worker(
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End once everything now in the topic is in MongoDB.")
    ] = False,
) -> None:
    """Run one worker; start more of them, anywhere, and they share the work.

    If METRICS_PORT is set, it exports metrics to Prometheus: docs/reference/metrics.md.
    """
    from movie_stream.commands.worker import work
    from movie_stream.settings import load_settings

    _end(work(load_settings(), until_end=until_end))


@app.command(
    epilog=_examples(
        "movie-stream produce --file data/movies.csv",
        "movie-stream produce --file ml-latest-small.zip --dry-run",
        "movie-stream produce --file ml-20m/ratings.csv --shift-to now --speed 3600",
        "movie-stream produce --file netflix_titles.csv --views 50000 --rate 500",
        "gunzip -c views.csv.gz | movie-stream produce --file -",
        "movie-stream produce --file views.csv --resume",
    )
)
def produce(
    file: options.ReplayedFile,
    format_name: options.FormatName = None,
    encoding: options.Encoding = None,
    mapping: options.ColumnMap = None,
    genre: options.WhichGenre = None,
    movies: options.Movies = None,
    member: options.Member = None,
    views: options.Views = None,
    users: options.Users = None,
    days: options.Days = None,
    seed: options.Seed = None,
    start: options.Start = None,
    end: options.End = None,
    limit: options.ReplayLimit = None,
    no_sort: options.NoSort = False,
    strict: options.Strict = False,
    rate: options.ReplayRate = 0,
    speed: options.Speed = None,
    max_gap: options.MaxGap = None,
    shift_to: options.ShiftTo = None,
    anchor: options.AnchorOn = None,
    loop: options.Loop = False,
    late_anyway: options.LateAnyway = False,
    dry_run: options.DryRun = False,
    resume: options.Resume = False,
    restart: options.Restart = False,
) -> None:
    """Send the views of a file to the topic, in time order.

    The format is detected by the columns: our own CSV, JSON Lines or Parquet,
    MovieLens' ratings, or the films of TMDB and Netflix, with made-up views.

    Ctrl-C or SIGTERM stops it within about a second (exit code 130 or 143).
    --resume continues, also after kill -9 or a lost connection: it looks up in
    the topic what has arrived, so that no view is missing or sent twice.
    """
    from movie_stream.replay.order.plan import plan_of
    from movie_stream.replay.source import source_of

    source = source_of(
        *(file, format_name, movies, member),
        views=views,
        users=users,
        days=days,
        seed=seed,
        encoding=encoding,
        mapping=mapping,
        genre=genre,
    )
    plan = plan_of(
        rate=rate,
        speed=speed,
        max_gap=max_gap,
        strict=strict,
        sort=not no_sort,
        limit=limit,
        start=start,
        end=end,
        shift_to=shift_to,
        anchor=anchor.value if anchor else None,
        loop=loop,
        late_anyway=late_anyway,
    )
    _end(_replay(source, plan, dry_run=dry_run, resume=resume, restart=restart))


def _replay(source: "ViewsSource", plan: "Plan", *, dry_run: bool, resume: bool, restart: bool) -> int:
    from movie_stream.settings import load_settings

    if dry_run:
        from movie_stream.commands.dry_run import dry_run as rehearse

        return rehearse(load_settings(), source, plan)
    from movie_stream.commands.produce import produce as run

    again = shlex.join(["movie-stream", *(argument for argument in sys.argv[1:] if argument not in _HOW), "--resume"])
    return run(load_settings(), source, plan, resume=resume, restart=restart, again=again)


@app.command(
    epilog=_examples(
        "movie-stream generate --output views.csv --count 100000 --seed 7",
        "movie-stream generate --output views.jsonl.gz --days 30 --films 5000",
        "movie-stream generate --to-topic --rate 2000 --end now --late-fraction 0.01 --bad-fraction 0.01",
    )
)
def generate(
    output: options.Output = None,
    to_topic: options.ToTopic = False,
    rate: options.MadeUpRate = None,
    file_format: options.WrittenAs = None,
    count: options.MadeUpCount = 10_000,
    seed: options.MadeUpSeed = 0,
    users: options.MadeUpUsers = None,
    films: options.Films = 400,
    days: options.MadeUpDays = 2,
    end: options.MadeUpEnd = None,
    no_price: options.NoPrice = False,
    late_fraction: options.LateFraction = 0,
    bad_fraction: options.BadFraction = 0,
    late_anyway: options.LateAnyway = False,
) -> None:
    """Generate views: a daily rhythm, popular and rare films, regular and rare users; to a file or to the topic.

    Ctrl-C ends it with exit code 130: an unfinished file is removed, views sent to the topic stay there.
    """
    from movie_stream.commands.generate.command import generate as run
    from movie_stream.commands.generate.command import synthetic_views

    views = synthetic_views(
        count=count,
        seed=seed,
        users=users,
        films=films,
        days=days,
        end=end,
        prices=not no_price,
        late_fraction=late_fraction,
        bad_fraction=bad_fraction,
    )
    _end(
        run(
            views,
            output=output,
            to_topic=to_topic,
            file_format=file_format and file_format.value,
            rate=rate,
            late_anyway=late_anyway,
        )
    )


@app.command(
    epilog=_examples(
        "movie-stream show genres",
        "movie-stream show top-movies --limit 3 --json",
        "movie-stream show windows --genre drama --since 2h --watch",
        "movie-stream show days --since 2024-10-01 --limit 1000 --csv > days.csv",
        "movie-stream show workers",
    )
)
def show(
    what: options.What,
    since: options.Since = None,
    until: options.Until = None,
    genre: options.Genre = None,
    limit: options.ShownLimit = None,
    as_json: options.DocumentsAsJson = False,
    as_csv: options.AsCsv = False,
    watch: options.Watch = False,
) -> None:
    """Show a result from MongoDB, or the running workers, as a table, JSON or CSV.

    JSON and CSV are UTF-8, with times in UTC and figures unrounded. Text is
    unchanged: a spreadsheet takes a cell that begins with =, +, - or @ for a
    formula, unless it imports the cell as text.

    A remark says if --limit leaves something out; with JSON and CSV it is on
    standard error.
    Ctrl-C ends --watch with exit code 0.
    """
    from movie_stream.commands.show.command import Choice
    from movie_stream.commands.show.command import show as run
    from movie_stream.settings import load_settings

    choice = Choice(since, until, genre, limit)
    _end(run(load_settings(), what=what, choice=choice, json=as_json, csv=as_csv, watching=watch))


@app.command(
    epilog=_examples(
        "movie-stream export days --to days.xlsx --since 30d",
        "movie-stream export windows --to windows.parquet --genre drama",
        "movie-stream export windows hours --to out/ --format csv.gz --by day",
        "movie-stream export all --to delta:lake --since 3d",
        "movie-stream export hours --to - --format ndjson > hours.ndjson",
    )
)
def export(
    what: options.Exported,
    to: options.ExportTo,
    file_format: options.ExportFormat = None,
    since: options.Since = None,
    until: options.Until = None,
    genre: options.Genre = None,
    by: options.ExportBy = None,
    overwrite: options.Overwrite = False,
    bom: options.Bom = False,
) -> None:
    """Export results to files (CSV, JSON Lines, Parquet, Excel) or to Delta Lake tables.

    Entries of a list are rows of their own, as in the flat views. If a result
    has figures and a list, the list is exported by the name of its flat view
    (data_quality_flat). Times are in UTC. Memory does not grow with the number of rows.

    Files are written atomically, whatever ends the command. With --by, and for
    delta:, repeat the command: it writes what is missing or has changed.
    Ctrl-C or SIGTERM ends it with exit code 130 or 143, and a line about what
    was written.
    """
    from movie_stream.commands.export.command import Choice
    from movie_stream.commands.export.command import export as run
    from movie_stream.settings import load_settings

    choice = Choice(since, until, genre, by.value if by else None, overwrite, bom)
    _end(run(load_settings(), what, to=to, named=file_format, choice=choice))


@app.command(epilog=_examples("movie-stream serve", "movie-stream serve --host 0.0.0.0 --port 9000"))
def serve(
    host: options.ServeHost = None,
    port: options.ServePort = None,
    insecure: options.Insecure = False,
) -> None:
    """Serve the results over HTTP: a live page at /, a REST API under /api/v1, an OData feed at /odata/.

    It is read-only. Other hosts are let in only with the token of API_TOKEN.
    If METRICS_PORT is set, it exports metrics to Prometheus: docs/reference/metrics.md.
    Ctrl-C or SIGTERM ends it, with exit code 0.
    """
    from movie_stream.commands.serve import serve as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), host=host, port=port, insecure=insecure))


dead_letters = CommandLine(
    name="dead-letters", help="Show refused records (dead letters), and replay them.", no_args_is_help=True
)
app.add_typer(dead_letters)


@dead_letters.command(
    name="list",
    epilog=_examples(
        "movie-stream dead-letters list --by-reason",
        "movie-stream dead-letters list --reason rating --from 2024-10-31T14:00",
        "movie-stream dead-letters list --partition 0 --from 1200 --to 1300 --limit 0 --json > letters.jsonl",
    ),
)
def list_letters(
    reason: options.Reason = None,
    kind: options.OfKind = None,
    partition: options.Partition = None,
    since: options.From = None,
    until: options.To = None,
    limit: options.LettersLimit = 20,
    by_reason: options.ByReason = False,
    as_json: options.LettersAsJson = False,
    all_runs: options.AllRuns = False,
) -> None:
    """Show the refused records that no later copy has replaced, newest first.

    In JSON, key and value are text if they are UTF-8, else key_base64 and value_base64.
    """
    from movie_stream.commands.dead_letters.common import letter_filter
    from movie_stream.commands.dead_letters.list import list_letters as run
    from movie_stream.settings import load_settings

    wanted = letter_filter(kind=kind, reason=reason, partition=partition, since=since, until=until)
    _end(run(load_settings(), wanted, limit=limit, by_reason=by_reason, as_json=as_json, all_runs=all_runs))


@dead_letters.command(
    name="replay",
    epilog=_examples(
        "movie-stream dead-letters replay --dry-run",
        "movie-stream dead-letters replay --reason 'rating:' "
        "--through 'jq -c \".rating = (.rating | tonumber? // .)\"'",
        "movie-stream dead-letters replay --kind late --through 'jq -c \".timestamp *= 1000\"'",
    ),
)
def replay_letters(
    reason: options.Reason = None,
    kind: options.OfKind = None,
    partition: options.Partition = None,
    since: options.From = None,
    until: options.To = None,
    through: options.Through = None,
    dry_run: options.LettersDryRun = False,
    misplaced: options.Misplaced = False,
    all_runs: options.AllRuns = False,
) -> None:
    """Send copies of refused records that would count now to the topic; each record counts at most once.

    Records that would still be refused are not sent, but counted by reason. A copy goes to the partition of its
    original, whose worker knows whether the original or a copy of it counts already, so this is idempotent.
    """
    from movie_stream.commands.dead_letters.common import letter_filter
    from movie_stream.commands.dead_letters.replay import replay_letters as run
    from movie_stream.settings import load_settings

    wanted = letter_filter(kind=kind, reason=reason, partition=partition, since=since, until=until)
    _end(run(load_settings(), wanted, through=through, dry_run=dry_run, misplaced=misplaced, all_runs=all_runs))


alerts = CommandLine(name="alerts", help="Rules for alerts on the content, and their alerts.", no_args_is_help=True)
app.add_typer(alerts)


@alerts.command(name="check", epilog=_examples("movie-stream alerts check alerts.toml", "movie-stream alerts check"))
def check_alerts(file: options.RulesFile = None) -> None:
    """Check a file of rules: print their meaning, or each mistake with its line.

    For a file with mistakes the exit code is 2; workers do not start with it.
    """
    from movie_stream.commands.alerts.check import check as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), file))


@alerts.command(
    name="test",
    epilog=_examples(
        "movie-stream alerts test 'busy dramas' --since 7d",
        "movie-stream alerts test 'busy dramas' --file alerts.toml",
        "movie-stream alerts test 'busy dramas' --deliver",
    ),
)
def try_rule(
    rule: options.RuleName,
    file: options.RulesFileOption = None,
    since: options.TriedSince = None,
    until: options.TriedUntil = None,
    deliver: options.Deliver = False,
) -> None:
    """Show which alerts a rule would give for the data in MongoDB. Nothing is written or sent.

    Times are in UTC. With --deliver nothing is evaluated: one message, marked as a test, is sent to each receiver of
    the rule; the exit code is 1 if one fails.
    """
    from movie_stream.commands.alerts.try_rule import try_rule as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), rule, file=file, since=since, until=until, deliver=deliver))


@alerts.command(
    name="list",
    epilog=_examples(
        "movie-stream alerts list",
        "movie-stream alerts list --open --severity critical",
        "movie-stream alerts list --json",
    ),
)
def list_alerts(
    only_open: Annotated[bool, typer.Option("--open", help="Only open alerts.")] = False,
    withdrawn: Annotated[
        bool, typer.Option("--withdrawn", help="Also alerts that later views, or a change of the rules, have undone.")
    ] = False,
    rule: Annotated[str | None, typer.Option("--rule", help="Only alerts of this rule.", show_default=False)] = None,
    severity: options.Severity = None,
    since: options.Since = None,
    until: options.Until = None,
    limit: Annotated[int, typer.Option("--limit", "-n", help="How many at most.")] = 20,
    as_json: options.DocumentsAsJson = False,
    as_csv: options.AsCsv = False,
) -> None:
    """Show the alerts, open ones first. Times are in UTC."""
    from movie_stream.commands.alerts.list import Choice
    from movie_stream.commands.alerts.list import list_alerts as run
    from movie_stream.settings import load_settings

    choice = Choice(only_open, withdrawn, rule, since, until, limit, severity)
    _end(run(load_settings(), choice, json=as_json, csv=as_csv))


@app.command(epilog=_examples("movie-stream doctor", "movie-stream doctor --json", "movie-stream doctor --bi"))
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
    bi: Annotated[
        bool, typer.Option("--bi", help="Check the OData feed of movie-stream serve instead, as a BI tool would.")
    ] = False,
    url: Annotated[
        str | None,
        typer.Option(
            help="With --bi: the feed's address, by default that of API_HOST and API_PORT.", show_default=False
        ),
    ] = None,
) -> None:
    """Check the broker, topics, MongoDB, versions and permissions, or the OData feed, and print remedies."""
    from movie_stream.commands.doctor.command import doctor as run
    from movie_stream.commands.doctor.command import doctor_of_feed
    from movie_stream.errors import UsageError
    from movie_stream.settings import load_settings

    if url is not None and not bi:
        raise UsageError(argument="--url", expected="--bi beside it", got=url)
    if bi:
        _end(doctor_of_feed(load_settings(), url=url, as_json=as_json))
    else:
        _end(run(load_settings(), as_json=as_json))


@app.command(epilog=_examples("movie-stream rebuild --yes"))
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
) -> None:
    """Count the whole topic afresh, after a change of the topic or of a setting that affects figures."""
    from movie_stream.commands.rebuild import rebuild as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), yes=yes))


@app.command(
    epilog=_examples("movie-stream settings", "movie-stream settings --json", "movie-stream settings --example > .env")
)
def settings(
    as_json: options.AsJson = False,
    as_example: Annotated[bool, typer.Option("--example", help="Print a commented .env to start from.")] = False,
) -> None:
    """Show every setting, its value and the value's origin; passwords are masked."""
    from movie_stream.commands.settings import example, show_settings
    from movie_stream.settings import load_settings

    if as_example:
        typer.echo(example(), nl=False)
    else:
        _end(show_settings(load_settings(), as_json=as_json))


def main() -> None:
    """Runs the command line and ends the process; errors that a user can cause are one line, never a traceback."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it takes tens of megabytes per thread, and is never used
    exits.run(lambda: parsed(app, str(app.info.name)))
