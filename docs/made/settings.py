"""The settings."""

from __future__ import annotations

from docs.made.markdown import MADE, plain, table
from movie_stream.settings import Settings, expectation_of, variable_of, written


def settings() -> str:
    """The whole of settings.md."""
    rows = [
        (
            f"`{variable_of(name)}`",
            f"`{default}`" if default else "",
            field.description or "",
            plain(expectation_of(name)),
        )
        for name, field in Settings.model_fields.items()
        for default in [written(field.default)]
    ]
    return (
        "# Settings\n\n"
        "Read from the environment, else from `.env` in the working directory. `NAME_FILE` names a file that holds\n"
        "the value, for secrets. `movie-stream settings` shows what is in force and where it comes from.\n"
        + MADE
        + table(("variable", "default", "what it is", "expected"), rows)
    )
