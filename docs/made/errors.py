"""What can go wrong, by the docstrings of the errors, and what the server refuses."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from functools import cache
from http import HTTPStatus
from typing import NamedTuple

import movie_stream
from docs.made.markdown import MADE, plain, table
from movie_stream.errors import MovieStreamError
from movie_stream.odata import refusals
from movie_stream.web.feed import TooManyReaders
from movie_stream.web.problems import OF_ODATA, STATUSES

REMEDY = "What to do: "
OF_REQUESTS: tuple[type[MovieStreamError], ...] = (refusals.Refused, TooManyReaders)
"""Errors that only a request to the server gets, as an answer."""


class Said(NamedTuple):
    """What the docstring of an error says."""

    cause: str
    remedy: str
    line: str
    """What the first example prints."""


@cache
def classes() -> tuple[type[MovieStreamError], ...]:
    """Every error of the package that is reported in one line, by its name."""
    for module in pkgutil.walk_packages(movie_stream.__path__, "movie_stream."):
        importlib.import_module(module.name)
    return tuple(sorted(set(_below(MovieStreamError)), key=lambda one: one.__name__))


def _below(of: type[MovieStreamError]) -> Iterator[type[MovieStreamError]]:
    for one in of.__subclasses__():
        if one.__module__.startswith("movie_stream."):
            yield one
            yield from _below(one)


def said_by(error: type[MovieStreamError]) -> Said:
    """The parts of the docstring. Raises ValueError where one is missing."""
    text = inspect.cleandoc(error.__doc__ or "")
    paragraphs = [" ".join(one.split()) for one in text.partition(">>>")[0].split("\n\n") if one.strip()]
    remedies = [one.removeprefix(REMEDY) for one in paragraphs if one.startswith(REMEDY)]
    examples = doctest.DocTestParser().get_examples(text)
    if not paragraphs or len(remedies) != 1 or not examples:
        raise ValueError(f"{error.__name__}: expected a docstring with its cause, one '{REMEDY}...' and an example")
    return Said(_cause(error, paragraphs[0]), remedies[0], _line(error, examples[0].source))


def _cause(error: type[MovieStreamError], paragraph: str) -> str:
    """The first sentence, without what it says of the arguments."""
    arguments = "|".join(inspect.signature(error).parameters)
    first = re.split(r"(?<=[^.])\. (?=[A-Z`])", paragraph)[0].rstrip(".")
    return re.split(rf"[;:,] `(?:{arguments})` ", first)[0] + "."


def _line(error: type[MovieStreamError], source: str) -> str:
    """What an example's error says as a whole, of which the docstring may show a part."""
    made = next(
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == error.__name__
    )
    return str(eval(ast.unparse(made), vars(sys.modules[error.__module__]).copy()))


def page() -> str:
    """The whole of errors.md."""
    of_commands = [one for one in classes() if one not in OF_REQUESTS]
    told = sorted((said_by(one).line, one) for one in of_commands)
    return (
        "# Errors\n\n"
        "What can go wrong, what it looks like, and what to do. "
        + MADE
        + "A command that fails prints `error:` and one "
        "line on standard error, and ends with an exit code. The line says what was expected, where, what came and "
        "what to do; passwords in it are masked. From Python the same is the text of an exception of the class that is "
        "named here. A traceback is a bug.\n\n"
        "## By what the line says\n\n"
        "The examples in the order of the alphabet; names and numbers in yours are others.\n\n"
        + table(("class", "error"), ((f"[{one.__name__}](#{one.__name__.lower()})", _code(line)) for line, one in told))
        + "".join(f"\n## {one.__name__}\n\n{_section(one)}" for one in of_commands)
        + "\n## Answers of the server\n\n"
        "`movie-stream serve` answers what it cannot do with problem details (RFC 9457), the OData feed in the form of "
        "OData: `error.code` is the status in words, `error.target` the option of the request that is wrong. What an "
        "answer looks like is on the pages of [the API](rest.md#errors) and of "
        "[the feed](odata.md#what-is-not-supported).\n\n"
        + table(
            ("status", "code in OData", "means", "what to do"),
            ((str(status), f"`{code_of(status)}`", *map(plain, words)) for status, words in sorted(STATUSES.items())),
        )
        + "\nThe feed also has:\n\n"
        + table(
            ("status", "code in OData", "means", "what to do"),
            (
                (str(status), f"`{code_of(status)}`", *map(_with_links, map(plain, words)))
                for status, words in sorted(OF_ODATA.items())
            ),
        )
    )


def code_of(status: int) -> str:
    """The status as OData's `error.code` has it."""
    return HTTPStatus(status).phrase.replace(" ", "")


def _code(line: str) -> str:
    """The line as code; a backtick in it would end that."""
    return f"`` {line} ``" if "`" in line else f"`{line}`"


def _section(error: type[MovieStreamError]) -> str:
    said = said_by(error)
    place = f"`{error.__module__}.{error.__name__}`, exit code {error.exit_code}."
    remedy = _with_links(f"{said.remedy[0].upper()}{said.remedy[1:]}")
    return f"{plain(said.cause)}\n\n{_code(f'error: {said.line}')}\n\n**What to do.** {remedy}\n\n{place}\n"


def _with_links(text: str) -> str:
    """Pages that the text names by their path, as links."""
    return re.sub(r"docs/(how-to|reference)/([\w-]+)\.md", _link, text)


def _link(named: re.Match[str]) -> str:
    folder, name = named.groups()
    path = f"{name}.md" if folder == "reference" else f"../{folder}/{name}.md"
    return f"[{_TITLES.get(name, name)}]({path})"


_TITLES = {"security": "Who may come in", "backup": "Backups", "upgrade": "Upgrades", "odata": "The OData feed"}
_TITLES |= {"events": "Events"}
