"""docs/troubleshooting.md: each message that it quotes is one that the code can give, and each error is on it."""

from __future__ import annotations

import ast
import importlib
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest

import movie_stream
from movie_stream import NO_WINDOWS, errors
from movie_stream.alerts.evaluation import TooManyGenres
from movie_stream.alerts.figures import NoSuchFigures
from movie_stream.alerts.keys import Mistake, RulesRefused
from movie_stream.alerts.kinds import KINDS
from movie_stream.alerts.sending import AppriseMissing
from movie_stream.alerts.store import AlertsFormatVersionMismatch
from movie_stream.commands.demo.children import PageFailed
from movie_stream.commands.doctor.feed_client import FeedSilent, NotAFeed
from movie_stream.commands.export.by_range import RangesMissing
from movie_stream.commands.serve import WebMissing
from movie_stream.errors import MovieStreamError
from movie_stream.export.arrow import ExtraMissing
from movie_stream.export.bookkeeping import FolderTaken, NotesDamaged
from movie_stream.export.columns import UnsupportedValue
from movie_stream.export.delta_mirror import TableBusy
from movie_stream.export.delta_path import TableDamaged, TableDiffers
from movie_stream.export.excel_file import SheetFull
from movie_stream.export.new_file import ExportFailed
from movie_stream.kafka.batches.inflate import BatchDamaged, BatchTooLarge
from movie_stream.kafka.produce.topic_writer import WriteRefused
from movie_stream.mongo.failures import MongoAway, MongoFailed, unusable_uri
from movie_stream.mongo.read import QueryTooSlow
from movie_stream.mongo.runs import RunUnreadable
from movie_stream.mongo.schema import NameTaken
from movie_stream.mongo.sharding import NotSharded, ShardedByAnotherKey
from movie_stream.mongo.users import WORKER, AuthenticationDisabled, UserTaken
from movie_stream.mongo.workers import DatabaseShared, WorkerReport, WorkerStatus
from movie_stream.odata.refusals import bad
from movie_stream.replay.files.parquet_file import ParquetMissing
from movie_stream.replay.lateness import Late, LateViews
from movie_stream.runs.claims import TopicOfAnotherKind, TopicsShared
from movie_stream.runs.rewind import WorkersRunning
from movie_stream.runs.set_back import CheckpointsLost, DatabaseSetBack, TopicsSetBack
from movie_stream.tables.claim import Claim
from movie_stream.web.feed import TooManyReaders
from tests.services.test_docs import ROOT
from tests.support.whole_path import COMMAND

PAGE: Final = ROOT / "docs" / "troubleshooting.md"
MAKEFILE: Final = ROOT / "Makefile"
MONGODB: Final = "mongodb://localhost:27017"
FULL: Final = OSError(28, "No space left on device")
LOG_LINE: Final = re.compile(r"(?:WARNING|ERROR|INFO) +(.+)")
MESSAGE_OF_MAKE: Final = re.compile(r"movie-stream needs Python|cannot make a virtual environment")
SHORTEST: Final = 25
"""A quote of so many characters is told from any other word in backticks."""


def _said() -> Iterator[MovieStreamError]:
    """Errors as the page shows them, made by their classes."""
    yield errors.SettingMissing(
        variable="KAFKA_BOOTSTRAP_SERVERS",
        remedy="set it to your Kafka (host:port), or start one for trying out with: movie-stream services",
    )
    yield errors.SettingsError(variable="KAFKA_PARTITIONS", expected="a whole number from 1 to 10000", got="many")
    yield errors.SettingsError(variable="MONGODB_URI", expected="mongodb://host:port or mongodb+srv://host")
    yield errors.SettingsError(
        variable="API_PORT",
        expected="a port that is free",
        got="8080",
        remedy="another program listens there; take another port, or 0 for a free one",
    )
    yield errors.SettingsError(
        variable="METRICS_PORT",
        expected="a free port of 127.0.0.1 (0 takes any)",
        got="9201",
        remedy="another program has it, or it may not be used (Address already in use); each worker and serve of a "
        "host needs one of its own",
    )
    yield errors.CommandLineError(
        words="No such option: --fil (Possible options: --file)", command="movie-stream produce"
    )
    yield errors.UsageError(
        argument="--to", expected="a file that does not exist yet", got="x.xlsx", remedy="replace it with --overwrite"
    )
    yield from _of_kafka()
    yield from _of_mongodb()
    yield from _of_runs()
    yield from _of_files()
    yield errors.OutOfMemory(what="no 4,096 bytes for an array", remedy="raise ulimit -v")
    yield errors.OutOfDescriptors(limit=20)
    yield errors.KernelsMissing(count=1, kernel="records.find_records")
    yield errors.KernelsNotStored(where="/usr/lib/kernels or /home/u/.cache/kernels")
    yield errors.KernelRefused(kernel="records.find_records", code=-9)
    yield errors.OutputFailed(what="standard output", cause=FULL)
    yield errors.EmbeddedUnavailable(what="Kafka broker", variable="KAFKA_BOOTSTRAP_SERVERS")
    yield errors.EmbeddedFailed(
        what="mongod",
        cause="it ended with exit code 127",
        last_words="mongod: error while loading shared libraries: libcurl.so.4",
        remedy="install that library with the packages of this system (docs/how-to/install.md), or set MONGODB_URI to "
        "one of your own",
    )
    yield PageFailed(what="it ended with exit code 1", cause="API_PORT: expected a port that is free")
    yield WebMissing()
    yield TooManyReaders()
    yield bad("$top", "a whole number", "ten")
    feed = "http://127.0.0.1:8080/odata/"
    yield FeedSilent(url=feed, cause="[Errno 111] Connection refused")
    yield NotAFeed(f"{feed} answers 404: Not Found; see the log of movie-stream serve")
    yield RulesRefused(
        path="alerts.toml", mistakes=[Mistake(3, f"rule 1, kind: expected one of {', '.join(KINDS)}, got 'odd'")]
    )
    yield NoSuchFigures(rule="x", what="views by the second")
    yield TooManyGenres(rule="x", found=60_000)
    yield AppriseMissing(receiver='receiver "mail"')
    yield AlertsFormatVersionMismatch(database="movies_db", found=99)


def _of_kafka() -> Iterator[MovieStreamError]:
    yield errors.BrokerUnreachable(servers="localhost:9092", cause="no connection: Connection refused")
    yield errors.TopicMissing(topic="movie-events", servers="localhost:9092")
    yield errors.PartitionSilent(partitions="views, partition 1", leaderless=True)
    kafka = "kafka:9093"
    speaks = "it speaks TLS, and we do not"
    yield errors.BrokerClosed(address=kafka, cause=speaks, remedy="set KAFKA_SECURITY_PROTOCOL to SSL")
    renew = "have it renewed on the broker, and see whether the clock here is right"
    yield errors.BrokerClosed(address=kafka, cause="its certificate has expired", remedy=renew)
    needed = ["Read on the topic movie-events", "Write on the topic movie-partials"]
    yield errors.BrokerForbids(user="movies", what=needed)
    yield errors.BrokerRefused(doing="creating the topic movie-events", cause="InvalidTopicError")
    yield errors.RecordTooLarge(topic="movie-partials", size=70_000, limit=65_536)
    yield errors.ClockWrong(doing="writing to movie-partials", now="2026-11-29T15:00:00Z")
    cause = Exception("TopicAuthorizationFailedError")
    yield WriteRefused(topic="movie-events", servers="localhost:9092", cause=cause)
    location = "movie-events, partition 0, offset 7"
    yield BatchTooLarge(
        what=f"a record batch unpacks to more than MAX_BATCH_BYTES ({1 << 30:,})",
        remedy="if its producer is honest, raise MAX_BATCH_BYTES; else ",
        location=location,
    )
    yield BatchDamaged(what="a record batch is damaged (its checksum is wrong)", location=location)


def _of_mongodb() -> Iterator[MovieStreamError]:
    yield MongoAway(uri=MONGODB, cause="localhost:27017: [Errno 111] Connection refused")
    yield QueryTooSlow(collection="movies_aggregates")
    yield errors.MongoRefused(uri=MONGODB, cause="Authentication failed.")
    yield errors.MongoForbids(uri=MONGODB, cause="not authorized on movies_db to execute insert")
    yield MongoFailed(uri=MONGODB, cause="code 73, Invalid namespace")
    yield errors.MongoDiskFull(uri=MONGODB, cause="No space left on device")
    yield unusable_uri("Unknown option: tsl")
    yield AuthenticationDisabled(uri=MONGODB)
    yield UserTaken(account=WORKER, user="movies", database="movies_db", roles="root on admin")
    yield NameTaken(name="top_movies_flat", expected="view", got="collection")
    yield NotSharded(uri=MONGODB, got="standalone mongod")
    yield ShardedByAnotherKey(name="hourly_metrics", key={"timestamp": 1})


def _of_runs() -> Iterator[MovieStreamError]:
    yield errors.RunMismatch(
        where="what stands in MongoDB (movies_db)", what="ALLOWED_LATENESS_MS was 86400000, is 172800000"
    )
    yield errors.FormatVersionMismatch(where="the run in MongoDB (movies_db)", found=5, ours=4)
    theirs, ours = (Claim(1, group, "movies_db", MONGODB, group) for group in ("a", "b"))
    yield TopicsShared(topic="movie-partials", ours=ours, theirs=theirs)
    yield TopicOfAnotherKind(variable="KAFKA_TOPIC", topic="movie-events", holds="what workers tell each other")
    yield WorkersRunning(group="a")
    now = datetime(2026, 11, 29, tzinfo=UTC)
    other = WorkerReport("x", "host", 1, "0.1.0", now, now, now - now, WorkerStatus("a", "running"))
    yield DatabaseShared(database="movies_db", group="b", others=[other])
    yield DatabaseSetBack(database="movies_db", what="x")
    partials, log = "movie-partials", "a-publish-changelog"
    yield TopicsSetBack(topic=partials, partition=0, end=5, mark=9, database="movies_db")
    yield CheckpointsLost(changelog=log, partition=0, topic=partials, start=5, position=9)
    yield errors.LogTruncated(
        what="movie-events, partition 0, ends at offset 5, before 9, up to which it has been counted: the broker has "
        "lost records"
    )
    yield errors.ChangelogError(topic=log, partition=0, expected="checkpoints", got="x")
    yield RunUnreadable(name="a", why="x")
    yield errors.WorkerFailed(what="another worker has taken over movie-events, partition 0")
    yield errors.WorkerFailed(what="movie-events, partition 0, is assigned but does not move")
    yield errors.WorkerFailed(what="it could not end in order within 15 s")


def _of_files() -> Iterator[MovieStreamError]:
    yield errors.InputError(
        path="nothing.csv",
        expected="a CSV file",
        got="no such file",
        remedy="check the path, or make a file up with: movie-stream generate --output FILE --count 100000",
    )
    yield errors.FileRefused(
        path="bad.csv",
        why="none of the 2 rows can be used; line 2: movie_id: expected a string of 1 to 128 characters, "
        "got an empty cell",
        remedy="correct the file",
    )
    yield errors.EventRefused(reason="rating: expected a number from 0 to 5, or null, got 7")
    late = Late(1, 1, 1, 1_730_412_000_000, "movie-events", 86_400_000)
    yield LateViews(what="old.csv", late=late, remedy="move them with --shift-to now")
    yield ParquetMissing(path="views.parquet")
    yield ExtraMissing(what="Excel files", library="xlsxwriter", extra="xlsx")
    yield ExportFailed(path="a.csv", cause=FULL)
    yield SheetFull(collection="movies_aggregates")
    yield FolderTaken(path="out/x", what="genre", expected="Drama", got=None)
    yield NotesDamaged(path="out/x/notes", line=3)
    yield RangesMissing(path="out", collection="movies_aggregates", database="movies_db", there="2024-10-31")
    yield TableDiffers(path="lake/hours", why="it is no Delta Lake table, and not empty")
    yield TableDamaged(path="lake/hours", file="part-1.parquet", cause="No such file or directory")
    yield TableBusy(path="lake/hours")
    yield UnsupportedValue(id="hourly_x", field="total_views", kind="count", got="many")


def quoted_lines() -> list[str]:
    """The lines of the page's blocks of text."""
    found = re.findall(r"^ *```text\n(.*?)^ *```", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    return [line.strip() for block in found for line in block.splitlines()]


def errors_quoted() -> set[str]:
    return {line.removeprefix("error: ") for line in quoted_lines() if line.startswith("error: ")}


def fragments() -> set[str]:
    """What the first cells of tables, and sentences, quote of messages."""
    text = re.sub(r"^ *```.*?^ *```", "", PAGE.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
    cells = re.findall(r"^\| `([^`|]+)` \|", text, re.MULTILINE)
    return {cell for cell in cells if len(cell) >= SHORTEST} | set(
        re.findall(r"`(\$top: [^`]+|\d+ readers [^`]+)`", text)
    )


def kinds(base: type[MovieStreamError]) -> Iterator[type[MovieStreamError]]:
    for kind in base.__subclasses__():
        yield kind
        yield from kinds(kind)


def test_every_error_is_on_the_page() -> None:
    """By a line, or by the beginning of one in a table; a class that only others are made of is none."""
    for module in pkgutil.walk_packages(movie_stream.__path__, "movie_stream."):
        if module.name != "movie_stream.app":  # it needs a broker's address
            importlib.import_module(module.name)
    whole, parts = errors_quoted(), fragments()
    shown = {type(error) for error in _said() if str(error) in whole or any(part in str(error) for part in parts)}
    shown |= {base for kind in shown for base in kind.__mro__ if issubclass(base, MovieStreamError)}
    ours = {kind for kind in kinds(MovieStreamError) if kind.__module__.startswith("movie_stream.")}
    assert {kind.__name__ for kind in ours - shown} == set()


def findings_of_the_feed() -> Iterator[re.Pattern[str]]:
    """The findings of `doctor --bi`, without their remedies, as patterns."""
    for module in ("feed.py", "feed_client.py"):
        tree = ast.parse((ROOT / "movie_stream" / "commands" / "doctor" / module).read_text("utf-8"))
        for node in ast.walk(tree):
            match node:
                case ast.JoinedStr(values=values):
                    parts = [str(one.value) if isinstance(one, ast.Constant) else "" for one in values]
                case ast.Constant(value=str(text)):
                    parts = [text]
                case _:
                    continue
            finding = "\0".join(parts).partition("; ")[0]
            if len(finding) >= SHORTEST:
                yield re.compile(re.escape(finding).replace("\0", ".*"))


def test_every_message_on_the_page_is_one_that_the_code_gives() -> None:
    said = {str(error) for error in _said()}
    of_feed = list(findings_of_the_feed())
    of_make = {line for line in errors_quoted() if MESSAGE_OF_MAKE.search(line)}
    assert errors_quoted() - of_make - said == set()
    quoted = [part for part in fragments() if not any(part in message for message in said)]
    assert [part for part in quoted if not any(pattern.fullmatch(part) for pattern in of_feed)] == []
    assert len(of_make) == 2


def test_the_lines_of_make_are_those_of_the_makefile() -> None:
    recipe = re.sub(r"' \\\n\s*'", " ", MAKEFILE.read_text("utf-8"))
    recipe = recipe.replace("$(or $(PYTHON),python3)", "python3").replace("$(PYTHON)", "python3")
    for line in errors_quoted():
        if MESSAGE_OF_MAKE.search(line):
            assert f"error: {line}" in recipe


def test_the_message_for_windows_is_on_the_page() -> None:
    assert f"`error: {NO_WINDOWS}`" in PAGE.read_text("utf-8")


def formats() -> Iterator[re.Pattern[str]]:
    """All that is logged, as patterns."""
    for path in Path(movie_stream.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(value=ast.Name(id="logger"), attr="info" | "warning" | "error"),
                    args=[ast.Constant(value=str(text)), *_],
                ):
                    parts = re.split(r"%(?:s|\.0f|d)", text)
                    yield re.compile(".+".join(map(re.escape, parts)))


def test_every_line_of_a_log_on_the_page_is_one_that_the_code_gives() -> None:
    lines = [found[1] for line in quoted_lines() if (found := LOG_LINE.fullmatch(line))]
    assert len(lines) > 4
    known = list(formats())
    assert [line for line in lines if not any(one.fullmatch(line) for one in known)] == []


def test_nothing_else_is_quoted() -> None:
    assert [line for line in quoted_lines() if not (line.startswith("error: ") or LOG_LINE.fullmatch(line))] == []


NOWHERE: Final = {"KAFKA_BOOTSTRAP_SERVERS": "localhost:9", "MONGODB_URI": "mongodb://localhost:9"}


@pytest.mark.parametrize(
    ("words", "variables", "code", "beginning"),
    [
        ("worker", {}, 2, "KAFKA_BOOTSTRAP_SERVERS is not set: "),
        ("settings", {"KAFKA_PARTITIONS": "many"}, 2, "KAFKA_PARTITIONS: expected "),
        ("produce --fil x", {}, 2, "no such option: --fil "),
        ("worker", NOWHERE, 1, "no Kafka broker answers at "),
        ("show genres", NOWHERE, 1, "no MongoDB answers at "),
        ("show genres", {"MONGODB_URI": "localhost:9"}, 2, "MONGODB_URI: expected "),
    ],
)
def test_what_a_command_says_is_what_the_page_quotes(
    words: str, variables: Mapping[str, str], code: int, beginning: str, tmp_path: Path
) -> None:
    bare = {"PATH": os.environ["PATH"], "COLUMNS": "80", **variables}
    done = subprocess.run(
        [COMMAND, *words.split()], cwd=tmp_path, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    said = done.stderr.strip().splitlines()[-1]
    [line] = [line for line in errors_quoted() if line.startswith(beginning) and _same(line, said)]
    assert line


def _same(line: str, said: str) -> bool:
    """Whether the page's line is what was said, but for the ports."""
    return said == "error: " + re.sub(r"localhost:(?:9092|27017)", "localhost:9", line)


def test_a_command_says_that_its_output_cannot_be_written(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("there is a device that is always full on Linux alone")
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [COMMAND, "settings"], cwd=tmp_path, stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 1
    assert done.stderr.strip().removeprefix("error: ") in errors_quoted()
