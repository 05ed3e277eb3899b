"""The command line: names, options and help; what a command does is in the module of its name in `commands/`.

Those modules are imported when their command runs, so that `--help` and shell completion answer at once.
"""

import os
import shlex
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from movie_stream import __version__
from movie_stream.console import ending
from movie_stream.console.arguments import CommandLine, parsed

app = CommandLine(
    name="movie-stream",
    help="Real-time analytics of movie views: Kafka in, exact results in MongoDB out.",
    epilog="To see it work: movie-stream demo. With your own Kafka and MongoDB: init, worker, produce.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Anchor(StrEnum):
    """The view that is moved to a given time, and all others with it."""

    FIRST = "first"
    LAST = "last"


_FILE, _CATALOGUE, _WHICH, _WHEN = "The file", "For catalogues", "Which views", "When"
"""Groups of options."""
_HOW = ("--resume", "--restart")

EncodingOption = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="In which encoding the text is, such as windows-1251 or euc-kr.",
        show_default="UTF-8, or Windows-1252 where there is no doubt",
        rich_help_panel=_FILE,
    ),
]
MapOption = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="FIELD=COLUMN,...",
        help="Which columns hold the fields of a view, where they have other names.",
        show_default=False,
        rich_help_panel=_FILE,
    ),
]
GenreOption = Annotated[
    str | None,
    typer.Option(
        "--genre",
        metavar="first|rarest",
        help="Which one of a film's genres counts; the rarest is the one that the fewest films have.",
        show_default="first",
        rich_help_panel=_FILE,
    ),
]
MaxGapOption = Annotated[
    str | None,
    typer.Option(
        "--max-gap",
        metavar="DURATION",
        help="With --speed: wait at most so long between two views; their timestamps stay.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
LateAnyway = Annotated[
    bool, typer.Option("--late-anyway", help="Send also views that the workers would refuse as late.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]


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
    once: Annotated[bool, typer.Option("--once", help="End when every event is in MongoDB.")] = False,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="Replay this CSV instead of the sample.", show_default=False)
    ] = None,
    count: Annotated[
        int | None,
        typer.Option("--count", "-n", min=1, help="How many events to replay.", show_default="100,000"),
    ] = None,
    rate: Annotated[
        float | None,
        typer.Option(
            *("--rate", "-r"),
            min=0,
            metavar="EVENTS/S",
            help="Events per second; 0 is as fast as it goes.",
            show_default="5,000",
        ),
    ] = None,
) -> None:
    """Start a broker, a MongoDB and a worker, replay a sample and made-up views, show the results live.

    Ctrl-C ends all of it, with exit code 0, or 130 where it cuts --once short. With KAFKA_BOOTSTRAP_SERVERS and
    MONGODB_URI both set these are used instead of the embedded pair.
    """
    from movie_stream.commands.demo.command import demo as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), once=once, file=file, count=count, rate=rate))


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
            help="Also make the MongoDB user for the workers, who may read and write the one database and nothing "
            "else, or set its password anew. MONGODB_WORKER_USERNAME and MONGODB_WORKER_PASSWORD (or ..._FILE) say "
            "which; MONGODB_URI is an administrator's.",
        ),
    ] = False,
) -> None:
    """Create topics, collections, validators, indexes and views; may be run any number of times."""
    from movie_stream.commands.init import init as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), create_user=create_user))


@app.command(epilog=_examples("movie-stream worker", "movie-stream worker --until-end"))
def worker(
    until_end: Annotated[
        bool, typer.Option("--until-end", help="End once all that is in the topic now is in MongoDB.")
    ] = False,
) -> None:
    """Run one worker; start more of them, anywhere, and they share the work."""
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
    file: Annotated[
        Path,
        typer.Option(
            "--file",
            "-f",
            help="The file to replay: CSV, lines of JSON or Parquet, also as .gz, .zst or .zip; - is standard input.",
        ),
    ],
    format_name: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="native|movielens|tmdb|netflix",
            help="What kind of file it is.",
            show_default="found by its header",
            rich_help_panel=_FILE,
        ),
    ] = None,
    encoding: EncodingOption = None,
    mapping: MapOption = None,
    genre: GenreOption = None,
    movies: Annotated[
        Path | None,
        typer.Option(
            "--movies",
            help="MovieLens' movies.csv.",
            show_default="the one beside the ratings",
            rich_help_panel=_FILE,
        ),
    ] = None,
    member: Annotated[
        str | None,
        typer.Option(
            "--member",
            metavar="NAME",
            help="Which file of an archive.",
            show_default="the one of a known format",
            rich_help_panel=_FILE,
        ),
    ] = None,
    views: Annotated[
        int | None,
        typer.Option(
            "--views",
            min=1,
            help="How many views are made up of a catalogue's films.",
            show_default="100,000",
            rich_help_panel=_CATALOGUE,
        ),
    ] = None,
    users: Annotated[
        int | None,
        typer.Option(
            "--users",
            min=1,
            help="By how many users.",
            show_default="a tenth of the views",
            rich_help_panel=_CATALOGUE,
        ),
    ] = None,
    days: Annotated[
        int | None,
        typer.Option(
            "--days", min=1, help="Over how many days, up to now.", show_default="2", rich_help_panel=_CATALOGUE
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--seed", "-s", help="The same seed makes the same views.", show_default="0", rich_help_panel=_CATALOGUE
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            "--start",
            metavar="TIME",
            help="Only views from this time (UTC) on, by the file's own times.",
            show_default=False,
            rich_help_panel=_WHICH,
        ),
    ] = None,
    end: Annotated[
        str | None,
        typer.Option(
            "--end",
            metavar="TIME",
            help="Only views before this time (UTC).",
            show_default=False,
            rich_help_panel=_WHICH,
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-l",
            min=1,
            help="Only the first so many of these.",
            show_default=False,
            rich_help_panel=_WHICH,
        ),
    ] = None,
    no_sort: Annotated[
        bool,
        typer.Option("--no-sort", help="Keep the file's order instead of that of time.", rich_help_panel=_WHICH),
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Send nothing if there is a bad row.", rich_help_panel=_WHICH)
    ] = False,
    rate: Annotated[
        float,
        typer.Option(
            *("--rate", "-r"),
            min=0,
            metavar="EVENTS/S",
            help="Events per second; 0 is as fast as it goes.",
            rich_help_panel=_WHEN,
        ),
    ] = 0,
    speed: Annotated[
        float | None,
        typer.Option(
            "--speed",
            metavar="FACTOR",
            help="As they happened, so many times as fast: with 60 an hour takes a minute.",
            show_default=False,
            rich_help_panel=_WHEN,
        ),
    ] = None,
    max_gap: MaxGapOption = None,
    shift_to: Annotated[
        str | None,
        typer.Option(
            "--shift-to",
            metavar="now|TIME",
            help="Move all views in time, so that the last one is then.",
            show_default=False,
            rich_help_panel=_WHEN,
        ),
    ] = None,
    anchor: Annotated[
        Anchor | None,
        typer.Option(
            "--anchor",
            help="Or so that the first one is.",
            show_default="last; first with --speed 1",
            rich_help_panel=_WHEN,
        ),
    ] = None,
    loop: Annotated[
        bool,
        typer.Option(
            "--loop",
            help="Begin again at the end, each time later by the file's length, until that lies in the future.",
            rich_help_panel=_WHEN,
        ),
    ] = False,
    late_anyway: LateAnyway = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", "-n", help="Only show the first views, and what is wrong with which rows."),
    ] = False,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on where an earlier run of this file was interrupted, if one was.")
    ] = False,
    restart: Annotated[
        bool, typer.Option("--restart", help="Send all of it, also what an interrupted run has sent already.")
    ] = False,
) -> None:
    """Send the views of a file to the topic, in time order.

    Our own CSV, lines of JSON or Parquet, MovieLens' ratings, and the films of
    TMDB and Netflix, of which views are made up, are known by their columns.

    Ctrl-C or SIGTERM stops it within about a second (exit code 130 or 143).
    --resume goes on, also after kill -9 or a lost connection: it looks up in
    the topic what has arrived, so that no view is missing or sent twice.
    """
    from movie_stream.replay.order.plan import plan_of
    from movie_stream.replay.source import source_of
    from movie_stream.settings import load_settings

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
    if dry_run:
        from movie_stream.commands.dry_run import dry_run as rehearse

        _end(rehearse(load_settings(), source, plan))
        return
    from movie_stream.commands.produce import produce as run

    again = shlex.join(["movie-stream", *(word for word in sys.argv[1:] if word not in _HOW), "--resume"])
    _end(run(load_settings(), source, plan, resume=resume, restart=restart, again=again))


class FileFormat(StrEnum):
    """What `generate` can write."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


@app.command(
    epilog=_examples(
        "movie-stream generate --output views.csv --count 100000 --seed 7",
        "movie-stream generate --output views.jsonl.gz --days 30 --films 5000",
        "movie-stream generate --to-topic --rate 2000 --end now --late-fraction 0.01 --bad-fraction 0.01",
    )
)
def generate(
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE|-", help="The file to write; - is standard output."),
    ] = None,
    to_topic: Annotated[bool, typer.Option("--to-topic", help="Send them to the topic instead of a file.")] = False,
    rate: Annotated[
        float | None,
        typer.Option(
            *("--rate", "-r"),
            min=0,
            metavar="EVENTS/S",
            help="With --to-topic: events per second; 0 is as fast as it goes.",
            show_default="0",
        ),
    ] = None,
    file_format: Annotated[
        FileFormat | None,
        typer.Option("--format", help="jsonl: the records of the topic, one a line.", show_default="by FILE's ending"),
    ] = None,
    count: Annotated[int, typer.Option("--count", "-n", min=1, help="How many views.")] = 10_000,
    seed: Annotated[int, typer.Option("--seed", "-s", help="The same options and seed make the same views.")] = 0,
    users: Annotated[
        int | None,
        typer.Option("--users", min=1, help="How many users there are at most.", show_default="a tenth of --count"),
    ] = None,
    films: Annotated[int, typer.Option("--films", min=1, max=1_000_000, help="How many films there are.")] = 400,
    days: Annotated[float, typer.Option("--days", help="The time that they are spread over.")] = 2,
    end: Annotated[
        str | None,
        typer.Option(
            "--end",
            metavar="TIME|now",
            help="When that time ends (UTC). With `now` the same seed makes other times each run.",
            show_default="2024-11-01",
        ),
    ] = None,
    no_price: Annotated[bool, typer.Option("--no-price", help="No view has a price.")] = False,
    late_fraction: Annotated[
        float,
        typer.Option(
            "--late-fraction",
            min=0,
            max=1,
            help="The share of views that stand days behind their time, so that a worker refuses them as late. "
            "`produce` puts a file in order, and so makes up for it, except with --no-sort.",
        ),
    ] = 0,
    bad_fraction: Annotated[
        float,
        typer.Option(
            "--bad-fraction",
            min=0,
            max=1,
            help="The share of views that are spoilt, in one of six ways, so that they are refused as bad.",
        ),
    ] = 0,
    late_anyway: LateAnyway = False,
) -> None:
    """Make views up: a daily rhythm, popular and rare films, regular and rare users; to a file or to the topic.

    Ctrl-C ends it with exit code 130: an unfinished file is removed, what was sent to the topic stays there.
    """
    from movie_stream.commands.generate.command import generate as run
    from movie_stream.commands.generate.command import made_up_views

    views = made_up_views(
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


def _shown_names(incomplete: str) -> list[str]:
    """What the shell may complete the word to, with dashes where it has some."""
    from movie_stream.commands.show.command import names

    spelled = [name.replace("_", "-") for name in names()] if "-" in incomplete else names()
    return [name for name in spelled if name.startswith(incomplete)]


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
    what: Annotated[
        str,
        typer.Argument(
            metavar="RESULT",
            help="A collection of the results (windows, genres, hours and days for short), or workers.",
            show_default=False,
            autocompletion=_shown_names,
        ),
    ],
    since: Annotated[
        str | None,
        typer.Option(
            "--since",
            metavar="TIME|AGO",
            help="Only windows that start at this time (UTC) or later, or since so long ago: 30min, 2h, 3d.",
            show_default=False,
        ),
    ] = None,
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="TIME|AGO", help="Only windows that start before.", show_default=False),
    ] = None,
    genre: Annotated[
        str | None, typer.Option("--genre", "-g", help="Only this genre, however it is written.", show_default=False)
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option(
            "--limit",
            "-l",
            help="How many documents, the newest or largest first; of lists by hour or day, how many of these.",
            show_default="24; of lists 1",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON: an array of documents as stored.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV, with a line for each entry of a list.")] = False,
    watch: Annotated[
        bool,
        typer.Option("--watch", "-w", help="Ask again every second; with --json, print a line for each change."),
    ] = False,
) -> None:
    """Show a result from MongoDB, or the running workers, as a table, JSON or CSV.

    JSON and CSV are UTF-8, with times in UTC and figures unrounded. Text
    stands there as it came: a spreadsheet takes a cell that begins with =, +,
    - or @ for a formula, unless it is told to import text.

    What --limit leaves out is said; with JSON and CSV on standard error.
    Ctrl-C ends --watch with exit code 0.
    """
    from movie_stream.commands.show.command import Choice
    from movie_stream.commands.show.command import show as run
    from movie_stream.settings import load_settings

    choice = Choice(since, until, genre, limit)
    _end(run(load_settings(), what=what, choice=choice, json=as_json, csv=as_csv, watching=watch))


class Kind(StrEnum):
    """What can be wrong with a record."""

    BAD = "bad"
    LATE = "late"


dead_letters = CommandLine(
    name="dead-letters", help="Show the records that were refused, and send them again.", no_args_is_help=True
)
app.add_typer(dead_letters)

ReasonOption = Annotated[str | None, typer.Option("--reason", help="Only those whose reason contains this.")]
KindOption = Annotated[Kind | None, typer.Option("--kind", help="Only the bad, or only the late.")]
PartitionOption = Annotated[int | None, typer.Option("--partition", "-p", min=0, help="Only this source partition.")]
FromOption = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME|OFFSET", help="Only from this time (UTC), or offset of --partition, on."),
]
ToOption = Annotated[
    str | None, typer.Option("--to", metavar="TIME|OFFSET", help="Only before this time (UTC) or offset.")
]
AllRunsOption = Annotated[
    bool, typer.Option("--all-runs", help="Those of earlier runs, and of other groups, too.", show_default=False)
]


@dead_letters.command(
    name="list",
    epilog=_examples(
        "movie-stream dead-letters list --by-reason",
        "movie-stream dead-letters list --reason rating --from 2024-10-31T14:00",
        "movie-stream dead-letters list --partition 0 --from 1200 --to 1300 --limit 0 --json > letters.jsonl",
    ),
)
def list_letters(
    reason: ReasonOption = None,
    kind: KindOption = None,
    partition: PartitionOption = None,
    since: FromOption = None,
    until: ToOption = None,
    limit: Annotated[int, typer.Option("--limit", "-l", min=0, help="How many, the newest first; 0 is all.")] = 20,
    by_reason: Annotated[bool, typer.Option("--by-reason", help="Count all of them by reason.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a line of JSON for each, for scripts.")] = False,
    all_runs: AllRunsOption = False,
) -> None:
    """Show the records that were refused and are not made up for, newest first.

    In JSON, key and value are text where they are UTF-8; where not, key_base64 and value_base64 stand instead.
    """
    from movie_stream.commands.dead_letters.common import selection_of
    from movie_stream.commands.dead_letters.list import list_letters as run
    from movie_stream.settings import load_settings

    selection = selection_of(kind=kind, reason=reason, partition=partition, since=since, until=until)
    _end(run(load_settings(), selection, limit=limit, by_reason=by_reason, as_json=as_json, all_runs=all_runs))


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
    reason: ReasonOption = None,
    kind: KindOption = None,
    partition: PartitionOption = None,
    since: FromOption = None,
    until: ToOption = None,
    through: Annotated[
        str | None,
        typer.Option(
            "--through",
            metavar="COMMAND",
            help="Change each record by this shell command: it is given a line each, and answers a line each, in the "
            "same order; an empty one leaves a record out.",
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be sent.")] = False,
    misplaced: Annotated[
        bool,
        typer.Option(
            "--misplaced",
            help="Also those whose user's views belong into another partition, where figures of users suffer.",
        ),
    ] = False,
    all_runs: AllRunsOption = False,
) -> None:
    """Send refused records that would count now to the topic again; each counts at most once.

    What would be refused again is not sent, but counted by reason. A copy goes into the partition of its original,
    where the worker knows whether that, or another copy of it, counts already: so this may be repeated at any time.
    """
    from movie_stream.commands.dead_letters.common import selection_of
    from movie_stream.commands.dead_letters.replay import replay_letters as run
    from movie_stream.settings import load_settings

    selection = selection_of(kind=kind, reason=reason, partition=partition, since=since, until=until)
    _end(run(load_settings(), selection, through=through, dry_run=dry_run, misplaced=misplaced, all_runs=all_runs))


@app.command(epilog=_examples("movie-stream doctor", "movie-stream doctor --json"))
def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, for scripts.")] = False,
) -> None:
    """Check the broker, topics, MongoDB, versions and permissions, and say what to do."""
    from movie_stream.commands.doctor.command import doctor as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), as_json=as_json))


@app.command(epilog=_examples("movie-stream rebuild --yes"))
def rebuild(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Count the whole topic afresh, after the topic or a setting that changes figures was changed."""
    from movie_stream.commands.rebuild import rebuild as run
    from movie_stream.settings import load_settings

    _end(run(load_settings(), yes=yes))


@app.command(
    epilog=_examples("movie-stream settings", "movie-stream settings --json", "movie-stream settings --example > .env")
)
def settings(
    as_json: AsJson = False,
    as_example: Annotated[bool, typer.Option("--example", help="Print a commented .env to start from.")] = False,
) -> None:
    """Show every setting, its value and where that comes from; passwords are masked."""
    from movie_stream.commands.settings import example, show_settings
    from movie_stream.settings import load_settings

    if as_example:
        typer.echo(example(), nl=False)
    else:
        _end(show_settings(load_settings(), as_json=as_json))


def main() -> None:
    """Run the command line and end the process: errors that a user can cause are one line, never a traceback."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # it takes tens of megabytes a thread, and is never used
    ending.run(lambda: parsed(app, str(app.info.name)))
