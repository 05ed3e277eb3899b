"""Reports errors in the arguments of a command in one line: typer's own, and numbers out of bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import typer
from typer.core import TyperCommand

from movie_stream.console.exits import require_memory
from movie_stream.errors import Misused, UsageError

LARGEST: Final = 10**15
"""The largest useful number of views, days or anything else; arithmetic with larger ones may fail."""
_LARGEST_OF: Final = {"days": 36_500, "seed": math.inf}
"""Other bounds by option: days are limited by the range of dates, and a seed is not a count."""
_OWN_BOUND: Final = frozenset({("show", "limit")})
"""Options whose command checks a lower bound itself."""
_LIGHT: Final = frozenset({"settings"})
"""Commands that import no large library."""
_NOT_UNDERSTOOD: Final[type[Any]] = typer.BadParameter.__mro__[2]
"""The base of typer's errors about arguments, which has no public name."""


class CommandLine(typer.Typer):
    """An application of typer whose commands check the bounds of numbers."""

    def command(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        return super().command(*args, **{"cls": _Command, **kwargs})


class _Command(TyperCommand):
    """Refuses whole numbers out of bounds; other numbers are checked by their commands."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            rest = super().parse_args(ctx, args)
        except _NOT_UNDERSTOOD as error:
            error.ctx = getattr(error, "ctx", None) or ctx
            raise
        for param in self.params:
            value = ctx.params.get(param.name)
            most = _LARGEST_OF.get(str(param.name), LARGEST)
            has_own = (self.name, param.name) in _OWN_BOUND
            if isinstance(value, int) and abs(value) > most and not has_own:
                raise UsageError(argument=param.opts[0], expected=f"{most:,} at most", got=str(value))
        return rest

    def invoke(self, ctx: Any) -> Any:
        if self.name not in _LIGHT:
            require_memory()
        return super().invoke(ctx)


def parsed(app: typer.Typer, name: str) -> object:
    """Runs the command of this process's arguments; returns its exit code or nothing.

    Raises Misused if there is no such command, UsageError, and the errors of the command.
    """
    try:
        return app(prog_name=name, standalone_mode=False)
    except typer.Abort as error:
        raise UsageError(argument="standard input", expected="an answer to the question", got="its end") from error
    except _NOT_UNDERSTOOD as error:
        message = _message(error)
        if not message:  # there were no arguments, and the help was printed
            return Misused.exit_code
        context = getattr(error, "ctx", None)
        raise Misused(words=message, command=context.command_path if context else name) from error


def _message(error: Any) -> str:
    """The message, with the given value added if it is missing."""
    message = str(error.format_message()).replace("Value error, ", "").rstrip(".")
    of_pydantic = getattr(error.__cause__, "errors", None)
    if message and of_pydantic and (given := repr(of_pydantic()[0]["input"])) not in message:
        message += f", got {given}"
    return message
