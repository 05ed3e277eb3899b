"""`movie-stream export`: results as files, or as Delta Lake tables."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from movie_stream.aggregates import results
from movie_stream.aggregates.results import Result
from movie_stream.aggregates.shape import Shape
from movie_stream.commands.export.by_range import to_ranges
from movie_stream.commands.export.delta import to_delta
from movie_stream.commands.export.one_file import to_file, to_stdout
from movie_stream.commands.export.progress import say
from movie_stream.commands.signals import raised_by_signals
from movie_stream.commands.window_range import checked, time_of
from movie_stream.errors import UsageError
from movie_stream.export.documents import Documents
from movie_stream.export.new_file import ExportFailed, check_free, sweep
from movie_stream.export.ranges import By
from movie_stream.export.target import Target, ToDelta, ToFile, ToFolder, ToStdout, target_of
from movie_stream.export.writers import require_library
from movie_stream.mongo.client import opened
from movie_stream.mongo.query import Query, names, result_named
from movie_stream.settings import Settings

EVERYTHING: Final = "all"


@dataclass(frozen=True, slots=True)
class Choice:
    """The options of the command line, beside `--to` and `--format`."""

    since: str | None = None
    until: str | None = None
    genre: str | None = None
    by: By | None = None
    overwrite: bool = False
    bom: bool = False


DEFAULT: Final = Choice()


def export(
    settings: Settings, what: Sequence[str], *, to: str, named: str | None = None, choice: Choice = DEFAULT
) -> int:
    """Writes the results of these names, or `all`, to `to`, in the format `named`; returns exit code 0.

    Raises UsageError for invalid options, before MongoDB is asked; then the errors of MongoDB and of writing.
    """
    queries = _queries(what, choice)
    several = len(queries) > 1
    target = target_of(to, named, several=(several and not to.startswith("delta:")) or choice.by is not None)
    _check(target, choice)
    if not isinstance(target, ToDelta):
        require_library(target.form)
    with raised_by_signals(), _documents(settings) as documents:
        documents.require_mongodb()
        _make_room(target, queries, choice)
        for at, query in enumerate(queries):
            try:
                _export(documents, query, target, choice, several=several)
            except (KeyboardInterrupt, SystemExit):
                say(f"Stopped: {_left(target, query, choice, [other.collection for other in queries[:at]])}.")
                raise
    return 0


def names_to_export() -> list[str]:
    """The names of everything that can be exported."""
    return [*names(), *_flat_views(), EVERYTHING]


def _export(documents: Documents, query: Query, target: Target, choice: Choice, *, several: bool) -> None:
    name = query.collection
    match target:
        case ToStdout(form):
            to_stdout(documents, query, form, bom=choice.bom)
        case ToFile(path, form):
            to_file(documents, query, path, form, overwrite=choice.overwrite, bom=choice.bom)
        case ToFolder(path, form) if choice.by is not None:
            folder = path / name
            to_ranges(documents, query, folder, form, choice.by, overwrite=choice.overwrite, bom=choice.bom)
        case ToFolder(path, form):
            file = path / f"{name}{form.ending}"
            to_file(documents, query, file, form, overwrite=choice.overwrite, bom=choice.bom)
        case ToDelta(path):
            to_delta(documents, query, path / name if several else path)


def _left(target: Target, query: Query, choice: Choice, done: Sequence[str]) -> str:
    """Describes what was written when a signal ended the export.

    >>> from pathlib import Path
    >>> from movie_stream.export.target import Form
    >>> _left(ToFile(Path("x.csv"), Form("csv")), Query(result_named("days"), 1), DEFAULT, [])
    'nothing of daily_stats was written to x.csv'
    >>> _left(ToFolder(Path("out"), Form("csv")), Query(result_named("days"), 1), DEFAULT, ["hourly_metrics"])
    'nothing of daily_stats was written to out; whole there: hourly_metrics'
    """
    name, whole = query.collection, f"; whole there: {', '.join(done)}" if done else ""
    match target:
        case ToStdout():
            return f"standard output has only a part of {name}"
        case ToFolder(path) if choice.by is not None:
            return f"each file in {path} is complete; repeat the command to resume with {name}"
        case ToDelta(path):
            return f"what is in {path} is valid; repeat the command to resume with {name}"
        case ToFile(path) | ToFolder(path):
            return f"nothing of {name} was written to {path}{whole}"


def _queries(what: Sequence[str], choice: Choice) -> list[Query]:
    """A query for each result, as of now. With `all`, results without a genre are left out if one is asked for, and
    results without time are exported as a whole.
    """
    now = datetime.now(UTC)
    since, until = time_of("--since", choice.since, now), time_of("--until", choice.until, now)
    if EVERYTHING not in what:
        asked = [replace(_query_of(name), genre=choice.genre, since=since, until=until) for name in what]
    elif len(what) > 1:
        raise UsageError(argument="RESULT", expected="nothing besides all", got=" ".join(what))
    else:
        chosen = [result for result in results.RESULTS if choice.genre is None or result.by_genre]
        each = [Query(result, 1, choice.genre, since, until, flat=flat) for result in chosen for flat in _kinds(result)]
        asked = [_whole_or_since(query) for query in each]
    unique = {query.collection: checked(query, choice.since, choice.until) for query in asked}
    for query in unique.values():
        if choice.by and query.shape.start is None and EVERYTHING not in what:
            expected = f"a result with windows, of which a {choice.by} has some"
            raise UsageError(argument="--by", expected=expected, got=query.collection)
    return list(unique.values())


def _query_of(name: str) -> Query:
    """A query for all of the result of this name, or for all entries of its list. Raises UsageError."""
    result = _flat_views().get(name.replace("-", "_"))
    if result is not None:
        return Query(result, 1, flat=_kinds(result)[-1])
    return Query(result_named(name, "RESULT", *_flat_views(), EVERYTHING), 1)


def _flat_views() -> dict[str, Result]:
    """The results with a list, by the names of their flat views."""
    return {f"{result.collection}_flat": result for result in results.RESULTS if Shape.of(result).entries}


def _kinds(result: Result) -> tuple[bool, ...]:
    """The forms in which a result can be exported: as documents, and flat, one row per entry of its list.

    If a document is nothing but a list, the rows are its entries anyway.
    """
    shape = Shape.of(result)
    return (False, True) if shape.entries and not shape.is_list else (False,)


def _whole_or_since(query: Query) -> Query:
    """The query, without times if the result has none."""
    return query if query.shape.start else replace(query, since=None, until=None)


def _check(target: Target, choice: Choice) -> None:
    """Raises UsageError for options that do not apply to the target."""
    if isinstance(target, ToDelta):
        if choice.by:
            expected = "a folder of files beside it; a Delta Lake table is by day anyway"
            raise UsageError(argument="--by", expected=expected, got=choice.by)
        if choice.overwrite:
            expected = "files beside it; a Delta Lake table is brought up to date"
            raise UsageError(argument="--overwrite", expected=expected)
    if choice.bom and (isinstance(target, ToDelta) or target.form.format != "csv"):
        raise UsageError(argument="--bom", expected="CSV beside it")
    if choice.overwrite and isinstance(target, ToStdout):
        raise UsageError(argument="--overwrite", expected="a file or a folder beside it")


def _make_room(target: Target, queries: Sequence[Query], choice: Choice) -> None:
    """Checks, before the first of several files is written, that none of them exists, and creates their folder."""
    if not isinstance(target, ToFolder):
        return
    try:
        if choice.by is None and target.path.is_dir():
            for query in queries:
                file = target.path / f"{query.collection}{target.form.ending}"
                check_free(file, file, overwrite=choice.overwrite)
                sweep(target.path, re.escape(file.name))
        target.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportFailed(path=target.path, cause=error) from error


@contextmanager
def _documents(settings: Settings) -> Iterator[Documents]:
    """The database, open within the block."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        db = runner.run(stack.enter_async_context(opened(settings)))
        try:
            yield Documents(runner, db)
        finally:
            runner.run(stack.aclose())
