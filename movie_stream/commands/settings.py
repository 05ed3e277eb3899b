"""`movie-stream settings`: prints every setting, its value and the value's origin; passwords are masked."""

import orjson
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table
from rich.text import Text

from movie_stream.console.output import write_json
from movie_stream.masking import MASK, masked
from movie_stream.settings import Settings, expectation_of, origin_of, variable_of, written


def show_settings(settings: Settings, *, as_json: bool = False) -> None:
    """Prints all settings: a table within 80 columns, or with `as_json` an object by variable."""
    if as_json:
        write_json(_as_json(settings))
        return
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    table.add_column("setting", overflow="fold")
    table.add_column("value", overflow="fold", max_width=36)
    for name, field in Settings.model_fields.items():
        origin = origin_of(name)
        value = Text(_shown(settings, name) or "not set", style="" if origin == "default" else "bold green")
        table.add_row(
            Text.assemble((variable_of(name), "cyan"), "\n", (field.description or "", "dim")),
            Text.assemble(value, "\n", (origin, "dim")),
        )
    Console(width=80, highlight=False).print(table)


def example() -> str:
    """A `.env` to start from: every setting with its help and default, commented out.

    >>> print(example().splitlines()[6])
    # KAFKA_SECURITY_PROTOCOL=PLAINTEXT
    """
    lines = ["# Copy to .env; a variable of the environment wins. NAME_FILE=/path reads the value from a file."]
    for name, field in Settings.model_fields.items():
        lines += [
            "",
            f"# {field.description} ({expectation_of(name)})",
            f"# {variable_of(name)}={written(field.default)}",
        ]
    return "\n".join(lines) + "\n"


def _as_json(settings: Settings) -> str:
    table = {
        variable_of(name): {
            "value": _shown(settings, name) or None,
            "source": origin_of(name),
            "default": written(field.default) or None,
            "help": field.description,
        }
        for name, field in Settings.model_fields.items()
    }
    return orjson.dumps(table, option=orjson.OPT_INDENT_2).decode()


def _shown(settings: Settings, name: str) -> str:
    value = getattr(settings, name)
    if isinstance(value, SecretStr) and name != "mongodb_uri":  # the other parts of a URI are no secret
        return MASK
    return masked(written(value))
