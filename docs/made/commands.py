"""The command line."""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import typer

from docs.made.markdown import MADE, block, plain, table
from movie_stream.cli import app


def commands() -> str:
    """The commands, what they do, and their options."""
    rows = [row for words, command in named_commands(app) for row in [_command(words, command)]]
    return table(("command", "does", "options"), rows)


def named_commands(of: typer.Typer, *before: str) -> list[tuple[tuple[str, ...], Any]]:
    """All commands with the words that call them, those of groups at the end."""
    group: Any = typer.main.get_command(of)
    named = [((*before, name), command) for name, command in group.commands.items() if not hasattr(command, "commands")]
    for inner in of.registered_groups:
        assert inner.typer_instance is not None
        named += named_commands(inner.typer_instance, *before, str(inner.typer_instance.info.name))
    return named


def _command(words: Sequence[str], command: Any) -> tuple[str, str, str]:
    run = inspect.unwrap(command.callback)
    choices = [str(p.metavar) for p in command.params if p.param_type_name == "argument"]
    options = [f"`{p.opts[0]}`" for p in command.params if p.param_type_name == "option" and p.name != "help"]
    does = (run.__doc__ or "").splitlines()[0]
    return f"`{' '.join(['movie-stream', *words, *choices])}`", does, " ".join(options)


_KINDS: Mapping[type, str] = {int: "a whole number", float: "a number", str: "text", Path: "a path"}
EXIT_CODES = (
    ("0", "all went well; also after Ctrl-C or SIGTERM where a command runs until it is ended"),
    ("1", "something failed: the line on standard error says what, and what to do"),
    ("2", "a setting, an argument or a file of rules is wrong: nothing was done"),
    ("130, 143", "Ctrl-C or SIGTERM ended a command before its work was done"),
    ("141", "whoever read the output has gone, as in `movie-stream settings | head`"),
)
"""Exit codes of every command; tests/services/test_ends.py has them happen."""


def page() -> str:
    """The whole of commands.md."""
    return (
        "# Commands\n\n"
        "Each command with its arguments and options, as `--help` shows them. All of them read "
        "[the settings](settings.md).\n"
        + MADE
        + "An error that a user can cause is one line on standard error, [listed here](errors.md). Where a command has "
        "other exit codes than these, its text says so:\n\n"
        + table(("exit code", "means"), EXIT_CODES)
        + "".join("\n" + _section(words, command) for words, command in named_commands(app))
    )


def _section(words: Sequence[str], command: Any) -> str:
    run = inspect.unwrap(command.callback)
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option" and p.name != "help"]
    usage = ["movie-stream", *words, *["[OPTIONS]"] * bool(options), *[str(p.metavar) for p in arguments]]
    text = inspect.cleandoc(run.__doc__ or "")
    examples = [line.strip() for line in (command.epilog or "").split("\n\n")[1:]]
    parts = [
        f"## {' '.join(words)}\n",
        block("text", " ".join(usage)),
        _with_links(plain(text)) + "\n",
        _listed("argument", [(f"`{p.metavar}`", *_described(p)) for p in arguments]),
        _listed("option", [(_spelled(p), *_described(p)) for p in options]),
        f"Examples:\n\n{block('sh', chr(10).join(examples))}",
    ]
    return "\n".join(part for part in parts if part)


def _with_links(text: str) -> str:
    """Pages that the text names by their path, as links."""
    return re.sub(r"docs/reference/([\w-]+\.md)", lambda page: f"[{_title(page[1])}]({page[1]})", text)


def _title(page: str) -> str:
    with (Path(__file__).parents[1] / "reference" / page).open(encoding="utf-8") as file:
        return file.readline().removeprefix("# ").strip()


def _listed(what: str, rows: Sequence[Sequence[str]]) -> str:
    return table((what, "is", "expected", "default"), rows) if rows else ""


def _spelled(option: Any) -> str:
    return ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))


def _described(param: Any) -> tuple[str, str, str]:
    """What it is, what is expected, and what it is without."""
    return plain(param.help or ""), _expected(param), _default(param)


def _expected(param: Any) -> str:
    if getattr(param, "is_flag", False):
        return "a switch"
    kind = param.type_descriptor.annotation
    kind = get_args(kind)[0] if get_args(kind) else kind
    if issubclass(kind, Enum):
        return " or ".join(f"`{choice.value}`" for choice in kind)
    shown = f"`{param.metavar}`" if param.metavar and param.param_type_name == "option" else _KINDS[kind]
    bounds = [f"{word} {bound:,}" for word, bound in (("from", param.min), ("to", param.max)) if bound is not None]
    return " ".join([shown, *bounds]) + ", any number of times" * bool(param.multiple or param.nargs == -1)


def _default(param: Any) -> str:
    if isinstance(param.show_default, str):
        return param.show_default
    if param.required:
        return "has to be given"
    if getattr(param, "is_flag", False) or param.default is None or param.default == () or callable(param.default):
        return ""
    return f"`{getattr(param.default, 'value', param.default)}`"
