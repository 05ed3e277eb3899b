"""Writes what follows from the code: tables in README.md and pages of docs/, settings.md, the types of documents."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import typer
import yaml

from bi.source import compass, measures, model
from movie_stream.aggregates.fields import Key
from movie_stream.aggregates.results import CALLED, RESULTS, Result
from movie_stream.aggregates.shape import Shape, kind_of
from movie_stream.cli import app
from movie_stream.events.contract import FIELD_RULES
from movie_stream.kafka.cluster.topics import Topics
from movie_stream.metrics.catalogue import Told, told_by
from movie_stream.settings import Settings, expectation_of, variable_of, written

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
SETTINGS = ROOT / "docs" / "reference" / "settings.md"
SECURITY = ROOT / "docs" / "how-to" / "security.md"
POWER_BI = ROOT / "docs" / "how-to" / "power-bi.md"
COMPASS = ROOT / "docs" / "how-to" / "compass.md"
OPERATE = ROOT / "docs" / "how-to" / "operate.md"
METRICS = ROOT / "docs" / "reference" / "metrics.md"
ALERTS = ROOT / "monitoring" / "rules" / "alerts.yml"
DOCUMENTS = ROOT / "movie_stream" / "mongo" / "documents.py"
_HALF_PAST_TWO_MS = 1_730_385_000_000
"""2024-10-31T14:30:00Z, for the examples."""


def commands() -> str:
    """The commands, what they do, and their options."""
    rows = [row for words, command in named_commands(app) for row in [_command(words, command)]]
    return _table(("command", "does", "options"), rows)


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


def events() -> str:
    """The fields of an event."""
    return _table(("field", "must be"), ((name, rule.words) for name, rule in FIELD_RULES.items()))


def results() -> str:
    """The collections: when a document begins, and what it holds."""
    rows = []
    for result in RESULTS:
        value = "0" if result.of_records else "action"
        key = Key(result.window, result.window.start_of(_HALF_PAST_TWO_MS), value)
        fields = ", ".join(_shown(name, field.schema) for name, field in result.fields.items() if name != "slug")
        rows.append((result.collection, _one_for_each(result), f"`{result.document_id(key)}`", fields))
    return _table(("collection", "a document for each", "`_id`", "fields"), rows)


def acls() -> str:
    """What Kafka has to allow whom, with the default names."""
    names, group = Topics.of(Settings()), f"`{Settings().kafka_group}`"
    operations = {topic: [*names.needs[topic], *["Delete"] * (topic in names.deleted)] for topic in names.needs}
    rows = [("a worker, `rebuild`, `doctor`", "Read", f"group {group}")]
    rows += [("the same", ", ".join(words), f"topic `{topic}`") for topic, words in operations.items()]
    rows.append(("`dead-letters` besides", "Read", f"topic `{names.dead_letters}`"))
    rows.append(("a producer, `produce`, `dead-letters replay`", "Write", f"topic `{names.events}`"))
    rows.append(("`produce --resume`", "Read, Write", f"topic `{names.events}`"))
    rows += [
        ("`worker`, where topics take small records", "DescribeConfigs", f"topic `{topic}`") for topic in names.written
    ]
    rows += [("`init`", "Create, DescribeConfigs", f"topic `{topic}`") for topic in names.all]
    rows.append(("`init`, to raise its `max.message.bytes`", "AlterConfigs", f"topic `{names.dead_letters}`"))
    rows += [("`init`, to say whose it is", "Read, Write", f"topic `{topic}`") for topic in names.deleted]
    rows += [("`doctor`, to look at retention", "DescribeConfigs", f"topic `{topic}`") for topic in names.counted]
    rows.append(("`doctor`, to compare the broker's clock", "Describe", "the cluster"))
    return _table(("who", "operations", "on"), rows)


def bi_tables() -> str:
    """The tables of the model in Power BI."""
    tables = model.tables()
    joins = {table.name: [join.to for join in model.relationships([table])] for table in tables}
    rows = [
        (f"`{table.name}`", table.says, ", ".join(joins[table.name]), "a range" if table.long else "all")
        for table in tables
    ]
    return _table(("table", "holds", "joined with", "loads"), rows)


def bi_measures() -> str:
    """The measures of that model."""
    return _table(("measure", "folder", "is"), ((m.name, m.folder, m.says) for m in measures.ALL))


def queries() -> str:
    """The queries for MongoDB Compass."""
    rows = ((saved.name, saved.says, f"`{saved.collection}`", f"`{saved.index}`") for saved in compass.ALL)
    return _table(("name", "answers", "collection", "index"), rows)


def metrics(process: Told) -> str:
    """What a process tells Prometheus."""
    rows = [
        (f"`{of.name}`", of.kind, ", ".join(f"`{label}`" for label in of.labels), of.unit, _plain(of.meaning))
        for of in told_by(process)
    ]
    return _table(("name", "type", "labels", "unit", "meaning"), rows)


def alerts() -> str:
    """The alerts: when each of them fires, what it means, and what to do."""
    rules = [rule for group in yaml.safe_load(ALERTS.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    return "\n" + "\n".join(map(_alert, rules)) + "\n"


def _alert(rule: Mapping[str, Any]) -> str:
    says, severity = rule["annotations"], rule["labels"]["severity"]
    since = f" {rule['for']} long" if "for" in rule else ""
    description = re.sub(r"\{\{ \$labels\.(\w+) \}\}", r"(\1)", says["description"])
    description = re.sub(r"\{\{ \$value.*?\}\}", "(so many)", description)
    return (
        f"## {rule['alert']}\n\n"
        f"{description[0].upper()}{description[1:]} A {severity} alert, where this holds{since}:\n\n"
        f"```promql\n{rule['expr']}\n```\n\n"
        f"**What to do.** {says['action']}\n"
    )


def settings() -> str:
    """The whole of settings.md."""
    rows = [
        (
            f"`{variable_of(name)}`",
            f"`{default}`" if default else "",
            field.description or "",
            _plain(expectation_of(name)),
        )
        for name, field in Settings.model_fields.items()
        for default in [written(field.default)]
    ]
    return (
        "# Settings\n\n"
        "Read from the environment, else from `.env` in the working directory. `NAME_FILE` names a file that holds\n"
        "the value, for secrets. `movie-stream settings` shows what is in force and where it comes from.\n"
        "This page is made by `make docs`.\n\n" + _table(("variable", "default", "what it is", "expected"), rows)
    )


def documents() -> str:
    """The whole of mongo/documents.py."""
    kinds = [text for result in RESULTS for text in _typed(result)]
    return (
        '"""The documents of the results as types, for programs. Made by `make docs` from RESULTS."""\n\n'
        "from __future__ import annotations\n\n"
        "from datetime import datetime\nfrom typing import TypedDict\n" + "".join(f"\n\n{kind}" for kind in kinds)
    )


def _typed(result: Result) -> Iterator[str]:
    """The type of an entry of the result's list, if it has one, and that of its documents."""
    shape, name = Shape.of(result), type_name(result)
    types = {column.name: _type(result.fields[column.name].schema) for column in shape.fields}
    if shape.entries:
        entry = result.fields[shape.entries].schema["items"]["properties"]
        yield _class(f"{name}Entry", f"An entry of {shape.entries}.", {key: _type(of) for key, of in entry.items()})
        types[shape.entries] = f"list[{name}Entry]"
    ordered = {"_id": "str", **{field: types[field] for field in result.fields}}
    each = _one_for_each(result)
    says = (
        f"The document of {result.collection}." if each == "all" else f"A document of {result.collection}: by {each}."
    )
    yield _class(name, says, ordered)


def type_name(result: Result) -> str:
    """What the type of the result's documents is called.

    >>> type_name(RESULTS[0])
    'MoviesAggregates'
    """
    return "".join(map(str.capitalize, result.collection.split("_")))


def _class(name: str, says: str, fields: Mapping[str, str]) -> str:
    lines = "".join(f"    {field}: {kind}\n" for field, kind in fields.items())
    return f'class {name}(TypedDict):\n    """{says}"""\n\n{lines}'


def _type(schema: Mapping[str, Any]) -> str:
    """A value's type in Python."""
    kind = {"time": "datetime", "count": "int", "number": "float", "text": "str"}[kind_of(schema)]
    return kind + " | None" * ("null" in schema["bsonType"])


def filled(page: Path) -> str:
    """The page's text with the tables between its marks as they are now. Raises ValueError where a mark is missing."""
    text = page.read_text(encoding="utf-8")
    for name, made in TABLES[page.name].items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end of {name} -->"
        before, _, rest = text.partition(begin)
        _, found, after = rest.partition(end)
        if not found:
            raise ValueError(f"expected the marks {begin.strip()} and {end}")
        text = before + begin + made() + end + after
    return text


def _shown(name: str, schema: Mapping[str, Any]) -> str:
    entry = schema.get("items", {}).get("properties")
    return f"{name}: up to {schema['maxItems']} of {{{', '.join(entry)}}}" if entry else name


def _one_for_each(result: Result) -> str:
    window = [result.window.name] * (result.window.length_ms is not None)
    return " and ".join(window + ([CALLED[result.by]] if result.by else [])) or "all"


def _plain(text: str) -> str:
    """Text of which Markdown makes nothing else."""
    return re.sub(r"([\\*<>$\"])", r"\\\1", text)


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |\n" for line in lines)


TABLES: Mapping[str, Mapping[str, Callable[[], str]]] = {
    README.name: {"commands": commands, "events": events, "results": results},
    SECURITY.name: {"acls": acls},
    POWER_BI.name: {"tables": bi_tables, "measures": bi_measures},
    COMPASS.name: {"queries": queries},
    METRICS.name: {"worker": partial(metrics, "worker"), "serve": partial(metrics, "serve")},
    OPERATE.name: {"alerts": alerts},
}
"""By page and mark, what makes each table."""
PAGES = (README, SECURITY, POWER_BI, COMPASS, METRICS, OPERATE)
"""The pages with such tables."""


if __name__ == "__main__":
    for page in PAGES:
        page.write_text(filled(page), encoding="utf-8")
    SETTINGS.write_text(settings(), encoding="utf-8")
    DOCUMENTS.write_text(documents(), encoding="utf-8")
