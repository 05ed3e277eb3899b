"""The options of the command line, by command: name, type and help of each; cli.py combines them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Anchor(StrEnum):
    """The view that is moved to a given time, and all others with it."""

    FIRST = "first"
    LAST = "last"


class Kind(StrEnum):
    """What can be wrong with a record."""

    BAD = "bad"
    LATE = "late"


class FileFormat(StrEnum):
    """What `generate` can write."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def _shown_names(incomplete: str) -> list[str]:
    """What the shell may complete the word to, with dashes where it has some."""
    from movie_stream.commands.show.command import names

    spelled = [name.replace("_", "-") for name in names()] if "-" in incomplete else names()
    return [name for name in spelled if name.startswith(incomplete)]


class FileSpan(StrEnum):
    """How much time a file of `export` holds."""

    DAY = "day"
    MONTH = "month"


def _exported_names(incomplete: str) -> list[str]:
    """The same for what can be exported."""
    from movie_stream.commands.export.command import names_to_export

    return [name for name in names_to_export() if name.startswith(incomplete)]


_FILE, _CATALOGUE, _WHICH, _WHEN = "The file", "For catalogues", "Which views", "When"
"""Groups of options."""

# ---- of several commands

Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding",
        metavar="NAME",
        help="In which encoding the text is, such as windows-1251 or euc-kr.",
        show_default="UTF-8, or Windows-1252 where there is no doubt",
        rich_help_panel=_FILE,
    ),
]
ColumnMap = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="FIELD=COLUMN,...",
        help="Which columns hold the fields of a view, where they have other names.",
        show_default=False,
        rich_help_panel=_FILE,
    ),
]
WhichGenre = Annotated[
    str | None,
    typer.Option(
        "--genre",
        metavar="first|rarest",
        help="Which one of a film's genres counts; the rarest is the one that the fewest films have.",
        show_default="first",
        rich_help_panel=_FILE,
    ),
]
MaxGap = Annotated[
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
Reason = Annotated[str | None, typer.Option("--reason", help="Only those whose reason contains this.")]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Only the bad, or only the late.")]
Partition = Annotated[int | None, typer.Option("--partition", "-p", min=0, help="Only this source partition.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME|OFFSET", help="Only from this time (UTC), or offset of --partition, on."),
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME|OFFSET", help="Only before this time (UTC) or offset.")]
AllRuns = Annotated[
    bool, typer.Option("--all-runs", help="Those of earlier runs, and of other groups, too.", show_default=False)
]

# ---- demo

Once = Annotated[bool, typer.Option("--once", help="End when every event is in MongoDB.")]
Open = Annotated[bool, typer.Option("--open", help="Show the page in the browser.")]
DemoFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="Replay this CSV instead of the sample.", show_default=False)
]
Count = Annotated[
    int | None,
    typer.Option("--count", "-n", min=1, help="How many events to replay.", show_default="100,000"),
]
DemoRate = Annotated[
    float | None,
    typer.Option(
        *("--rate", "-r"),
        min=0,
        metavar="EVENTS/S",
        help="Events per second; 0 is as fast as it goes.",
        show_default="5,000",
    ),
]

# ---- produce

ReplayedFile = Annotated[
    Path,
    typer.Option(
        "--file",
        "-f",
        help="The file to replay: CSV, lines of JSON or Parquet, also as .gz, .zst or .zip; - is standard input.",
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="native|movielens|tmdb|netflix",
        help="What kind of file it is.",
        show_default="found by its header",
        rich_help_panel=_FILE,
    ),
]
Movies = Annotated[
    Path | None,
    typer.Option(
        "--movies",
        help="MovieLens' movies.csv.",
        show_default="the one beside the ratings",
        rich_help_panel=_FILE,
    ),
]
Member = Annotated[
    str | None,
    typer.Option(
        "--member",
        metavar="NAME",
        help="Which file of an archive.",
        show_default="the one of a known format",
        rich_help_panel=_FILE,
    ),
]
Views = Annotated[
    int | None,
    typer.Option(
        "--views",
        min=1,
        help="How many views are made up of a catalogue's films.",
        show_default="100,000",
        rich_help_panel=_CATALOGUE,
    ),
]
Users = Annotated[
    int | None,
    typer.Option(
        "--users",
        min=1,
        help="By how many users.",
        show_default="a tenth of the views",
        rich_help_panel=_CATALOGUE,
    ),
]
Days = Annotated[
    int | None,
    typer.Option("--days", min=1, help="Over how many days, up to now.", show_default="2", rich_help_panel=_CATALOGUE),
]
Seed = Annotated[
    int | None,
    typer.Option(
        "--seed", "-s", help="The same seed makes the same views.", show_default="0", rich_help_panel=_CATALOGUE
    ),
]
Start = Annotated[
    str | None,
    typer.Option(
        "--start",
        metavar="TIME",
        help="Only views from this time (UTC) on, by the file's own times.",
        show_default=False,
        rich_help_panel=_WHICH,
    ),
]
End = Annotated[
    str | None,
    typer.Option(
        "--end",
        metavar="TIME",
        help="Only views before this time (UTC).",
        show_default=False,
        rich_help_panel=_WHICH,
    ),
]
ReplayLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-l",
        min=1,
        help="Only the first so many of these.",
        show_default=False,
        rich_help_panel=_WHICH,
    ),
]
NoSort = Annotated[
    bool,
    typer.Option("--no-sort", help="Keep the file's order instead of that of time.", rich_help_panel=_WHICH),
]
Strict = Annotated[bool, typer.Option("--strict", help="Send nothing if there is a bad row.", rich_help_panel=_WHICH)]
ReplayRate = Annotated[
    float,
    typer.Option(
        *("--rate", "-r"),
        min=0,
        metavar="EVENTS/S",
        help="Events per second; 0 is as fast as it goes.",
        rich_help_panel=_WHEN,
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        "--speed",
        metavar="FACTOR",
        help="As they happened, so many times as fast: with 60 an hour takes a minute.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
ShiftTo = Annotated[
    str | None,
    typer.Option(
        "--shift-to",
        metavar="now|TIME",
        help="Move all views in time, so that the last one is then.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
AnchorOn = Annotated[
    Anchor | None,
    typer.Option(
        "--anchor",
        help="Or so that the first one is.",
        show_default="last; first with --speed 1",
        rich_help_panel=_WHEN,
    ),
]
Loop = Annotated[
    bool,
    typer.Option(
        "--loop",
        help="Begin again at the end, each time later by the file's length, until that lies in the future.",
        rich_help_panel=_WHEN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", "-n", help="Only show the first views, and what is wrong with which rows."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where an earlier run of this file was interrupted, if one was.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Send all of it, also what an interrupted run has sent already.")
]

# ---- generate

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE|-", help="The file to write; - is standard output."),
]
ToTopic = Annotated[bool, typer.Option("--to-topic", help="Send them to the topic instead of a file.")]
MadeUpRate = Annotated[
    float | None,
    typer.Option(
        *("--rate", "-r"),
        min=0,
        metavar="EVENTS/S",
        help="With --to-topic: events per second; 0 is as fast as it goes.",
        show_default="0",
    ),
]
WrittenAs = Annotated[
    FileFormat | None,
    typer.Option("--format", help="jsonl: the records of the topic, one a line.", show_default="by FILE's ending"),
]
MadeUpCount = Annotated[int, typer.Option("--count", "-n", min=1, help="How many views.")]
MadeUpSeed = Annotated[int, typer.Option("--seed", "-s", help="The same options and seed make the same views.")]
MadeUpUsers = Annotated[
    int | None,
    typer.Option("--users", min=1, help="How many users there are at most.", show_default="a tenth of --count"),
]
Films = Annotated[int, typer.Option("--films", min=1, max=1_000_000, help="How many films there are.")]
MadeUpDays = Annotated[float, typer.Option("--days", help="The time that they are spread over.")]
MadeUpEnd = Annotated[
    str | None,
    typer.Option(
        "--end",
        metavar="TIME|now",
        help="When that time ends (UTC). With `now` the same seed makes other times each run.",
        show_default="2024-11-01",
    ),
]
NoPrice = Annotated[bool, typer.Option("--no-price", help="No view has a price.")]
LateFraction = Annotated[
    float,
    typer.Option(
        "--late-fraction",
        min=0,
        max=1,
        help="The share of views that stand days behind their time, so that a worker refuses them as late. "
        "`produce` puts a file in order, and so makes up for it, except with --no-sort.",
    ),
]
BadFraction = Annotated[
    float,
    typer.Option(
        "--bad-fraction",
        min=0,
        max=1,
        help="The share of views that are spoilt, in one of six ways, so that they are refused as bad.",
    ),
]

# ---- show

What = Annotated[
    str,
    typer.Argument(
        metavar="RESULT",
        help="A collection of the results (windows, genres, hours and days for short), or workers.",
        show_default=False,
        autocompletion=_shown_names,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME|AGO",
        help="Only windows that start at this time (UTC) or later, or since so long ago: 30min, 2h, 3d.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option("--until", metavar="TIME|AGO", help="Only windows that start before.", show_default=False),
]
Genre = Annotated[
    str | None, typer.Option("--genre", "-g", help="Only this genre, however it is written.", show_default=False)
]
ShownLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-l",
        help="How many documents, the newest or largest first; of lists by hour or day, how many of these.",
        show_default="24; of lists 1",
    ),
]
DocumentsAsJson = Annotated[bool, typer.Option("--json", help="Print JSON: an array of documents as stored.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, with a line for each entry of a list.")]
Watch = Annotated[
    bool,
    typer.Option("--watch", "-w", help="Ask again every second; with --json, print a line for each change."),
]

# ---- export

Exported = Annotated[
    list[str],
    typer.Argument(
        metavar="RESULT...",
        help="One or more collections of the results (windows, genres, hours, days and quality for short), or flat "
        "views (data_quality_flat), or all.",
        show_default=False,
        autocompletion=_exported_names,
    ),
]
ExportTo = Annotated[
    str,
    typer.Option(
        "--to",
        "-o",
        metavar="PLACE",
        help="Where to: FILE, whose ending names the format; FOLDER/ for a file each; delta:FOLDER, a Delta Lake "
        "table; or -, standard output.",
        show_default=False,
    ),
]
ExportFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="csv, ndjson, parquet or xlsx; the first two also packed: csv.gz, ndjson.zst.",
        show_default="by the ending; csv",
    ),
]
ExportBy = Annotated[
    FileSpan | None,
    typer.Option(
        "--by",
        help="A file for each day or month (UTC), of which only those are written that are new or have changed: run "
        "it again at any time.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files that are there already.")]
Bom = Annotated[
    bool,
    typer.Option("--bom", help="Begin CSV with a byte order mark, by which Excel knows UTF-8 on a double click."),
]

# ---- dead-letters list

LettersLimit = Annotated[int, typer.Option("--limit", "-l", min=0, help="How many, the newest first; 0 is all.")]
ByReason = Annotated[bool, typer.Option("--by-reason", help="Count all of them by reason.")]
LettersAsJson = Annotated[bool, typer.Option("--json", help="Print a line of JSON for each, for scripts.")]

# ---- dead-letters replay

Through = Annotated[
    str | None,
    typer.Option(
        "--through",
        metavar="COMMAND",
        help="Change each record by this shell command: it is given a line each, and answers a line each, in the "
        "same order; an empty one leaves a record out.",
    ),
]
LettersDryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Only say what would be sent.")]
Misplaced = Annotated[
    bool,
    typer.Option(
        "--misplaced",
        help="Also those whose user's views belong into another partition, where figures of users suffer.",
    ),
]

# ---- serve

ServeHost = Annotated[
    str | None, typer.Option("--host", metavar="ADDRESS", help="Where to listen.", show_default="API_HOST")
]
ServePort = Annotated[
    int | None,
    typer.Option("--port", metavar="PORT", help="On which port; 0 takes a free one.", show_default="API_PORT"),
]
Insecure = Annotated[bool, typer.Option("--insecure", help="Let other hosts in without a token.")]

RulesFile = Annotated[
    Path | None,
    typer.Argument(metavar="FILE", help="A file with rules (TOML); without it ALERTS_FILE.", show_default=False),
]
RulesFileOption = Annotated[
    Path | None,
    typer.Option("--file", "-f", help="A file with rules (TOML); without it ALERTS_FILE.", show_default=False),
]
RuleName = Annotated[str, typer.Argument(metavar="RULE", help="The name of a rule.", show_default=False)]
TriedSince = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME|AGO",
        help="From the rule's window on that this time (UTC) is in, or so long ago: 30min, 2h, 3d.",
        show_default=False,
    ),
]
TriedUntil = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME|AGO",
        help="Only windows that are over by then; one that is not is left out.",
        show_default=False,
    ),
]
Severity = Annotated[
    str | None,
    typer.Option("--severity", help="Only of this severity: info, warning or critical.", show_default=False),
]
Deliver = Annotated[bool, typer.Option("--deliver", help="Send one test message to the rule's receivers instead.")]
