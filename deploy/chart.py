"""Generates the derived parts of the Helm chart: `python -m deploy.chart`, which `make docs` runs.

- `values.schema.json`, from `helm/values.schema.yaml`, the comments of values.yaml, and the settings' declarations
- the table of values in the chart's README.md, from values.yaml
- `files/rules/`, copies of monitoring/rules/, since a chart contains only files of its own folder
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import yaml

from movie_stream import settings
from movie_stream.settings import Settings, expectation_of, secret_names, variable_of

HELM: Final = Path(__file__).parent / "helm"
CHART: Final = HELM / "movie-stream"
RULES: Final = Path(__file__).parent.parent / "monitoring" / "rules"
_BEGIN, _END = "<!-- values -->\n", "<!-- end of values -->"
_KEY = re.compile(r"( *)([A-Za-z_]+):( .*)?")
_DURATION = r"^[0-9]{1,15}(ms|s|min|h|d)$"


@dataclass(frozen=True, slots=True)
class Value:
    """A documented value of the chart: its path, its meaning by the comment above it, and its default."""

    path: tuple[str, ...]
    meaning: str
    default: Any


class Undocumented(ValueError):
    """A value of values.yaml has no comment."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__(f"values.yaml: expected a comment '# -- ...' above {'.'.join(path)}")


def values(text: str) -> list[Value]:
    r"""The values of a values.yaml: each key below a comment `# -- ...`, which may cover all keys within it.

    >>> values("a:\n  # -- How many\n  b: 1\n")
    [Value(path=('a', 'b'), meaning='How many', default=1)]

    Raises Undocumented.
    """
    meanings = _meanings(text)
    return list(_values((), yaml.safe_load(text), meanings))


def _values(path: tuple[str, ...], value: Any, meanings: Mapping[tuple[str, ...], str]) -> Iterator[Value]:
    if path in meanings:
        yield Value(path, meanings[path], value)
    elif isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _values((*path, key), inner, meanings)
    else:
        raise Undocumented(path)


def _meanings(text: str) -> dict[tuple[str, ...], str]:
    """The comments `# -- ...` by the path of the key below them."""
    meanings: dict[tuple[str, ...], str] = {}
    above: list[tuple[int, str]] = []
    meaning = ""
    for line in text.splitlines():
        stripped = line.strip()
        if stripped.startswith("# -- "):
            meaning = stripped.removeprefix("# -- ")
        elif match := _KEY.fullmatch(line):
            depth = len(match[1])
            above = [(at, key) for at, key in above if at < depth] + [(depth, match[2])]
            if meaning:
                meanings[tuple(key for _, key in above)] = meaning
            meaning = ""
    return meanings


def schema() -> dict[str, Any]:
    """The content of values.schema.json."""
    made: dict[str, Any] = yaml.safe_load((HELM / "values.schema.yaml").read_text("utf-8"))
    secret = sorted(variable_of(name) for name in secret_names())
    made["$defs"] |= {
        "settings": {
            "type": "object",
            "additionalProperties": False,
            "properties": {variable_of(name): _setting(name) for name in Settings.model_fields if not _is_secret(name)},
        },
        "secretValues": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: {"type": "string", "minLength": 1} for name in secret},
        },
        "secretKeys": {
            "type": "object",
            "additionalProperties": False,
            "properties": {name: {"$ref": "#/$defs/key"} for name in secret},
        },
    }
    documented = values((CHART / "values.yaml").read_text("utf-8"))
    for value in documented:
        if value.path[0] != "settings":
            _property(made, value.path)["description"] = value.meaning
    # A key is missing only if a user removed its default with null, which is equivalent to an empty one.
    for value in documented:
        for depth, key in enumerate(value.path if value.default not in (None, "", {}, []) else value.path[:-1]):
            required = _property(made, value.path[:depth]).setdefault("required", [])
            if key not in required:
                required.append(key)
    return made


def _is_secret(name: str) -> bool:
    return name in secret_names()


def _property(schema: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The schema of a value, copied on the way, since others may refer to the same definition."""
    at = schema
    for key in path:
        if "$ref" in at:
            found = json.loads(json.dumps(schema["$defs"][at["$ref"].rpartition("/")[2]]))
            at.clear()
            at |= found
        at = at["properties"][key]
    if "$ref" in at and "properties" in (found := schema["$defs"][at["$ref"].rpartition("/")[2]]):
        at |= json.loads(json.dumps(found))
        del at["$ref"]
    return at


def _setting(name: str) -> dict[str, Any]:
    """The schema of a setting, as far as a schema can express it; the process checks the rest."""
    field = Settings.model_fields[name]
    if field.annotation is timedelta:
        made: dict[str, Any] = {"type": "string", "pattern": _DURATION}
    else:
        declared = Settings.model_json_schema()["properties"][name]
        inner = next((choice for choice in declared.get("anyOf", []) if choice.get("type") != "null"), declared)
        made = {key: value for key, value in inner.items() if key not in ("title", "default", "description", "format")}
        made.pop("expected", None)
    if name == "kafka_bootstrap_servers":
        made["pattern"] = f"^({settings.AN_ADDRESS}( *, *{settings.AN_ADDRESS})*)?$"
    if name.endswith("_port"):
        made["minimum"] = 1  # probes must know the port
    return made | {"description": f"{field.description}: {expectation_of(name)}"}


def table() -> str:
    """The table of values in the chart's README.md."""
    rows = [
        (
            f"`{'.'.join(value.path)}`",
            f"`{json.dumps(value.default, ensure_ascii=False)}`" if value.default not in ("", None) else "",
            re.sub(r"([*<>|])", r"\\\1", value.meaning),
        )
        for value in values((CHART / "values.yaml").read_text("utf-8"))
    ]
    lines = [("value", "default", "what it is"), ("---", "---", "---"), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def files() -> dict[Path, str]:
    """The generated files, by path."""
    readme = (CHART / "README.md").read_text("utf-8")
    before, begun, rest = readme.partition(_BEGIN)
    _, ended, after = rest.partition(_END)
    if not (begun and ended):
        raise ValueError(f"{CHART / 'README.md'}: expected the marks {_BEGIN.strip()} and {_END}")
    return {
        CHART / "values.schema.json": json.dumps(schema(), indent=2, ensure_ascii=False) + "\n",
        CHART / "README.md": before + begun + table() + ended + after,
        **{CHART / "files" / "rules" / path.name: path.read_text("utf-8") for path in sorted(RULES.glob("*.yml"))},
    }


def stale() -> list[Path]:
    """The files that are out of date, and copies of rules that no longer exist."""
    made = files()
    differ = [path for path, text in made.items() if not path.exists() or path.read_text("utf-8") != text]
    return differ + [path for path in (CHART / "files" / "rules").iterdir() if path not in made]


if __name__ == "__main__":
    for path in (CHART / "files" / "rules").glob("*.yml"):
        path.unlink()
    for path, text in files().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
