"""`movie-stream export`: results as files, or as Delta Lake tables."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

from movie_stream.aggregates import results
from movie_stream.commands.export.by_range import to_ranges
from movie_stream.commands.export.delta import to_delta
from movie_stream.commands.export.one_file import to_file, to_stdout
from movie_stream.commands.signals import raised_by_signals
from movie_stream.commands.window_range import checked, moment_of
from movie_stream.errors import UsageError
from movie_stream.export.documents import Documents
from movie_stream.export.new_file import ExportFailed, check_free
from movie_stream.export.ranges import By
from movie_stream.export.target import Target, ToDelta, ToFile, ToFolder, ToStdout, target_of
from movie_stream.export.writers import insist
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
    """Writes the results of these names, or `all`, to `to`, in the format that is `named`; returns exit code 0.

    Raises UsageError for what cannot be meant, before MongoDB is asked; then the errors of MongoDB and of writing.
    """
    queries = _queries(what, choice)
    several = len(queries) > 1
    target = target_of(to, named, several=(several and not to.startswith("delta:")) or choice.by is not None)
    _check(target, choice)
    if not isinstance(target, ToDelta):
        insist(target.form)
    with raised_by_signals(), _documents(settings) as documents:
        documents.insist()
        _make_room(target, queries, choice)
        for query in queries:
            _export(documents, query, target, choice, several=several)
    return 0


def names_to_export() -> list[str]:
    """The names of everything that can be exported."""
    return [*names(), EVERYTHING]


def _export(documents: Documents, query: Query, target: Target, choice: Choice, *, several: bool) -> None:
    name = query.result.collection
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


def _queries(what: Sequence[str], choice: Choice) -> list[Query]:
    """A query for each result, as of now. Of `all` results, those that have no genre are left out where one is asked
    for, and of those without time the whole is meant.
    """
    now = datetime.now(UTC)
    since, until = moment_of("--since", choice.since, now), moment_of("--until", choice.until, now)
    if EVERYTHING not in what:
        asked = [Query(result_named(name, "RESULT", EVERYTHING), 1, choice.genre, since, until) for name in what]
    elif len(what) > 1:
        raise UsageError(argument="RESULT", expected="nothing besides all", got=" ".join(what))
    else:
        chosen = [result for result in results.RESULTS if choice.genre is None or result.by_genre]
        asked = [_whole_or_since(Query(result, 1, choice.genre, since, until)) for result in chosen]
    unique = {query.result.collection: checked(query, choice.since, choice.until) for query in asked}
    for query in unique.values():
        if choice.by and query.shape.start is None and EVERYTHING not in what:
            expected = f"a result with windows, of which a {choice.by} has some"
            raise UsageError(argument="--by", expected=expected, got=query.result.collection)
    return list(unique.values())


def _whole_or_since(query: Query) -> Query:
    """The query without times, where the result has none."""
    return query if query.shape.start else replace(query, since=None, until=None)


def _check(target: Target, choice: Choice) -> None:
    """Raises UsageError for options that the target has no use for."""
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
    """Sees that nothing is in the way of several files before the first is written, and makes their folder."""
    if not isinstance(target, ToFolder):
        return
    try:
        if choice.by is None and target.path.is_dir():
            for query in queries:
                file = target.path / f"{query.result.collection}{target.form.ending}"
                check_free(file, file, overwrite=choice.overwrite)
        target.path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ExportFailed(path=target.path, cause=error) from error


@contextmanager
def _documents(settings: Settings) -> Iterator[Documents]:
    """The database, for the time of the block."""
    with asyncio.Runner() as runner:
        stack = AsyncExitStack()
        db = runner.run(stack.enter_async_context(opened(settings)))
        try:
            yield Documents(runner, db)
        finally:
            runner.run(stack.aclose())
