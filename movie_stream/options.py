"""The options of the command line, by command: name, type and help of each; cli.py combines them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Anchor(StrEnum):
    """The view that is shifted to a given time, and all others with it."""

    FIRST = "first"
    LAST = "last"


class Kind(StrEnum):
    """Why a record was refused."""

    BAD = "bad"
    LATE = "late"


class FileFormat(StrEnum):
    """The file formats that `generate` writes."""

    CSV = "csv"
    JSONL = "jsonl"
    PARQUET = "parquet"


def _shown_names(incomplete: str) -> list[str]:
    """The completions of an incomplete name, with dashes if it has any."""
    from movie_stream.commands.show.command import names

    spelled = [name.replace("_", "-") for name in names()] if "-" in incomplete else names()
    return [name for name in spelled if name.startswith(incomplete)]


class FileSpan(StrEnum):
    """The range of time of one file of `export`."""

    DAY = "day"
    MONTH = "month"


def _exported_names(incomplete: str) -> list[str]:
    """The completions of an incomplete name of an export."""
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
        help="The encoding of the text, such as windows-1251 or euc-kr.",
        show_default="UTF-8, or Windows-1252 if that is certain",
        rich_help_panel=_FILE,
    ),
]
ColumnMap = Annotated[
    str | None,
    typer.Option(
        "--map",
        metavar="FIELD=COLUMN,...",
        help="The columns with the fields of a view, if they have other names.",
        show_default=False,
        rich_help_panel=_FILE,
    ),
]
WhichGenre = Annotated[
    str | None,
    typer.Option(
        "--genre",
        metavar="first|rarest",
        help="Which of a film's genres counts; the rarest is the one that the fewest films have.",
        show_default="first",
        rich_help_panel=_FILE,
    ),
]
MaxGap = Annotated[
    str | None,
    typer.Option(
        "--max-gap",
        metavar="DURATION",
        help="With --speed: the longest pause between two views; timestamps are unchanged.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
LateAnyway = Annotated[
    bool, typer.Option("--late-anyway", help="Also send views that the workers would refuse as late.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for scripts.")]
Reason = Annotated[str | None, typer.Option("--reason", help="Only records whose reason contains this.")]
OfKind = Annotated[Kind | None, typer.Option("--kind", help="Only bad records, or only late ones.")]
Partition = Annotated[int | None, typer.Option("--partition", "-p", min=0, help="Only this source partition.")]
From = Annotated[
    str | None,
    typer.Option("--from", metavar="TIME|OFFSET", help="Only from this time (UTC) on, or this offset of --partition."),
]
To = Annotated[str | None, typer.Option("--to", metavar="TIME|OFFSET", help="Only before this time (UTC) or offset.")]
AllRuns = Annotated[
    bool, typer.Option("--all-runs", help="Also records of earlier runs and of other groups.", show_default=False)
]

# ---- demo

Once = Annotated[bool, typer.Option("--once", help="End when every event is in MongoDB.")]
Open = Annotated[bool, typer.Option("--open", help="Open the page in the browser.")]
DemoFile = Annotated[
    Path | None, typer.Option("--file", "-f", help="Replay this CSV instead of the sample.", show_default=False)
]
Count = Annotated[
    int | None,
    typer.Option("--count", "-n", min=1, help="The number of events to replay.", show_default="100,000"),
]
DemoRate = Annotated[
    float | None,
    typer.Option(
        *("--rate", "-r"),
        min=0,
        metavar="EVENTS/S",
        help="Events per second; 0 is as fast as possible.",
        show_default="5,000",
    ),
]

# ---- produce

ReplayedFile = Annotated[
    Path,
    typer.Option(
        "--file",
        "-f",
        help="The file to replay: CSV, JSON Lines or Parquet, also as .gz, .zst or .zip; - is standard input.",
    ),
]
FormatName = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="native|movielens|tmdb|netflix",
        help="The format of the file.",
        show_default="detected by the header",
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
        help="The member of an archive.",
        show_default="the one in a known format",
        rich_help_panel=_FILE,
    ),
]
Views = Annotated[
    int | None,
    typer.Option(
        "--views",
        min=1,
        help="The number of views made up for a catalogue's films.",
        show_default="100,000",
        rich_help_panel=_CATALOGUE,
    ),
]
Users = Annotated[
    int | None,
    typer.Option(
        "--users",
        min=1,
        help="The number of users.",
        show_default="a tenth of the views",
        rich_help_panel=_CATALOGUE,
    ),
]
Days = Annotated[
    int | None,
    typer.Option("--days", min=1, help="The number of days, up to now.", show_default="2", rich_help_panel=_CATALOGUE),
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
        help="Only views from this time (UTC) on, by the times in the file.",
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
        help="Only the first views, up to this number.",
        show_default=False,
        rich_help_panel=_WHICH,
    ),
]
NoSort = Annotated[
    bool,
    typer.Option("--no-sort", help="Keep the file's order instead of sorting by time.", rich_help_panel=_WHICH),
]
Strict = Annotated[bool, typer.Option("--strict", help="Send nothing if there is a bad row.", rich_help_panel=_WHICH)]
ReplayRate = Annotated[
    float,
    typer.Option(
        *("--rate", "-r"),
        min=0,
        metavar="EVENTS/S",
        help="Events per second; 0 is as fast as possible.",
        rich_help_panel=_WHEN,
    ),
]
Speed = Annotated[
    float | None,
    typer.Option(
        "--speed",
        metavar="FACTOR",
        help="Replay in event time, faster by this factor: with 60 an hour takes a minute.",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
ShiftTo = Annotated[
    str | None,
    typer.Option(
        "--shift-to",
        metavar="now|TIME",
        help="Shift all views in time, so that the last one is at this time (UTC).",
        show_default=False,
        rich_help_panel=_WHEN,
    ),
]
AnchorOn = Annotated[
    Anchor | None,
    typer.Option(
        "--anchor",
        help="The view that is at the time of --shift-to.",
        show_default="last; first with --speed 1",
        rich_help_panel=_WHEN,
    ),
]
Loop = Annotated[
    bool,
    typer.Option(
        "--loop",
        help="Start over at the end, each round later by the file's duration, until a round lies in the future.",
        rich_help_panel=_WHEN,
    ),
]
DryRun = Annotated[
    bool,
    typer.Option("--dry-run", "-n", help="Only show the first views, and which rows are bad and why."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Resume an interrupted earlier run of this file, if there is one.")
]
Restart = Annotated[
    bool, typer.Option("--restart", help="Send the whole file, including what an interrupted run sent already.")
]

# ---- generate

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE|-", help="The file to write; - is standard output."),
]
ToTopic = Annotated[bool, typer.Option("--to-topic", help="Send the views to the topic instead of a file.")]
MadeUpRate = Annotated[
    float | None,
    typer.Option(
        *("--rate", "-r"),
        min=0,
        metavar="EVENTS/S",
        help="With --to-topic: events per second; 0 is as fast as possible.",
        show_default="0",
    ),
]
WrittenAs = Annotated[
    FileFormat | None,
    typer.Option("--format", help="jsonl: the records of the topic, one per line.", show_default="by FILE's ending"),
]
MadeUpCount = Annotated[int, typer.Option("--count", "-n", min=1, help="The number of views.")]
MadeUpSeed = Annotated[int, typer.Option("--seed", "-s", help="The same options and seed make the same views.")]
MadeUpUsers = Annotated[
    int | None,
    typer.Option("--users", min=1, help="The most users.", show_default="a tenth of --count"),
]
Films = Annotated[int, typer.Option("--films", min=1, max=1_000_000, help="The number of films.")]
MadeUpDays = Annotated[float, typer.Option("--days", help="The days over which the views are spread.")]
MadeUpEnd = Annotated[
    str | None,
    typer.Option(
        "--end",
        metavar="TIME|now",
        help="The end of these days (UTC). With `now` the same seed makes other times in each run.",
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
        help="The share of views that come days after their time, so that a worker refuses them as late. `produce` "
        "sorts a file, so that none is late, except with --no-sort.",
    ),
]
BadFraction = Annotated[
    float,
    typer.Option(
        "--bad-fraction",
        min=0,
        max=1,
        help="The share of views that are damaged, in one of six ways, so that they are refused as bad.",
    ),
]

# ---- show

What = Annotated[
    str,
    typer.Argument(
        metavar="RESULT",
        help="A collection of the results (windows, genres, hours, days and quality for short), or workers.",
        show_default=False,
        autocompletion=_shown_names,
    ),
]
Since = Annotated[
    str | None,
    typer.Option(
        "--since",
        metavar="TIME|AGO",
        help="Only windows that start at this time (UTC) or later; or an age: 30min, 2h, 3d.",
        show_default=False,
    ),
]
Until = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME|AGO",
        help="Only windows that start before this time (UTC), or age.",
        show_default=False,
    ),
]
Genre = Annotated[
    str | None, typer.Option("--genre", "-g", help="Only this genre, in any spelling.", show_default=False)
]
ShownLimit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        "-l",
        help="The most documents, the newest or largest first; for lists by hour or day, the most lists.",
        show_default="24; 1 for lists",
    ),
]
DocumentsAsJson = Annotated[bool, typer.Option("--json", help="Print JSON: an array of documents as stored.")]
AsCsv = Annotated[bool, typer.Option("--csv", help="Print CSV, with a line for each entry of a list.")]
Watch = Annotated[
    bool,
    typer.Option("--watch", "-w", help="Repeat the query every second; with --json, print a line for each change."),
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
        help="The target: FILE, whose ending is the format; FOLDER/ for a file per result; delta:FOLDER, a Delta "
        "Lake table; or -, standard output.",
        show_default=False,
    ),
]
ExportFormat = Annotated[
    str | None,
    typer.Option(
        "--format",
        metavar="FORMAT",
        help="csv, ndjson, parquet or xlsx; the first two also compressed: csv.gz, ndjson.zst.",
        show_default="by the ending; csv",
    ),
]
ExportBy = Annotated[
    FileSpan | None,
    typer.Option(
        "--by",
        help="A file for each day or month (UTC). Only new and changed ones are written: repeat the command at any "
        "time.",
        show_default=False,
    ),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
Bom = Annotated[
    bool,
    typer.Option("--bom", help="Begin CSV with a byte order mark, by which Excel recognises UTF-8 on a double click."),
]

# ---- dead-letters list

LettersLimit = Annotated[
    int, typer.Option("--limit", "-l", min=0, help="The most records, the newest first; 0 is all.")
]
ByReason = Annotated[bool, typer.Option("--by-reason", help="Count all records by reason.")]
LettersAsJson = Annotated[bool, typer.Option("--json", help="Print a line of JSON per record, for scripts.")]

# ---- dead-letters replay

Through = Annotated[
    str | None,
    typer.Option(
        "--through",
        metavar="COMMAND",
        help="Change the records with this shell command: it reads one line per record and writes one per record, in "
        "the same order; an empty line skips a record.",
    ),
]
LettersDryRun = Annotated[bool, typer.Option("--dry-run", "-n", help="Only show what would be sent.")]
Misplaced = Annotated[
    bool,
    typer.Option(
        "--misplaced",
        help="Also records whose user belongs to another partition, which makes figures of users less exact.",
    ),
]

# ---- serve

ServeHost = Annotated[
    str | None, typer.Option("--host", metavar="ADDRESS", help="The address to listen on.", show_default="API_HOST")
]
ServePort = Annotated[
    int | None,
    typer.Option("--port", metavar="PORT", help="The port to listen on; 0 takes a free one.", show_default="API_PORT"),
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
        help="From the rule's window on that contains this time (UTC); or an age: 30min, 2h, 3d.",
        show_default=False,
    ),
]
TriedUntil = Annotated[
    str | None,
    typer.Option(
        "--until",
        metavar="TIME|AGO",
        help="Only windows that end by this time (UTC), or age.",
        show_default=False,
    ),
]
Severity = Annotated[
    str | None,
    typer.Option("--severity", help="Only alerts of this severity: info, warning or critical.", show_default=False),
]
Deliver = Annotated[bool, typer.Option("--deliver", help="Send one test message to the rule's receivers instead.")]
